"""A level of a hierarchy: when it may tick, whether it does, what it remembers, what it draws."""

from dataclasses import dataclass

from pyrovp.cells import Memory
from pyrovp.clocks import Every
from pyrovp.gates import Gate
from pyrovp.heads import Gaussian

__all__ = ["Level"]


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
