"""Stochastic Moving MNIST: digits that leave a wall in a new, random direction.

Boxes of D px stand at whole pixels p of a frame of R px. With room = R - D, on each axis

    p_0 ~ U{0 ... room - 1},    v_0 ~ U{-s ... s}.

Before a digit is drawn, first the vertical and then the horizontal axis is looked at. If it is
beyond a wall there, p < 0 or p >= room,

    p <- the nearest of 0 and room - 1
    v on this axis     ~ U{1 ... s} away from the wall
    v on the other one ~ U{-s ... s},

then it is drawn and p <- p + v. In a corner the horizontal wall test draws the vertical velocity
once more, which may point outward again. The deterministic rule only turns the sign of v on the
wall's axis. Where digits overlap, their clipped sum is seen. The published form has R = 64,
D = 32, s = 4 and two digits.

Reference:
    Stochastic Video Generation with a Learned Prior (Denton, Fergus, 2018), with the order of the
    tests in the code released with it. https://arxiv.org/abs/1802.07687
"""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import final

import numpy as np
from numpy.typing import NDArray

from pyrovp.data import bouncing
from pyrovp.data.checks import whole
from pyrovp.data.handwriting import MNIST
from pyrovp.data.keyed import GeneratedVideos, Item, Split
from pyrovp.data.moving_digits import draw_moving, film, fitting

__all__ = ["StochasticMovingMNIST", "Turn", "redraw", "turn_back", "walk"]

Turn = Callable[[list[int], int, int], None]
"""What a wall does to a velocity [v_x, v_y]: given it, the wall's axis and the sign inward."""


@final
class StochasticMovingMNIST(GeneratedVideos):
    """Clips of MNIST digits that are sent off anew at each wall.

    States of each frame, as it is drawn: `position` of the box's upper left corner (x to the
    right, y down, px, whole numbers), `velocity` that takes it to the next frame (px per frame),
    `digit` (the label) and `bounce` (whether it met a wall of the x axis, of the y axis).

    Args:
        split: "train", "validation" or "test".
        length: Frames T of a clip.
        root: ROOT of the files ROOT/MNIST/raw/..., as for `MNIST`.
        resolution: Height and width R of a frame in px.
        channels: 1, or 3 for the same gray in three channels.
        digits: Number of digits N.
        digit_size: Width D of a digit's box in px; by default 32 px for 64 px frames, in
            proportion for others. MNIST's 28 px are enlarged by Pillow's bilinear filter.
        speed: The largest velocity s on an axis, in px per frame of a 64 px video; in other
            frames it is rounded to whole pixels, and at least 1.
        deterministic: Whether walls turn digits back and leave nothing to chance.
        size: Number of items; by default 2^31 for training and 1024 otherwise.
        seed: First part of every item's key.

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
        speed: int = 4,
        deterministic: bool = False,
        size: int | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(split, length, resolution, channels, size, seed)
        self.digits = whole("digits", digits)
        wanted = round(self.resolution / 2) if digit_size is None else digit_size
        self.digit_size = fitting(wanted, self.resolution)
        speed = whole("speed (px per frame at 64 px)", speed)
        self.speed = max(1, round(speed * self.resolution / 64))
        self.deterministic = bool(deterministic)
        self.handwriting = MNIST(root)
        # Not the digits themselves: a worker is sent the source and loads them once.
        self.load = partial(self.handwriting.load, split, self.digit_size)
        self.load()  # what is missing is said now
        self.source = self.handwriting.source(split, self.digit_size)

    def make(self, rng: np.random.Generator) -> Item:
        images, labels = self.load()
        room = self.resolution - self.digit_size
        chosen = rng.integers(len(images), size=self.digits)
        start = rng.integers(room, size=(self.digits, 2))
        velocity = rng.integers(-self.speed, self.speed, size=(self.digits, 2), endpoint=True)
        turn = turn_back if self.deterministic else partial(redraw, rng, self.speed)
        path = walk(start, velocity, room, self.length, turn)
        frames = draw_moving(images[chosen], path.position, self.resolution, "sum")
        return film(frames.repeat(self.channels, axis=1), path, labels[chosen])

    def rules(self) -> Mapping[str, object]:
        return {
            "digit_file": self.handwriting.sha256(),
            "digits": self.digits,
            "digit_size": self.digit_size,
            "speed": self.speed,
            "deterministic": self.deterministic,
        }


def redraw(
    rng: np.random.Generator, speed: int, velocity: list[int], axis: int, inward: int
) -> None:
    """A new velocity: inward on the wall's axis, any on the other."""
    velocity[axis] = inward * int(rng.integers(1, speed, endpoint=True))
    velocity[1 - axis] = int(rng.integers(-speed, speed, endpoint=True))


def turn_back(velocity: list[int], axis: int, inward: int) -> None:
    """The deterministic rule."""
    velocity[axis] = -velocity[axis]


def walk(
    start: NDArray[np.int64], velocity: NDArray[np.int64], room: int, length: int, turn: Turn
) -> bouncing.Path:
    """Moves N digits frame by frame, so that a shorter walk is the beginning of a longer one.

    Args:
        start: Corners (x, y) on the first frame, in px, from 0 to `room` - 1.
        velocity: (v_x, v_y) on the first frame, in px per frame.
        room: Number of places of a corner on an axis.
        length: Number of frames T.
        turn: Changes a velocity at a wall.

    Shapes:
        start, velocity: [N, 2]
    """
    places: list[list[int]] = start.tolist()
    speeds: list[list[int]] = velocity.tolist()
    position = np.zeros((length, *start.shape))
    speed = np.zeros_like(position)
    bounce = np.zeros(position.shape, dtype=np.bool_)
    for t in range(length):
        for n, (place, v) in enumerate(zip(places, speeds, strict=True)):
            for axis in (1, 0):
                if not 0 <= place[axis] < room:
                    turn(v, axis, 1 if place[axis] < 0 else -1)
                    place[axis] = min(max(place[axis], 0), room - 1)
                    bounce[t, n, axis] = True
        position[t], speed[t] = places, speeds
        places = [[x + v_x, y + v_y] for (x, y), (v_x, v_y) in zip(places, speeds, strict=True)]
    return bouncing.Path(position, speed, bounce)
