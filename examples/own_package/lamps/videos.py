"""Videos: a lamp that drifts through the dark and is turned up or down now and then.

x_t = x_0 + t v        brightness b_t: drawn anew with probability `switching`, else b_{t-1}
"""

from collections.abc import Mapping

import numpy as np
import torch

from pyrovp.data import GeneratedVideos
from pyrovp.data.keyed import Item, Split

__all__ = ["Lamps"]


class Lamps(GeneratedVideos):
    """A fast thing, where the lamp is, and a slow one, how bright.

    True states of each frame: `brightness`, and `change`, whether it differs from that of the
    frame before. Analyses look for a state of the name `change` by themselves.

    Args:
        split: "train", "validation" or "test".
        length: Frames T of a clip.
        resolution: Height and width R of a frame in px.
        switching: Probability of a new brightness, per frame.
        size: Number of clips; None: very many for training, 1024 otherwise.
        seed: First part of every clip's key.

    Shapes:
        video: [T, 1, R, R]
        states: brightness [T] float32; change [T] bool
    """

    source = "generated: lamps"

    def __init__(
        self,
        split: Split,
        length: int,
        resolution: int = 32,
        switching: float = 0.1,
        size: int | None = None,
        seed: int = 0,
    ) -> None:
        if not 0 <= switching <= 1:
            raise ValueError(f"switching is a probability from 0 to 1, got {switching}")
        super().__init__(split, length, resolution, 1, size, seed)
        self.switching = switching

    def make(self, rng: np.random.Generator) -> Item:
        """One clip; all that is random comes from `rng`."""
        start, velocity = rng.uniform(0, 1, 2), rng.uniform(-0.04, 0.04, 2)
        x, y = (start + np.arange(self.length)[:, None] * velocity).T % 1  # [T], in frames' sizes
        change = rng.random(self.length) < self.switching
        change[0] = False
        levels = rng.uniform(0.2, 1, self.length)
        brightness = levels[np.maximum.accumulate(np.where(change, np.arange(self.length), 0))]
        row, column = np.indices((self.resolution, self.resolution)) / self.resolution
        offsets = row - y[:, None, None], column - x[:, None, None]
        distance = sum(np.minimum(abs(d), 1 - abs(d)) ** 2 for d in offsets)  # edges are joined
        frames = brightness[:, None, None] * np.exp(-distance / 0.01)
        return {
            "video": torch.tensor(frames[:, None], dtype=torch.float32),
            "states": {
                "brightness": torch.tensor(brightness, dtype=torch.float32),
                "change": torch.tensor(change),
            },
        }

    def rules(self) -> Mapping[str, object]:
        """What decides the clips beside split, length, resolution and seed."""
        return {"switching": self.switching}
