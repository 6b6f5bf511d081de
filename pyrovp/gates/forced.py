"""A gate whose decisions are given: for tests, and for what-ifs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import pyro.distributions as dist
from torch import Tensor

from pyrovp.distributions import Decided
from pyrovp.gates.gate import Gate, GateCell, Logit
from pyrovp.lazy import force

__all__ = ["Forced"]

T = TypeVar("T")


@dataclass(frozen=True)
class Forced(Gate):
    """A gate whose decisions are given: no parameters, no cost, the same in model and guide.

    Still nested: it changes only where the gated level below does.

    Args:
        schedule: The frames at which the level changes: a function of t, or a sequence.
        fresh_static, static_sample, block_memory, detach_static: See `Gate`.

    Example:
        >>> always = Forced(lambda t: True)
    """

    schedule: Callable[[int], bool] | Sequence[bool]
    fresh_static: bool = True
    static_sample: Literal["copy", "redraw"] = "copy"
    block_memory: bool = True
    detach_static: bool = False

    def cell(self, inputs: tuple[int, ...], state: int) -> "GateCell":
        """The gate's cell, without parameters."""
        return _ForcedCell(self)

    def reads(self, known: tuple[T, ...], state: T) -> tuple[T, ...]:
        """Nothing."""
        return ()

    def decides(self, t: int) -> bool:
        """Whether the level changes at frame `t`.

        Raises:
            ValueError: If the sequence of decisions is too short.
        """
        if not callable(self.schedule) and t >= len(self.schedule):
            raise ValueError(
                f"a forced gate was given {len(self.schedule)} decisions, but frame {t} is asked "
                "for; give a longer sequence, or a function of t"
            )
        return bool(self.schedule(t) if callable(self.schedule) else self.schedule[t])


class _ForcedCell(GateCell):
    size = 1

    def __init__(self, gate: Forced) -> None:
        super().__init__()
        self.gate = gate

    def tick(self, g: Any, t: int, known: tuple[Tensor, ...], z: Tensor) -> tuple[Any, Logit]:
        return g, z.new_full(z.shape[:-1], 1.0 if self.gate.decides(t) else -1.0)

    def prior(self, logit: Logit, open: Tensor | None) -> dist.TorchDistribution:
        decision = force(logit)
        decided = decision > 0
        return Decided((decided if open is None else decided & open).to(decision.dtype))

    def infer(
        self, q: Tensor, change: Tensor, static: Tensor, logit: Logit, open: Tensor | None
    ) -> dist.TorchDistribution:
        return self.prior(logit, open)
