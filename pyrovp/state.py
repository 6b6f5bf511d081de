"""The state of a hierarchy between two frames."""

from typing import Any, NamedTuple

from torch import Tensor

__all__ = ["Context", "LevelState", "State"]

Context = tuple[Tensor, ...]


class LevelState(NamedTuple):
    """What a level carries from one frame to the next.

    Args:
        z: Stochastic state [..., Z].
        h: Memory [..., D].
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


State = tuple[LevelState, ...]
