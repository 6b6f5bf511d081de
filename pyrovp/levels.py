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

    Raises:
        ValueError: If a part is of another kind.
    """

    memory: Memory
    state: Gaussian
    clock: Every = Every(1)
    gate: Gate | None = None

    def __post_init__(self) -> None:
        for name, kind, example in (
            ("clock", Every, "Every(4)"),
            ("memory", Memory, "GRU(200)"),
            ("state", Gaussian, "Gaussian(20)"),
            ("gate", Gate, "MixtureGate(), or None for no gate"),
        ):
            part = getattr(self, name)
            if not isinstance(part, kind) and not (name == "gate" and part is None):
                raise ValueError(f"a level's {name} is an object such as {example}, got {part!r}")
