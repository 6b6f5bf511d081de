"""A level of a hierarchy: when it may tick, whether it does, what it remembers, what it draws."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from torch import Tensor

from pyrovp.cells import Memory
from pyrovp.clocks import Every
from pyrovp.gates import Gate
from pyrovp.heads import Gaussian
from pyrovp.wiring import Context

__all__ = ["Level", "LevelState", "State"]


@dataclass(frozen=True)
class Level:
    """A composition; the hierarchy builds its networks once all sizes are known.

    Args:
        clock: The frames at which the level may tick.
        memory: Its deterministic memory h.
        state: Its stochastic state z, with the head that predicts it.
        gate: Whether a tick changes the state; None: every tick does.
    """

    memory: Memory
    state: Gaussian
    clock: Every = Every(1)
    gate: Gate | None = None


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
