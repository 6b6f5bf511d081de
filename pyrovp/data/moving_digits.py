"""Moving handwritten digits: the rules of Moving MNIST.

Digit boxes of D px move at constant speed in frames of R px and bounce inside the edges:

    corner_0 ~ U[0, R - D]^2,    speed ~ U[low, high] * factor * R / 64,    angle ~ U[0, 2 pi)

A digit at a corner between pixels is the bilinear interpolation of its image: with f the
fractional part of the corner, on each axis

    shifted[i] = (1 - f) * image[i] + f * image[i - 1].

Where digits overlap, the brighter one is seen (or their clipped sum).

Reference:
    Unsupervised Learning of Video Representations using LSTMs (Srivastava, Mansimov,
    Salakhutdinov, 2015), Section 3.1. https://arxiv.org/abs/1502.04681
"""

from collections.abc import Mapping
from functools import partial
from typing import Literal, final

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from pyrovp.data.bouncing import Path, bounce
from pyrovp.data.checks import number, one_of, whole
from pyrovp.data.handwriting import EMBEDDED, Handwriting
from pyrovp.data.keyed import GeneratedVideos, Item, Split

__all__ = ["MovingDigits", "draw_moving", "film", "fitting"]


@final
class MovingDigits(GeneratedVideos):
    """Clips of real handwritten digits that move and bounce.

    Training clips show training digits only, and so for the other splits. States of each frame:
    `position` of the box's upper left corner (x to the right, y down, px), `velocity` (px per
    frame), `digit` (the label) and `bounce` (on the x axis, on the y axis, since the last frame).

    Args:
        split: "train", "validation" or "test".
        length: Frames T of a clip.
        resolution: Height and width R of a frame in px.
        channels: 1, or 3 for the same gray in three channels.
        digits: Number of digits N.
        digit_size: Width D of a digit's box in px; by default 28 px for 64 px frames, in
            proportion for others.
        speed: Lowest and highest speed, in px per frame of a 64 px video.
        speed_factor: Multiplies the speed and nothing else: same digits, starts and directions.
        overlap: "max", or "sum" clipped at 1.
        subpixel: Whether digits are drawn between pixels; otherwise at the nearest pixel. The
            states hold the exact position either way.
        handwriting: Where the digits come from, such as `MNIST()`.
        size: Number of items; by default 2^31 for training and 1024 otherwise.
        seed: First part of every item's key.

    Shapes:
        video: [T, C, R, R]
        states: position, velocity [T, N, 2] float32; digit [T, N] int64; bounce [T, N, 2] bool

    Raises:
        ValueError: If an argument is out of range, or the digit leaves no room to move.

    Example:
        >>> item = MovingDigits("train", length=5)[7]
        >>> item["video"].shape, item["states"]["position"].shape
        (torch.Size([5, 1, 64, 64]), torch.Size([5, 2, 2]))
    """

    def __init__(
        self,
        split: Split,
        length: int,
        resolution: int = 64,
        channels: int = 1,
        digits: int = 2,
        digit_size: int | None = None,
        speed: tuple[float, float] = (2.0, 6.0),
        speed_factor: float = 1.0,
        overlap: Literal["max", "sum"] = "max",
        subpixel: bool = True,
        handwriting: Handwriting = EMBEDDED,
        size: int | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(split, length, resolution, channels, size, seed)
        self.digits = whole("digits", digits)
        wanted = round(28 * self.resolution / 64) if digit_size is None else digit_size
        self.digit_size = fitting(wanted, self.resolution)
        self.speed = _interval(speed)
        self.speed_factor = number("speed_factor", speed_factor)
        self.overlap = one_of("overlap", overlap, ("max", "sum"))
        self.subpixel = bool(subpixel)
        self.handwriting = handwriting
        # Not the digits themselves: a worker is sent the source and loads them once.
        self.load = partial(self.handwriting.load, split, self.digit_size)
        self.load()  # what is missing is said now
        self.source = self.handwriting.source(split, self.digit_size)

    def make(self, rng: np.random.Generator) -> Item:
        images, labels = self.load()
        room = float(self.resolution - self.digit_size)
        chosen = rng.integers(len(images), size=self.digits)
        start = rng.uniform(0, room, (self.digits, 2))
        speed = rng.uniform(*self.speed, (self.digits, 1))
        angle = rng.uniform(0, 2 * np.pi, self.digits)
        speed *= self.speed_factor * self.resolution / 64
        velocity = speed * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
        path = bounce(start, velocity, room, self.length)
        drawn_at = path.position if self.subpixel else np.rint(path.position)
        frames = draw_moving(images[chosen], drawn_at, self.resolution, self.overlap)
        return film(frames.repeat(self.channels, axis=1), path, labels[chosen])

    def rules(self) -> Mapping[str, object]:
        return {
            "digit_file": self.handwriting.sha256(),
            "digits": self.digits,
            "digit_size": self.digit_size,
            "speed": self.speed,
            "speed_factor": self.speed_factor,
            "overlap": self.overlap,
            "subpixel": self.subpixel,
        }


def draw_moving(
    images: NDArray[np.float32],
    corners: NDArray[np.float64],
    resolution: int,
    overlap: str = "max",
) -> NDArray[np.float32]:
    """Draws N square images into T frames at corners that may lie between pixels.

    Only sums and products of single elements, so the frames are equal to the last bit on every
    machine, whatever its matrix library.

    Args:
        images: Square images in [0, 1].
        corners: Upper left corners (x, y) in px, each in `[0, resolution - D]`.
        resolution: Height and width R of the frames in px.
        overlap: "max", or "sum" clipped at 1.

    Shapes:
        images: [N, D, D]
        corners: [T, N, 2]
        returns: [T, 1, R, R]
    """
    frame, side = np.arange(len(corners)), images.shape[-1] + 1
    # One pixel more than the frame: a shifted image of D px touches D + 1 pixels.
    canvas = np.zeros((len(corners), resolution + 1, resolution + 1), np.float32)
    windows = sliding_window_view(canvas, (side, side), axis=(1, 2), writeable=True)
    pixel = np.floor(corners).astype(np.int64)
    rest = (corners - pixel).astype(np.float32)
    for n, image in enumerate(np.pad(images, ((0, 0), (1, 1), (1, 1)))):
        across, down = rest[:, n, 0, None, None], rest[:, n, 1, None, None]
        rows = (1 - down) * image[1:] + down * image[:-1]  # [T, D + 1, D + 2]
        patch = (1 - across) * rows[:, :, 1:] + across * rows[:, :, :-1]  # [T, D + 1, D + 1]
        place = frame, pixel[:, n, 1], pixel[:, n, 0]
        merge = np.maximum if overlap == "max" else np.add
        windows[place] = merge(windows[place], patch)
    return np.minimum(canvas[:, None, :-1, :-1], 1)


def film(frames: NDArray[np.float32], path: Path, labels: NDArray[np.int64]) -> Item:
    """An item of frames with digits, and of the states behind them.

    Shapes:
        frames: [T, C, R, R]
        path: of N digits over T frames
        labels: [N]
    """
    return {
        "video": torch.from_numpy(frames),
        "states": {
            "position": torch.from_numpy(path.position.astype(np.float32)),
            "velocity": torch.from_numpy(path.velocity.astype(np.float32)),
            "digit": torch.from_numpy(np.tile(labels, (len(frames), 1))),
            "bounce": torch.from_numpy(path.bounce),
        },
    }


def fitting(digit_size: int, resolution: int) -> int:
    """Returns the width of a digit's box if it can move in a frame, both in px.

    Raises:
        ValueError: If it cannot.
    """
    digit_size = whole("digit_size (px)", digit_size)
    if digit_size >= resolution:
        raise ValueError(
            f"a digit of {digit_size} px has no room to move in a frame of {resolution} px; use a "
            f"digit_size below {resolution}"
        )
    return digit_size


def _interval(speed: tuple[float, float]) -> tuple[float, float]:
    """Checks the pair of speeds."""
    try:
        low, high = speed
    except (TypeError, ValueError):
        raise ValueError(f"speed must be a pair (lowest, highest), got {speed!r}") from None
    low, high = number("the lowest speed", low), number("the highest speed", high)
    if low > high:
        raise ValueError(f"speed must be (lowest, highest), got {speed!r}; swap them")
    return low, high
