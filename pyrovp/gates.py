r"""Gates: whether a level changes at a tick.

A gate is a Bernoulli prior on change with a memory of its own, which ticks at every tick of the
level's clock, changed or not, so that it can count time; and the rule by which a guide infers e:

    KLComparison   e = 1  iff  KL[q ‖ change] < KL[q ‖ static]
    VaDE           q(e = 0) = σ(KL[q ‖ change] - KL[q ‖ static] + logit p(e = 0))

The smaller divergence wins. Neither comparison carries a gradient.
"""

import abc
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import pyro.distributions as dist
import torch
from torch import Size, Tensor, nn

from pyrovp.cells import GRU
from pyrovp.distributions import Decided, NestedBernoulli, normal_kl
from pyrovp.lazy import Lazy, force, stack_frames

__all__ = ["Forced", "Gate", "GateCell", "KLComparison", "MixtureGate", "Rule", "VaDE"]

Logit = Tensor | Lazy


class Rule(abc.ABC):
    """How a guide infers the gate from the beliefs."""

    @abc.abstractmethod
    def infer(
        self, q: Tensor, change: Tensor, static: Tensor, logit: Logit, open: Tensor | None
    ) -> dist.TorchDistribution:
        """The posterior of e.

        Args:
            q, change, static: Packed posterior, change prior and held belief, [..., 2Z].
            logit: Prior log-odds of a change [...].
            open: Where the level may change [...]; None: everywhere.
        """


@dataclass(frozen=True)
class KLComparison(Rule):
    """The component under which the posterior is more likely, taken with certainty.

    Reference:
        Long-Horizon Video Prediction Using a Dynamic Latent Hierarchy (Zakharov, Guo, Fountas,
        2022), Eq. 4 and 21.
    """

    def infer(
        self, q: Tensor, change: Tensor, static: Tensor, logit: Logit, open: Tensor | None
    ) -> dist.TorchDistribution:
        """A point mass on 1 where KL[q ‖ change] < KL[q ‖ static] and the level is open."""
        moved, stayed = _divergences(q, change, static)
        e = moved < stayed
        return _point((e if open is None else e & open).to(q.dtype))


@dataclass(frozen=True)
class VaDE(Rule):
    """The soft assignment of a Gaussian-mixture VAE; the structure follows a draw from it.

    The analytic bound weighs the two KLs by q(e) (Eq. 9). The paper found it worse.

    Reference:
        As above, Eq. 34.
    """

    def infer(
        self, q: Tensor, change: Tensor, static: Tensor, logit: Logit, open: Tensor | None
    ) -> dist.TorchDistribution:
        """Bernoulli with log-odds KL[q ‖ static] - KL[q ‖ change] + logit p(e = 1)."""
        moved, stayed = _divergences(q, change, static)
        return NestedBernoulli((stayed - moved + force(logit)).detach(), open)


def _point(e: Tensor) -> dist.TorchDistribution:
    # Delta's own check of its arguments would read them back to the host.
    return Decided(e, validate_args=False)


def _divergences(q: Tensor, change: Tensor, static: Tensor) -> tuple[Tensor, Tensor]:
    both = torch.stack(torch.broadcast_tensors(change, static))
    moved, stayed = normal_kl(q.detach(), both.detach()).unbind()
    return moved, stayed


class Gate(abc.ABC):
    """Describes whether a level changes at a tick, and what staying means.

    Attributes:
        rule: How a guide infers the gate.
        fresh_static: Whether a level that stays, while the one below changed, gets a new
            posterior and sample; False: it keeps both.
        static_sample: What a closed level does with its sample: keep it, or redraw it from the
            belief it holds.
        block_memory: Whether the level's memory moves on only where it changed.
        detach_static: Whether the static prior's gradient stops at the older belief.
    """

    rule: Rule
    fresh_static: bool
    static_sample: Literal["copy", "redraw"]
    block_memory: bool
    detach_static: bool

    @abc.abstractmethod
    def cell(self, inputs: tuple[int, ...], state: int) -> "GateCell":
        """The gate's network for a level that knows `inputs` and has a state of this size."""


class GateCell(nn.Module, abc.ABC):
    """A gate at work."""

    size: int

    def initial(self, batch: int, like: Tensor) -> Tensor:
        """The gate's memory before frame 0: zeros [B, G]."""
        return like.new_zeros(batch, self.size)

    @abc.abstractmethod
    def tick(self, g: Any, t: int, known: tuple[Tensor, ...], z: Tensor) -> tuple[Any, Logit]:
        """(memory, logit): the gate's memory and the log-odds of a change [...] at frame t.

        Both may be lazy: a guide that compares KLs has no use for them.

        Args:
            g: Memory so far, of `initial` or of the tick before.
            t: The frame.
            known: What the level knows before the levels above have drawn.
            z: Its last state.
        """

    @abc.abstractmethod
    def prior(self, logit: Logit, open: Tensor | None) -> dist.TorchDistribution:
        """The prior of e where `open`."""

    def infer(
        self, q: Tensor, change: Tensor, static: Tensor, logit: Logit, open: Tensor | None
    ) -> dist.TorchDistribution:
        """The posterior of e; see `Rule.infer`."""
        raise NotImplementedError


@dataclass(frozen=True)
class MixtureGate(Gate):
    """Chooses between the two components of a temporal mixture.

    Reference:
        Long-Horizon Video Prediction Using a Dynamic Latent Hierarchy (Zakharov, Guo, Fountas,
        2022), Eq. 2, 4, 5, 15 and Algorithm 1. Where the paper is silent: the gate's memory
        ticks at every frame, and a closed level copies its sample.

    Args:
        rule: How a guide infers e.
        size: Size of the gate's memory; None: 200, the paper's.
        inputs: What the gate's memory reads: the level's memory or its last state.
        score: "open": the KL of e counts where the level below changed, which is what makes
            the nested model consistent; "all": everywhere, as Eq. 8c is written.
        fresh_static, static_sample, block_memory, detach_static: See `Gate`.

    Raises:
        ValueError: For an option that is not one of those named.
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
        if self.size < 1:
            raise ValueError(f"MixtureGate: size is at least 1, got {self.size}")

    def cell(self, inputs: tuple[int, ...], state: int) -> "GateCell":
        """h' = GRU(known, h);  p(e = 1) = σ(w·h' + b)."""
        return _MixtureCell(self, inputs if self.inputs == "memory" else (state,))


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

    @property
    def shape(self) -> Size:
        return self.inputs[0].shape[:-1]

    @property
    def pending(self) -> bool:
        return self._memory is None

    def value(self) -> Tensor:
        if self._logit is None:
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


@dataclass(frozen=True)
class Forced(Gate):
    """A gate whose decisions are given: no parameters, no cost, the same in model and guide.

    Still nested: it opens only where the gated level below does.

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

    def decides(self, t: int) -> bool:
        """Whether the level changes at frame `t`."""
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
        return _point((decided if open is None else decided & open).to(decision.dtype))

    def infer(
        self, q: Tensor, change: Tensor, static: Tensor, logit: Logit, open: Tensor | None
    ) -> dist.TorchDistribution:
        return self.prior(logit, open)
