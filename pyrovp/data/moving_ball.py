"""The Moving Ball: a disc that changes its colour when it meets a wall.

In a frame of R = 64 px a disc of radius r = 6 px moves 6 px per frame. At each step it is drawn,
tested and moved:

    draw   the pixels (i, j) with (i - trunc x)^2 + (j - trunc y)^2 <= r^2, cut at the border
    test   flip v_x if (x - r < 0 and v_x < 0) or (x + r > R and v_x > 0),
           else v_y by the same test for y: one wall per frame, and no correction of the position
    move   (x, y) += v

The colour runs through red, green, cyan, magenta, yellow, blue. It advances by one on the frame
after a contact, and also, with probability lambda, on any frame after the first. A contact and a
random change that fall on the same frame are one change, so with contacts on a fraction c of the
frames the colour changes on 1 - (1 - c)(1 - lambda) of them.

Reference:
    Variational Predictive Routing with Nested Subjective Timescales (Zakharov, Guo, Fountas,
    2022). https://arxiv.org/abs/2110.11236
    Long-horizon video prediction using a dynamic latent hierarchy (Zakharov, Guo, Fountas, 2022),
    Section 4.4 for lambda. https://arxiv.org/abs/2212.14376
"""

import math
from collections.abc import Mapping
from typing import Literal, NamedTuple, final

import numpy as np
import torch
from numpy.typing import NDArray

from pyrovp.data.checks import fraction, number, one_of
from pyrovp.data.keyed import GeneratedVideos, Item, Split

__all__ = ["COLOURS", "BallPath", "MovingBall", "draw_discs", "roll_ball"]

COLOURS = np.array(
    [[1, 0, 0], [0, 1, 0], [0, 1, 1], [1, 0, 1], [1, 1, 0], [0, 0, 1]], dtype=np.float32
)
"""RGB of red, green, cyan, magenta, yellow and blue, the order of the cycle."""


@final
class MovingBall(GeneratedVideos):
    """Clips of a ball whose colour changes at the walls, and at random times.

    States of each frame, as it is drawn: `position` of the centre (x to the right, y down, px),
    `velocity` that brought it there (px per frame), `colour` (index into `COLOURS`) and `change`
    (whether the colour differs from that of the frame before; False at t = 0).

    The generator of an item's key draws, in this order: x and y uniform in [r, R - r], the angle
    of the velocity, the first colour, and per frame the two numbers behind the random changes. So
    `change_probability` leaves the path as it is, and a larger one only adds changes.

    Args:
        split: "train", "validation" or "test".
        length: Frames T of a clip.
        change_probability: The probability lambda of a random change, per frame.
        resolution: Height and width R of a frame in px; radius and speed scale with it.
        colour: What a random change does: "cycle" takes the next colour, as a contact does,
            "uniform" any of the five others.
        speed: In px per frame of a 64 px video.
        size: Number of items; by default 2^31 for training and 1024 otherwise.
        seed: First part of every item's key.

    Shapes:
        video: [T, 3, R, R]
        states: position, velocity [T, 2] float32; colour [T] int64; change [T] bool

    Raises:
        ValueError: If an argument is out of range.

    Example:
        >>> item = MovingBall("test", length=4, resolution=32)[0]
        >>> item["video"].shape, item["states"]["change"].shape
        (torch.Size([4, 3, 32, 32]), torch.Size([4]))
    """

    source = "generated: Moving Ball"

    def __init__(
        self,
        split: Split,
        length: int,
        change_probability: float = 0.0,
        resolution: int = 64,
        colour: Literal["cycle", "uniform"] = "cycle",
        speed: float = 6.0,
        size: int | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(split, length, resolution, 3, size, seed)
        self.change_probability = fraction("change_probability", change_probability)
        self.colour = one_of("colour", colour, ("cycle", "uniform"))
        # 52 px is the room of the centre: a faster ball would jump from wall to wall.
        self.speed = number("speed (px per frame at 64 px)", speed, most=52.0)
        self.radius = 6 * self.resolution / 64

    def make(self, rng: np.random.Generator) -> Item:
        x, y = rng.uniform(self.radius, self.resolution - self.radius, 2)
        angle = rng.uniform(0, 2 * math.pi)
        first = int(rng.integers(len(COLOURS)))
        random_change = rng.random(self.length) < self.change_probability
        jump = rng.integers(1, len(COLOURS), self.length)
        speed = self.speed * self.resolution / 64
        path = roll_ball(
            (x, y),
            (speed * math.cos(angle), speed * math.sin(angle)),
            self.length,
            self.resolution,
            self.radius,
        )
        # A contact is seen in the colour of the next frame.
        step = np.concatenate([[False], path.contact[:-1]]).astype(np.int64)
        step[random_change] = 1 if self.colour == "cycle" else jump[random_change]
        step[0] = 0
        colour = (first + step.cumsum()) % len(COLOURS)
        frames = draw_discs(path.position, COLOURS[colour], self.resolution, self.radius)
        return {
            "video": torch.from_numpy(frames),
            "states": {
                "position": torch.from_numpy(path.position.astype(np.float32)),
                "velocity": torch.from_numpy(path.velocity.astype(np.float32)),
                "colour": torch.from_numpy(colour),
                "change": torch.from_numpy(step != 0),
            },
        }

    def rules(self) -> Mapping[str, object]:
        return {
            "change_probability": self.change_probability,
            "colour": self.colour,
            "speed": self.speed,
        }


class BallPath(NamedTuple):
    """Where the ball is drawn and when it meets a wall.

    Shapes:
        position: [T, 2] float64, centre (x, y) in px
        velocity: [T, 2] float64, px per frame, before the frame's own test
        contact: [T] bool, whether the frame's test flipped a velocity
    """

    position: NDArray[np.float64]
    velocity: NDArray[np.float64]
    contact: NDArray[np.bool_]


def roll_ball(
    start: tuple[float, float],
    velocity: tuple[float, float],
    length: int,
    resolution: int,
    radius: float,
) -> BallPath:
    """Draw, test, move, frame by frame: the exact sums of the rules, not a closed form.

    Args:
        start: Centre (x, y) on the first frame, in px.
        velocity: (v_x, v_y) in px per frame.
        length: Number of frames T.
        resolution: Height and width R of the box in px.
        radius: Radius r of the ball in px.
    """
    (x, y), (v_x, v_y) = start, velocity
    rows: list[tuple[float, float, float, float]] = []
    contact = np.zeros(length, dtype=np.bool_)
    for t in range(length):
        rows.append((x, y, v_x, v_y))
        if (x - radius < 0 and v_x < 0) or (x + radius > resolution and v_x > 0):
            v_x, contact[t] = -v_x, True
        elif (y - radius < 0 and v_y < 0) or (y + radius > resolution and v_y > 0):
            v_y, contact[t] = -v_y, True
        x, y = x + v_x, y + v_y
    table = np.array(rows)
    return BallPath(table[:, :2], table[:, 2:], contact)


def draw_discs(
    centres: NDArray[np.float64],
    colours: NDArray[np.float32],
    resolution: int,
    radius: float,
) -> NDArray[np.float32]:
    """Draws one filled disc a frame on black, around the truncated centre.

    Args:
        centres: (x, y) in px; a disc beyond the border is cut.
        colours: RGB in [0, 1].
        resolution: Height and width R of the frames in px.
        radius: Radius of the disc in px.

    Shapes:
        centres: [T, 2]
        colours: [T, 3]
        returns: [T, 3, R, R]
    """
    away = np.square(np.arange(resolution) - np.trunc(centres)[..., None])  # [T, 2, R]
    disc = away[:, 1, :, None] + away[:, 0, None, :] <= radius**2  # [T, R, R]
    return disc[:, None] * colours[:, :, None, None]
