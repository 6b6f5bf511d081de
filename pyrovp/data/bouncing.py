"""Points that bounce inside a box, for all times at once.

A coordinate that is reflected at 0 and at `room` is a straight line folded like a strip of paper:

    u_t = start + velocity * t,    k_t = floor(u_t / room),    r_t = u_t - k_t * room

    position_t = r_t if k_t is even, else room - r_t
    velocity_t = velocity if k_t is even, else -velocity
    bounce_t   = (k_t != k_{t-1}),   False at t = 0

k counts the folds, so nothing depends on the frame before and even a point that crosses the box
several times in a frame is right.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Path", "bounce"]


class Path(NamedTuple):
    """Trajectories of N points; the last axis is (x to the right, y down).

    Shapes:
        position: [T, N, 2] float64, px
        velocity: [T, N, 2] float64, px per frame, after the bounces up to and in that frame
        bounce: [T, N, 2] bool, whether the point met a wall of that axis since the last frame
    """

    position: NDArray[np.float64]
    velocity: NDArray[np.float64]
    bounce: NDArray[np.bool_]


def bounce(
    start: NDArray[np.float64], velocity: NDArray[np.float64], room: float, length: int
) -> Path:
    """Follows points that bounce inside `[0, room]` on both axes.

    Args:
        start: Positions at t = 0, inside the box, in px.
        velocity: Velocities at t = 0, in px per frame.
        room: Width and height of the box in px, above 0.
        length: Number of frames T.

    Shapes:
        start, velocity: [N, 2]

    Example:
        >>> path = bounce(np.array([[8.0, 5.0]]), np.array([[3.0, 0.0]]), room=10.0, length=3)
        >>> path.position[:, 0, 0].tolist(), path.velocity[:, 0, 0].tolist()
        ([8.0, 9.0, 6.0], [3.0, -3.0, -3.0])
    """
    unfolded = start + velocity * np.arange(length)[:, None, None]  # [T, N, 2]
    folds = np.floor(unfolded / room)
    rest = unfolded - folds * room
    odd = folds % 2 == 1
    position = np.where(odd, room - rest, rest).clip(0, room)  # the clip removes rounding only
    bounced = np.diff(folds, axis=0, prepend=folds[:1]) != 0
    return Path(position, np.where(odd, -velocity, velocity), bounced)
