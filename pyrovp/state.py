"""The state of a hierarchy between two frames."""

from typing import Any, NamedTuple

from torch import Tensor

__all__ = ["Context", "LevelState", "State"]

Context = tuple[Tensor, ...]


class LevelState(NamedTuple):
    """What a level carries from one frame to the next.

    Args:
        z: Stochastic state [..., Z].
        h: Memory [..., D], as its cell packs it.
        c: Context handed down, held between ticks.
        e: Where the last tick changed the level, bool [...]; None: everywhere.
        belief: Packed parameters of the belief it holds (gated levels), [..., 2Z].
        g: The gate's own memory.
    """

    z: Tensor
    h: Tensor
    c: Context
    e: Tensor | None = None
    belief: Tensor | None = None
    g: Any = None


class State(NamedTuple):
    """What a hierarchy carries.

    Args:
        levels: From level 1 upwards.
        memory: The emission's memory, before the frame of this state where frames are emitted
            together, after it where they are fed back.
        mean: The mean of this state's frame [..., B, C, H, W], where frames are fed back.
        seen: The frame that the next one is conditioned on: `mean`, or a true frame.
    """

    levels: tuple[LevelState, ...]
    memory: Any = ()
    mean: Tensor | None = None
    seen: Tensor | None = None
