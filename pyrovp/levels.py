"""A level of a hierarchy: when it may tick, whether it does, what it remembers, what it draws."""

from dataclasses import dataclass

from pyrovp.cells import Memory
from pyrovp.clocks import Every
from pyrovp.evidence import PastFrame
from pyrovp.gates import Gate
from pyrovp.heads import Latent

__all__ = ["Level"]


@dataclass(frozen=True)
class Level:
    """A composition; the hierarchy builds its networks once all sizes are known.

    Args:
        clock: The frames at which the level may tick.
        memory: Its deterministic memory h.
        state: Its stochastic state z, with the head that predicts it.
        gate: Whether a tick changes the state; None: every tick does.
        reads: What the memory takes in at a tick. None: the level's own last state. `PastFrame()`:
            the frame before, so that no state reaches the memory (HVRNN, SVG).

    Raises:
        ValueError: If a part is of another kind.

    Example:
        >>> from pyrovp import GRU, Gaussian
        >>> level = Level(memory=GRU(200), state=Gaussian(20), clock=Every(4))
        >>> level.clock.period, level.gate is None
        (4, True)
    """

    memory: Memory
    state: Latent
    clock: Every = Every(1)
    gate: Gate | None = None
    reads: PastFrame | None = None

    def __post_init__(self) -> None:
        for name, kind, example in (
            ("clock", Every, "Every(4)"),
            ("memory", Memory, "GRU(200)"),
            ("state", Latent, "Gaussian(20)"),
            ("gate", Gate, "MixtureGate(), or None for no gate"),
            ("reads", PastFrame, "PastFrame(), or None for its own last state"),
        ):
            part, optional = getattr(self, name), name in ("gate", "reads")
            if not isinstance(part, kind) and not (optional and part is None):
                raise ValueError(f"a level's {name} is an object such as {example}, got {part!r}")
