r"""KLs of a hierarchy's levels, read from a guide's trace and the model replayed against it.

The ticks of a level are stacked and their KL is taken in one operation. It is analytic where
the two distributions have a closed form *and* the guide had drawn, before the site, everything
that the model had; else it is the sampled log-ratio log q - log p. The second condition is what
a guide that draws its gates ahead of the states (VTA) fails: the model's gate then depends on
values that were drawn given the gate, and the closed form would be another number.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import pyro.distributions as dist
import torch
from pyro.distributions.util import scale_and_mask
from pyro.poutine import Trace
from torch import Tensor
from torch.distributions import Distribution, kl_divergence
from torch.distributions import Independent as TorchIndependent

from pyrovp import sites
from pyrovp.distributions import (
    Carried,
    Decided,
    DiagonalNormal,
    Held,
    LogitRelaxedBernoulli,
    NestedBernoulli,
    TemporalMixture,
    normal_kl,
)
from pyrovp.lazy import stack

__all__ = ["Ticks", "kl_over_time", "latents", "level_kls"]

Key = tuple[str, int]


class Ticks(NamedTuple):
    """KLs of some ticks of one level.

    Args:
        t: The frames of the ticks.
        kl: In nats, [N, ...], N ticks by the batch.
    """

    t: list[int]
    kl: Tensor


class _Tick(NamedTuple):
    t: int
    q: Distribution
    p: Distribution
    value: Tensor
    analytic: bool
    change: Tensor | None  # a soft posterior's probability of change, for mixtures


def latents(trace: Trace) -> Iterator[tuple[str, dict[str, Any]]]:
    """The latent sample sites of a trace, beliefs (which only carry a value) left out."""
    for name, node in trace.nodes.items():
        if node["type"] == "sample" and not node["is_observed"]:
            if not isinstance(node["fn"], Carried) and type(node["fn"]).__name__ != "_Subsample":
                yield name, node


def level_kls(model: Trace, guide: Trace) -> dict[Key, list[Ticks]]:
    """KLs by (kind, level), each in groups of ticks that share a form.

    A latent whose name is not a level's appears under (its name, 0).

    Args:
        model: Trace of the model, replayed against the guide's.
        guide: Trace of the guide.

    Raises:
        ValueError: If the two programs do not have the same latent sites.
    """
    q_nodes, p_nodes = dict(latents(guide)), dict(latents(model))
    if q_nodes.keys() != p_nodes.keys():
        raise ValueError(_mismatch(set(q_nodes), set(p_nodes)))
    safe = _drawn_in_order(list(p_nodes), list(q_nodes))
    groups: dict[Any, list[_Tick]] = defaultdict(list)
    for name, node in p_nodes.items():
        q, p = q_nodes[name]["fn"], node["fn"]
        where = sites.parse(name)
        kind, level, t = where if where is not None else (name, 0, 0)
        change = None
        if kind == sites.STATE:
            change = _soft_change(q_nodes, level, t)
        scale = q_nodes[name]["scale"], q_nodes[name]["mask"]
        form = (kind, level, _form(q), _form(p), safe[name], change is None, *map(_same, scale))
        groups[form].append(_Tick(t, q, p, node["value"], safe[name], change))
    result: dict[Key, list[Ticks]] = defaultdict(list)
    for (kind, level, *_), ticks in groups.items():
        name = sites.site(kind, level, ticks[0].t) if level else kind
        node = q_nodes[name]
        kl = scale_and_mask(_stacked_kl(ticks), node["scale"], node["mask"])
        result[kind, level].append(Ticks([tick.t for tick in ticks], kl))
    return dict(result)


def kl_over_time(model: Trace, guide: Trace, length: int) -> dict[int, Tensor]:
    """KL of the states by level in nats, {level: [B, T]}; 0 at frames without a tick.

    Args:
        model: Trace of the model, replayed against the guide's.
        guide: Trace of the guide.
        length: T.
    """
    result = {}
    for (kind, level), groups in level_kls(model, guide).items():
        if kind == sites.STATE:
            kl = groups[0].kl.new_zeros(length, groups[0].kl.shape[-1])
            for ticks in groups:
                kl[ticks.t] = ticks.kl
            result[level] = kl.t()
    return dict(sorted(result.items()))


def _mismatch(guide: set[str], model: set[str]) -> str:
    def some(names: set[str]) -> str:
        shown = sorted(names)[:5]
        return ", ".join(shown) + (f" and {len(names) - 5} more" if len(names) > 5 else "")

    parts = []
    if guide - model:
        parts.append(f"only the guide draws {some(guide - model)}")
    if model - guide:
        parts.append(f"only the model draws {some(model - guide)}")
    return "model and guide do not have the same latent sites: " + "; ".join(parts)


def _drawn_in_order(model: list[str], guide: list[str]) -> dict[str, bool]:
    """For each site, whether all that the model drew before it the guide drew before it too."""
    position = {name: i for i, name in enumerate(guide)}
    safe, latest = {}, -1
    for name in model:
        safe[name] = latest < position[name]
        latest = max(latest, position[name])
    return safe


def _soft_change(q_nodes: dict[str, dict[str, Any]], level: int, t: int) -> Tensor | None:
    """q(e = 1) of a soft gate, where the KL of its level's state may be averaged over it (Eq. 9).

    That takes a posterior of z that is the same whichever e was drawn. It is not where it is a
    temporal mixture itself (a blind level, or one that keeps its belief where e = 0), nor where
    the level above is gated too: what that hands down hangs on e.
    """
    gate = q_nodes.get(sites.site(sites.GATE, level, t))
    if gate is None or not isinstance(gate["fn"], NestedBernoulli):
        return None
    q = q_nodes[sites.site(sites.STATE, level, t)]["fn"]
    depends = isinstance(q.base if isinstance(q, Held) else q, TemporalMixture)
    if depends or sites.site(sites.GATE, level + 1, t) in q_nodes:
        return None
    return gate["fn"].mean


def _same(scale: Any) -> Any:
    """Key of a scale or mask: numbers by value (plates make their own), tensors by identity."""
    return (id(scale),) if isinstance(scale, Tensor) else scale


def _form(d: Any) -> tuple[Any, ...]:
    """What two distributions must share to be stacked."""
    inner = _form(d.base) if isinstance(d, Held) else ()
    opened = d.open is None if isinstance(d, NestedBernoulli) else False
    counted = d.score_closed if isinstance(d, NestedBernoulli) else False
    relaxed = id(d.temperature) if isinstance(d, LogitRelaxedBernoulli) else None
    return (type(d), d.batch_shape, d.event_shape, opened, counted, relaxed, *inner)


def _stacked_kl(ticks: list[_Tick]) -> Tensor:
    q, p = [tick.q for tick in ticks], [tick.p for tick in ticks]
    if not ticks[0].analytic:
        return _sampled(ticks)
    first_q, first_p = q[0], p[0]
    if isinstance(first_q, Held) and isinstance(first_p, Held):
        inner = [
            tick._replace(q=a.base, p=b.base)  # type: ignore[attr-defined]
            for tick, a, b in zip(ticks, q, p, strict=True)
        ]
        open = torch.stack([a.open for a in q])  # type: ignore[attr-defined]
        return torch.where(open, _stacked_kl(inner), 0.0)
    if ticks[0].change is not None and isinstance(first_p, TemporalMixture):
        return _soft(ticks)
    stack_q, stack_p = _STACKS.get(type(first_q)), _STACKS.get(type(first_p))
    if stack_q is not None and stack_p is not None:
        return _closed_form(stack_q(q), stack_p(p), ticks)
    try:
        return torch.stack([_kl(a, b) for a, b in zip(q, p, strict=True)])
    except NotImplementedError:
        return _sampled(ticks)


def _closed_form(q: Any, p: Any, ticks: list[_Tick]) -> Tensor:
    try:
        return _kl(q, p)
    except NotImplementedError:
        return _sampled(ticks)


def _kl(q: Any, p: Any) -> Tensor:
    if isinstance(q, TorchIndependent) and isinstance(p, TorchIndependent):
        inner = kl_divergence(q.base_dist, p.base_dist)
        return dist.util.sum_rightmost(inner, q.reinterpreted_batch_ndims)
    return kl_divergence(q, p)


def _sampled(ticks: list[_Tick]) -> Tensor:
    q, p = [tick.q for tick in ticks], [tick.p for tick in ticks]
    if type(q[0]) is type(p[0]) is LogitRelaxedBernoulli:
        value = torch.stack([tick.value for tick in ticks])
        return _relaxed(q).log_prob(value) - _relaxed(p).log_prob(value)
    ratios = [tick.q.log_prob(tick.value) - tick.p.log_prob(tick.value) for tick in ticks]
    return torch.stack(ratios)


def _soft(ticks: list[_Tick]) -> Tensor:
    """q(e = 1) KL[q ‖ change] + q(e = 0) KL[q ‖ static] (DLH, Eq. 9)."""
    q = torch.stack([tick.q.parameters for tick in ticks])  # type: ignore[attr-defined]
    p = _mixtures([tick.p for tick in ticks])  # type: ignore[misc]
    weight = torch.stack([tick.change for tick in ticks]).detach()  # type: ignore[misc]
    change, static = (normal_kl(q, part, p.event_dim) for part in (p.change, p.static))
    return weight * change + (1 - weight) * static


def _normals(ds: list[DiagonalNormal]) -> DiagonalNormal:
    return DiagonalNormal(stack([d.raw for d in ds]), ds[0].event_dim)


def _mixtures(ds: list[TemporalMixture]) -> TemporalMixture:
    batch = len(ds[0].batch_shape)
    e, static = torch.stack([d.e for d in ds]), torch.stack([d.static for d in ds])
    change = stack([d.raw for d in ds])
    events = ds[0].event_dim
    static, change = (_led(part, batch + events) for part in (static, change))
    return TemporalMixture(_led(e, batch), static, change, events)


def _led(ticks: Tensor, dims: int) -> Tensor:
    """Stacked ticks, [N, ...], of a part that may lack the particles' dimension."""
    missing = 1 + dims - ticks.dim()
    return ticks[(slice(None), *[None] * missing)] if missing else ticks


def _bernoullis(ds: list[NestedBernoulli]) -> NestedBernoulli:
    open = None if ds[0].open is None else torch.stack([d.open for d in ds])  # type: ignore
    return NestedBernoulli(stack([d.raw for d in ds]), open, ds[0].score_closed)


def _points(ds: list[dist.Delta]) -> dist.Delta:
    v = torch.stack([d.v for d in ds])
    return dist.Delta(v, event_dim=ds[0].event_dim, validate_args=False)


def _relaxed(ds: Sequence[Any]) -> LogitRelaxedBernoulli:
    return LogitRelaxedBernoulli(ds[0].temperature, stack([d.raw for d in ds]))


def _decisions(ds: list[Decided]) -> Decided:
    return Decided(torch.stack([d.e for d in ds]))


_STACKS: dict[type, Callable[[list[Any]], Any]] = {
    DiagonalNormal: _normals,
    TemporalMixture: _mixtures,
    NestedBernoulli: _bernoullis,
    dist.Delta: _points,
    Decided: _decisions,
}
