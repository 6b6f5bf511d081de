"""Moving MNIST: `pyrovp.data.moving_digits`, drawn with MNIST's digits.

The published form has frames of 64 px with two digits of 28 px. Training clips show digits of the
training file and test clips those of the test file; validation has the last 5000 of the former.

Reference:
    Unsupervised Learning of Video Representations using LSTMs (Srivastava, Mansimov,
    Salakhutdinov, 2015), Section 3.1. https://arxiv.org/abs/1502.04681
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, final

import numpy as np

from pyrovp.data.handwriting import MNIST
from pyrovp.data.keyed import GeneratedVideos, Item, Split
from pyrovp.data.moving_digits import MovingDigits

__all__ = ["MovingMNIST"]


@final
class MovingMNIST(GeneratedVideos):
    """Clips of MNIST digits that move at constant speed and bounce.

    Args:
        root: ROOT of the files ROOT/MNIST/raw/..., as for `MNIST`.
        split, length, resolution, channels, digits, digit_size, speed: As for `MovingDigits`,
            with the same defaults.
        speed_factor, overlap, subpixel, size, seed: Likewise.

    Shapes:
        video: [T, C, R, R]
        states: position, velocity [T, N, 2] float32; digit [T, N] int64; bounce [T, N, 2] bool

    Raises:
        ValueError: If an argument is out of range, or the digit leaves no room to move.
        MissingFiles, DamagedFile: If MNIST is not there or not whole.
    """

    def __init__(
        self,
        split: Split,
        length: int,
        root: str | Path | None = None,
        resolution: int = 64,
        channels: int = 1,
        digits: int = 2,
        digit_size: int | None = None,
        speed: tuple[float, float] = (2.0, 6.0),
        speed_factor: float = 1.0,
        overlap: Literal["max", "sum"] = "max",
        subpixel: bool = True,
        size: int | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(split, length, resolution, channels, size, seed)
        self.clips = MovingDigits(
            split,
            length,
            resolution,
            channels,
            digits,
            digit_size,
            speed,
            speed_factor,
            overlap,
            subpixel,
            handwriting=MNIST(root),
        )
        self.source = self.clips.source

    def make(self, rng: np.random.Generator) -> Item:
        return self.clips.make(rng)

    def rules(self) -> Mapping[str, object]:
        return self.clips.rules()
