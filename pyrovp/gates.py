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
from typing import Literal

import pyro.distributions as dist
import torch
from torch import Tensor, nn

from pyrovp.cells import GRU
from pyrovp.distributions import NestedBernoulli, normal_kl

__all__ = ["Forced", "Gate", "GateCell", "KLComparison", "MixtureGate", "Rule", "VaDE"]


class Rule(abc.ABC):
    """How a guide infers the gate from the beliefs."""

    @abc.abstractmethod
    def infer(
        self, q: Tensor, change: Tensor, static: Tensor, logit: Tensor, open: Tensor | None
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
        self, q: Tensor, change: Tensor, static: Tensor, logit: Tensor, open: Tensor | None
    ) -> dist.TorchDistribution:
        """A point mass on 1 where KL[q ‖ change] < KL[q ‖ static] and the level is open."""
        moved, stayed = _divergences(q, change, static)
        e = moved < stayed
        return dist.Delta((e if open is None else e & open).to(logit.dtype))


@dataclass(frozen=True)
class VaDE(Rule):
    """The soft assignment of a Gaussian-mixture VAE; the structure follows a draw from it.

    The analytic bound weighs the two KLs by q(e) (Eq. 9). The paper found it worse.

    Reference:
        As above, Eq. 34.
    """

    def infer(
        self, q: Tensor, change: Tensor, static: Tensor, logit: Tensor, open: Tensor | None
    ) -> dist.TorchDistribution:
        """Bernoulli with log-odds KL[q ‖ static] - KL[q ‖ change] + logit p(e = 1)."""
        moved, stayed = _divergences(q, change, static)
        return NestedBernoulli((stayed - moved + logit).detach(), open)


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
    def tick(self, g: Tensor, t: int, known: tuple[Tensor, ...], z: Tensor) -> tuple[Tensor, ...]:
        """(memory, logit): the gate's memory [..., G] and log-odds of a change [...] at frame t.

        Args:
            g: Memory so far.
            t: The frame.
            known: What the level knows before the levels above have drawn.
            z: Its last state.
        """

    @abc.abstractmethod
    def prior(self, logit: Tensor, open: Tensor | None) -> dist.TorchDistribution:
        """The prior of e where `open`."""

    def infer(
        self, q: Tensor, change: Tensor, static: Tensor, logit: Tensor, open: Tensor | None
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

    def tick(self, g: Tensor, t: int, known: tuple[Tensor, ...], z: Tensor) -> tuple[Tensor, ...]:
        inputs = known if self.gate.inputs == "memory" else (z,)
        g = self.cell.step(g, *inputs)
        return g, self.output(g).squeeze(-1)

    def prior(self, logit: Tensor, open: Tensor | None) -> dist.TorchDistribution:
        return NestedBernoulli(logit, open, score_closed=self.gate.score == "all")

    def infer(
        self, q: Tensor, change: Tensor, static: Tensor, logit: Tensor, open: Tensor | None
    ) -> dist.TorchDistribution:
        return self.gate.rule.infer(q, change, static, logit, open)


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

    def tick(self, g: Tensor, t: int, known: tuple[Tensor, ...], z: Tensor) -> tuple[Tensor, ...]:
        return g, z.new_full(z.shape[:-1], 1.0 if self.gate.decides(t) else -1.0)

    def prior(self, logit: Tensor, open: Tensor | None) -> dist.TorchDistribution:
        decided = logit > 0
        return dist.Delta((decided if open is None else decided & open).to(logit.dtype))

    def infer(
        self, q: Tensor, change: Tensor, static: Tensor, logit: Tensor, open: Tensor | None
    ) -> dist.TorchDistribution:
        return self.prior(logit, open)
