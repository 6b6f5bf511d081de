r"""The evidence lower bound of a hierarchy, with one KL per level.

    loss = - Σ_B [ log p(x | z) - Σ_{kind, level} β_level KL_{kind, level} ]

An ordinary `pyro.infer.ELBO`: equal to `TraceMeanField_ELBO` term by term where every KL is
analytic, and in mean to `Trace_ELBO` for every program. It reads no tensor back to the host.

Gradients are pathwise. A guide that *draws* a gate from a distribution with parameters (a blind
gated level does, from its prior) gets no score-function term for them here; `Trace_ELBO` adds it.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from pyro import poutine
from pyro.distributions.util import scale_and_mask
from pyro.infer import ELBO
from pyro.poutine import Trace
from torch import Tensor

from pyrovp import sites
from pyrovp.infer.kl import level_kls
from pyrovp.memo import memoised
from pyrovp.programs import check_same

__all__ = ["Bound", "HierarchyELBO"]

PerLevel = float | Sequence[float] | Tensor


class Bound(NamedTuple):
    """An evaluated bound and its parts.

    Args:
        loss: What is minimised, summed over the batch; nats.
        likelihood: log p(x | z) of each sequence, pixels and frames summed; nats, [..., B].
        kl: KL of each (kind, level), summed over ticks, without β; nats, [..., B].
        gates: e at each tick of each gated level, {level: [N, ..., B]}.
    """

    loss: Tensor
    likelihood: Tensor
    kl: dict[tuple[str, int], Tensor]
    gates: dict[int, Tensor]


class HierarchyELBO(ELBO):
    """The negative bound as a loss; `HierarchyELBO()(model, guide)` is a module.

    Args:
        beta: Weight of the KLs: a number, L of them for one per level, or a tensor (scalar or
            [L]) whose values an annealing schedule may change in place.
        free_nats: KL of each level, tick and sequence below which there is nothing to gain: a
            number or L of them. The bound is no longer one below that.
        memo: Whether what the guide computed is computed only once; see `pyrovp.memo`.
        num_particles: Samples that the bound is averaged over.
        vectorize_particles: Whether they are drawn in parallel, in a plate at dim -2.

    Raises:
        ValueError: For fewer than one particle; in a call, where β or the free nats are given
            for another number of levels.

    Reference:
        β-VAE (Higgins et al., 2017); free nats (Kingma et al., 2016, Appendix C.8, per tick).

    Example:
        >>> from pyrovp import guides, models
        >>> model = models.rssm(state=2, memory=8, hidden=8, resolution=16, width=0.1)
        >>> loss = HierarchyELBO(beta=0.5)(model, guides.rssm(model))
        >>> loss(torch.rand(2, 3, 1, 16, 16)).shape
        torch.Size([])
    """

    def __init__(
        self,
        *,
        beta: PerLevel = 1.0,
        free_nats: PerLevel = 0.0,
        memo: bool = True,
        num_particles: int = 1,
        vectorize_particles: bool = False,
    ) -> None:
        if num_particles < 1:
            raise ValueError(f"a bound needs at least 1 particle, got {num_particles}")
        super().__init__(
            num_particles=num_particles,
            max_plate_nesting=1,
            vectorize_particles=vectorize_particles,
        )
        self.beta: PerLevel = beta
        self.free_nats: PerLevel = free_nats
        self.memo = memo

    def bound(
        self,
        model: Callable[..., Any],
        guide: Callable[..., Any],
        *args: Any,
        **kwargs: Any,
    ) -> Bound:
        """Runs guide and model once (all particles of them) and returns the bound's parts."""
        check_same(model, guide)
        # One table for all particles: what depends on frames only is the same for each.
        with memoised(self.memo):
            return self._bound(model, guide, *args, **kwargs)

    def _bound(
        self, model: Callable[..., Any], guide: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> Bound:
        if self.vectorize_particles and self.num_particles > 1:
            one = self._one(
                self._vectorized_num_particles(model),
                self._vectorized_num_particles(guide),
                *args,
                **kwargs,
            )
            return one._replace(loss=one.loss / self.num_particles)
        bounds = [self._one(model, guide, *args, **kwargs) for _ in range(self.num_particles)]
        if len(bounds) == 1:
            return bounds[0]
        return Bound(
            torch.stack([b.loss for b in bounds]).mean(),
            torch.stack([b.likelihood for b in bounds]),
            {key: torch.stack([b.kl[key] for b in bounds]) for key in bounds[0].kl},
            {key: torch.stack([b.gates[key] for b in bounds], 1) for key in bounds[0].gates},
        )

    def differentiable_loss(
        self, model: Callable[..., Any], guide: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> Tensor:
        """The loss as a scalar tensor with gradient."""
        return self.bound(model, guide, *args, **kwargs).loss

    def loss(
        self, model: Callable[..., Any], guide: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> float:
        """The loss as a number, without gradient."""
        with torch.no_grad():
            return self.differentiable_loss(model, guide, *args, **kwargs).item()

    def loss_and_grads(
        self, model: Callable[..., Any], guide: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> float:
        """The loss as a number; gradients are added to the parameters'."""
        loss = self.differentiable_loss(model, guide, *args, **kwargs)
        loss.backward()
        return loss.item()

    def _get_trace(
        self, model: Callable[..., Any], guide: Callable[..., Any], args: Any, kwargs: Any
    ) -> tuple[Trace, Trace]:
        q = poutine.trace(guide).get_trace(*args, **kwargs)
        return poutine.trace(poutine.replay(model, trace=q)).get_trace(*args, **kwargs), q

    def _one(
        self, model: Callable[..., Any], guide: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> Bound:
        p, q = self._get_trace(model, guide, args, kwargs)
        likelihood = _likelihood(p)
        total, kls, by_level = likelihood.sum(), {}, level_kls(p, q)
        levels = max((level for _, level in by_level), default=0)
        _check_levels("beta", self.beta, levels)
        _check_levels("free_nats", self.free_nats, levels)
        for (kind, level), groups in by_level.items():
            kl = torch.cat([ticks.kl for ticks in groups])  # [N, ..., B]
            kls[kind, level] = kl.sum(0)
            free = _of_level(self.free_nats, level)
            if not (isinstance(free, float | int) and free == 0):
                kl = kl.clamp(min=free)
            total = total - _of_level(self.beta, level) * kl.sum()
        return Bound(-total, likelihood, kls, _gates(q))


def _likelihood(trace: Trace) -> Tensor:
    """Log-likelihood of what was observed, per sequence."""
    total: Any = 0.0
    for node in trace.nodes.values():
        if node["type"] == "sample" and node["is_observed"]:
            score = node["fn"].log_prob(node["value"])
            total = total + scale_and_mask(score, node["scale"], node["mask"])
    if not isinstance(total, Tensor):
        raise ValueError("the model observes nothing, so there is no evidence to bound")
    return total


def _gates(trace: Trace) -> dict[int, Tensor]:
    values: dict[int, list[Tensor]] = {}
    for name, node in trace.nodes.items():
        where = sites.parse(name)
        if where is not None and where.kind == sites.GATE:
            values.setdefault(where.level, []).append(node["value"].detach())
        elif where is not None and where.kind == sites.LOGIT_GATE:
            relaxed = node["value"].detach()
            values.setdefault(where.level, []).append((relaxed > 0).to(relaxed.dtype))
    return {level: torch.stack(ticks) for level, ticks in values.items()}


def _check_levels(name: str, value: PerLevel, levels: int) -> None:
    if _differs(value) and len(value) != levels:  # type: ignore[arg-type]
        raise ValueError(
            f"{name} is {value}, but the hierarchy has {levels} levels; give one number for each, "
            "or a single one"
        )


def _differs(value: PerLevel) -> bool:
    """Whether there is one value for each level."""
    return value.dim() == 1 if isinstance(value, Tensor) else isinstance(value, Sequence)


def _of_level(value: PerLevel, level: int) -> Any:
    if _differs(value):
        return value[level - 1] if level else value[0]  # type: ignore[index]
    return value
