"""The mixture gate: a Bernoulli prior on change, with a memory of its own.

    g_t = GRU(what the level knows, g_{t-1}),   p(e_t = 1) = σ(w·g_t + b)

The memory ticks at every tick of the level's clock, changed or not, so that it can count time.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

import pyro.distributions as dist
import torch
from torch import Size, Tensor, nn

from pyrovp.cells import GRU
from pyrovp.checks import check_count
from pyrovp.distributions import NestedBernoulli
from pyrovp.gates.gate import Gate, GateCell, Logit
from pyrovp.gates.rules import KLComparison, Rule
from pyrovp.lazy import Lazy, stack_frames

__all__ = ["MixtureGate"]

T = TypeVar("T")


@dataclass(frozen=True)
class MixtureGate(Gate):
    """Chooses between the two components of a temporal mixture.

    Reference:
        Long-Horizon Video Prediction Using a Dynamic Latent Hierarchy (Zakharov, Guo, Fountas,
        2022), Eq. 2, 4, 5, 15 and Algorithm 1. Where the paper is silent: the gate's memory
        ticks at every frame, and levels above the first that stays copy their sample.

    Args:
        rule: How a guide infers e.
        size: Size of the gate's memory; 200 is the paper's.
        inputs: What the gate's memory reads: the level's memory or its last state.
        score: "open": the KL of e counts where the level below changed, which is what makes
            the nested model consistent; "all": everywhere, as Eq. 8c is written.
        fresh_static, static_sample, block_memory, detach_static: See `Gate`.

    Raises:
        ValueError: For an option that is not one of those named, or a size that is no whole number
            from 1 on.

    Example:
        >>> gate = MixtureGate(size=8).cell(inputs=(3,), state=2)
        >>> memory, logit = gate.tick(
        ...     gate.initial(4, torch.zeros(1)), t=0, known=(torch.ones(4, 3),), z=torch.ones(4, 2)
        ... )
        >>> gate.prior(logit, open=None).sample().shape
        torch.Size([4])
    """

    rule: Rule = field(default_factory=KLComparison)
    size: int = 200
    inputs: Literal["memory", "state"] = "memory"
    score: Literal["open", "all"] = "open"
    fresh_static: bool = True
    static_sample: Literal["copy", "redraw"] = "copy"
    block_memory: bool = True
    detach_static: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.rule, Rule):
            raise ValueError(
                f"MixtureGate: rule is an object, KLComparison() or VaDE(), got {self.rule!r}"
            )
        for name, allowed in (
            ("inputs", ("memory", "state")),
            ("score", ("open", "all")),
            ("static_sample", ("copy", "redraw")),
        ):
            if getattr(self, name) not in allowed:
                raise ValueError(
                    f"MixtureGate: {name} is one of {', '.join(allowed)}, "
                    f"got {getattr(self, name)!r}"
                )
        check_count("MixtureGate: size", self.size)

    def cell(self, inputs: tuple[int, ...], state: int) -> "GateCell":
        """h' = GRU(known, h);  p(e = 1) = σ(w·h' + b)."""
        return _MixtureCell(self, self.reads(inputs, state))

    def reads(self, known: tuple[T, ...], state: T) -> tuple[T, ...]:
        """What the level knows, or its last state."""
        return known if self.inputs == "memory" else (state,)


class _MixtureCell(GateCell):
    def __init__(self, gate: MixtureGate, inputs: tuple[int, ...]) -> None:
        super().__init__()
        self.gate = gate
        self.size = gate.size
        self.cell = GRU(gate.size).cell(*inputs)
        self.output = nn.Linear(gate.size, 1)

    def tick(self, g: Any, t: int, known: tuple[Tensor, ...], z: Tensor) -> tuple[Any, Logit]:
        tick = _Tick(self, g, known if self.gate.inputs == "memory" else (z,))
        return tick, tick

    def prior(self, logit: Logit, open: Tensor | None) -> dist.TorchDistribution:
        return NestedBernoulli(logit, open, score_closed=self.gate.score == "all")

    def infer(
        self, q: Tensor, change: Tensor, static: Tensor, logit: Logit, open: Tensor | None
    ) -> dist.TorchDistribution:
        return self.gate.rule.infer(q, change, static, logit, open)


class _Tick(Lazy):
    """A tick of a gate's memory, and the log-odds that come of it, when somebody asks."""

    def __init__(
        self, cell: _MixtureCell, before: "Tensor | _Tick", inputs: tuple[Tensor, ...]
    ) -> None:
        self.cell = cell
        self.before: Tensor | _Tick | None = before
        self.inputs = inputs
        self._memory: Tensor | None = None
        self._logit: Tensor | None = None
        self._graph = torch.is_grad_enabled()  # see `Deferred`

    @property
    def shape(self) -> Size:
        return self.inputs[0].shape[:-1]

    @property
    def pending(self) -> bool:
        return self._memory is None

    def value(self) -> Tensor:
        if self._logit is None:
            with torch.set_grad_enabled(self._graph):
                self._logit = self.cell.output(self.memory()).squeeze(-1)
        return self._logit

    def memory(self) -> Tensor:
        """The gate's memory after this tick; catches up with all ticks before it."""
        start, ticks = self._pending_since()
        for tick in ticks:
            start = tick._memory = self.cell.cell.step(start, *tick.inputs)
            tick.before = None  # what has been computed needs its past no more
        return start

    def _pending_since(self) -> "tuple[Tensor, list[_Tick]]":
        """The last memory that is known, and the ticks since, this one included."""
        ticks: list[_Tick] = []
        tick: Tensor | _Tick | None = self
        while isinstance(tick, _Tick):
            if tick._memory is not None:
                return tick._memory, ticks[::-1]
            ticks.append(tick)
            tick = tick.before
        assert tick is not None
        return tick, ticks[::-1]

    @classmethod
    def stack_all(cls, values: "Sequence[_Tick]") -> Tensor | None:
        """The log-odds of consecutive ticks, their memories by one scan."""
        start, ticks = values[-1]._pending_since()
        if [id(tick) for tick in ticks[-len(values) :]] != [id(value) for value in values]:
            return None
        inputs = zip(*(tick.inputs for tick in ticks), strict=True)
        cell = values[0].cell
        memories = cell.cell.scan(start, *(stack_frames(part) for part in inputs))
        logits = cell.output(memories[..., -len(values) :, :]).squeeze(-1)
        return logits.movedim(-1, 0)
