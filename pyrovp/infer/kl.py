r"""KLs of a hierarchy's levels, read from a guide's trace and the model replayed against it.

The ticks of a level are stacked and their KL is taken in one operation. It is analytic where
the two distributions have a closed form *and* the guide had drawn, before the site, everything
that the model had; else it is the sampled log-ratio log q - log p. The second condition is what
a guide that draws its gates ahead of the states (VTA) fails: the model's gate then depends on
values that were drawn given the gate, and the closed form would be another number.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
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
    DiagonalNormal,
    Held,
    NestedBernoulli,
    TemporalMixture,
    normal_kl,
)

__all__ = ["Ticks", "latents", "level_kls"]

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
        if node["type"] == "sample" and not node["is_observed"] and node["mask"] is not False:
            if isinstance(node["fn"], dist.MaskedDistribution) and node["fn"]._mask is False:
                continue
            if type(node["fn"]).__name__ != "_Subsample":
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
            gate = q_nodes.get(sites.site(sites.GATE, level, t))
            if gate is not None and isinstance(gate["fn"], NestedBernoulli):
                change = gate["fn"].mean
        scale = q_nodes[name]["scale"], q_nodes[name]["mask"]
        form = (kind, level, _form(q), _form(p), safe[name], change is None, *map(id, scale))
        groups[form].append(_Tick(t, q, p, node["value"], safe[name], change))
    result: dict[Key, list[Ticks]] = defaultdict(list)
    for (kind, level, *_), ticks in groups.items():
        name = sites.site(kind, level, ticks[0].t) if level else kind
        node = q_nodes[name]
        kl = scale_and_mask(_stacked_kl(ticks), node["scale"], node["mask"])
        result[kind, level].append(Ticks([tick.t for tick in ticks], kl))
    return dict(result)


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


def _form(d: Any) -> tuple[Any, ...]:
    """What two distributions must share to be stacked."""
    inner = _form(d.base) if isinstance(d, Held) else ()
    opened = d.open is None if isinstance(d, NestedBernoulli) else False
    counted = d.score_closed if isinstance(d, NestedBernoulli) else False
    return (type(d), d.batch_shape, d.event_shape, opened, counted, *inner)


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
    stack = _STACKS.get(type(first_q)), _STACKS.get(type(first_p))
    if stack[0] is not None and stack[1] is not None:
        return _closed_form(stack[0](q), stack[1](p), ticks)
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
        return dist.util.sum_rightmost(inner, q.reinterpreted_batch_ndims)  # type: ignore
    return kl_divergence(q, p)


def _sampled(ticks: list[_Tick]) -> Tensor:
    ratios = [tick.q.log_prob(tick.value) - tick.p.log_prob(tick.value) for tick in ticks]
    return torch.stack(ratios)


def _soft(ticks: list[_Tick]) -> Tensor:
    """q(e = 1) KL[q ‖ change] + q(e = 0) KL[q ‖ static] (DLH, Eq. 9)."""
    q = torch.stack([tick.q.parameters for tick in ticks])  # type: ignore[attr-defined]
    change = torch.stack([tick.p.change for tick in ticks])  # type: ignore[attr-defined]
    static = torch.stack([tick.p.static for tick in ticks])  # type: ignore[attr-defined]
    weight = torch.stack([tick.change for tick in ticks]).detach()  # type: ignore[misc]
    return weight * normal_kl(q, change) + (1 - weight) * normal_kl(q, static)


def _normals(ds: list[Any]) -> DiagonalNormal:
    return DiagonalNormal(torch.stack([d.parameters for d in ds]))


def _bernoullis(ds: list[NestedBernoulli]) -> NestedBernoulli:
    open = None if ds[0].open is None else torch.stack([d.open for d in ds])  # type: ignore
    return NestedBernoulli(torch.stack([d.logit for d in ds]), open, ds[0].score_closed)


def _points(ds: list[dist.Delta]) -> dist.Delta:
    return dist.Delta(torch.stack([d.v for d in ds]), event_dim=ds[0].event_dim)


_STACKS: dict[type, Callable[[list[Any]], Any]] = {
    DiagonalNormal: _normals,
    TemporalMixture: _normals,  # given e, a mixture is its component
    NestedBernoulli: _bernoullis,
    dist.Delta: _points,
}
