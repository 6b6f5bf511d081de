"""KL per channel: closed form, sums that are the level's KL, thresholds, refusals."""

import json
from collections.abc import Callable
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
import torch.distributions as td
from pyro import poutine
from pyro.poutine import Trace
from torch import Tensor

from pyrovp import sites
from pyrovp.analysis.channels import channel_kls, channel_report, infer_channels
from pyrovp.distributions import DiagonalNormal, Held, TemporalMixture
from pyrovp.infer import level_kls
from pyrovp.memo import memoised
from tests.oracles.tiny import close, randn
from tests.systems import clip, tiny_cwvae, tiny_dlh, tiny_mixed

B, T = 2, 5

Make = Callable[[int], Any]


def trace_of(draw: Callable[[int], Any], level: int = 1) -> Trace:
    """A program that draws one state at each of three ticks."""

    def program() -> None:
        with pyro.plate("sequences", B, dim=-1):
            for t in range(3):
                pyro.sample(f"z_{level}_{t}", draw(t))

    return poutine.trace(program).get_trace()


def moments(event: tuple[int, ...], seed: int) -> tuple[Tensor, Tensor]:
    """Mean and std of three ticks [3, B, *event]."""
    mean = randn(3, B, *event, seed=seed)
    return mean, 0.3 + randn(3, B, *event, seed=seed + 1).square()


EVENTS = [(4,), (1,), (3, 2, 2), (5, 1, 1)]


@pytest.mark.parametrize("event", EVENTS)
def test_the_mean_over_ticks_of_the_sum_over_positions(event: tuple[int, ...]) -> None:
    """Of torch's KL of each unit."""
    q, p = moments(event, 1), moments(event, 5)
    made = [
        trace_of(lambda t, m=m: DiagonalNormal.of(m[0][t], m[1][t], len(event)))  # type: ignore[misc]
        for m in (p, q)
    ]
    each = td.kl_divergence(td.Normal(*q), td.Normal(*p))
    expected = each.mean(0).flatten(2).sum(2) if len(event) == 3 else each.mean(0)
    found = channel_kls(*made)
    assert list(found) == [1] and found[1].shape == (B, event[0])
    close(found[1], expected)


@pytest.mark.parametrize("event", EVENTS)
def test_stock_normals_have_channels_too(event: tuple[int, ...]) -> None:
    q, p = moments(event, 1), moments(event, 5)

    def ours(m: tuple[Tensor, Tensor]) -> Trace:
        return trace_of(lambda t: DiagonalNormal.of(m[0][t], m[1][t], len(event)))

    def theirs(m: tuple[Tensor, Tensor]) -> Trace:
        return trace_of(lambda t: dist.Normal(m[0][t], m[1][t]).to_event(len(event)))

    close(channel_kls(theirs(p), theirs(q))[1], channel_kls(ours(p), ours(q))[1])


def test_a_closed_tick_counts_as_nothing() -> None:
    """One of two sequences is closed at tick 1, both are at tick 2."""
    q, p = moments((3,), 1), moments((3,), 5)
    open = torch.tensor([[True, True], [True, False], [False, False]])
    held = randn(B, 3, seed=9)

    def level(m: tuple[Tensor, Tensor]) -> Trace:
        return trace_of(lambda t: Held(DiagonalNormal.of(m[0][t], m[1][t]), held, open[t]))

    each = td.kl_divergence(td.Normal(*q), td.Normal(*p)) * open.unsqueeze(-1)
    close(channel_kls(level(p), level(q))[1], each.sum(0) / 3)


def test_a_mixture_counts_as_its_chosen_component() -> None:
    q, static, change = moments((3,), 1), moments((3,), 5), moments((3,), 9)
    e = torch.tensor([[True, False], [False, True], [True, True]])
    packed = [torch.cat(m, -1) for m in (static, change)]
    p = trace_of(lambda t: TemporalMixture(e[t], packed[0][t], packed[1][t]))
    guide = trace_of(lambda t: DiagonalNormal.of(q[0][t], q[1][t]))
    mean, std = (torch.where(e.unsqueeze(-1), c, s) for s, c in zip(static, change, strict=True))
    each = td.kl_divergence(td.Normal(*q), td.Normal(mean, std))
    close(channel_kls(p, guide)[1], each.mean(0))


SYSTEMS: dict[str, Callable[[], tuple[Any, Any]]] = {
    "cwvae": tiny_cwvae,
    "dlh": tiny_dlh,
    "mixed": tiny_mixed,
}


def traces(model: Any, guide: Any) -> tuple[Trace, Trace]:
    torch.manual_seed(0)
    with torch.no_grad(), memoised():
        q = poutine.trace(guide).get_trace(clip(T))
        return poutine.trace(poutine.replay(model, trace=q)).get_trace(clip(T)), q


@pytest.mark.parametrize("system", SYSTEMS)
def test_channels_add_up_to_their_levels_kl(system: str) -> None:
    model, guide = SYSTEMS[system]()
    p, q = traces(model, guide)
    torch.manual_seed(0)
    found = infer_channels(model, guide, clip(T))
    levels = {level: groups for (kind, level), groups in level_kls(p, q).items() if kind == "z"}
    assert sorted(found) == sorted(levels) == list(range(1, len(levels) + 1))
    for level, groups in levels.items():
        ticks = sum(len(group.t) for group in groups)
        total = torch.cat([group.kl for group in groups]).sum(0)
        assert found[level].shape[0] == B and not found[level].requires_grad
        close(found[level].sum(1) * ticks, total)
    assert any((kl > 0).any() for kl in found.values())


def test_blind_levels_have_idle_channels() -> None:
    model, guide = tiny_cwvae()
    with torch.no_grad():
        q = poutine.trace(guide).get_trace(clip(T), blind={2})
        p = poutine.trace(poutine.replay(model, trace=q)).get_trace(clip(T))
    found = channel_kls(p, q)
    assert not found[2].any() and found[1].all() and found[3].all()


def test_levels_come_in_order_and_gates_are_left_out() -> None:
    p, q = traces(*tiny_dlh())
    kinds = {where.kind for name in q.stochastic_nodes if (where := sites.parse(name))}
    assert kinds == {"z", "e", "belief"}
    found = channel_kls(p, q)
    assert list(found) == [1, 2, 3] and all(kl.shape == (B, 2) for kl in found.values())


def test_the_report_counts_means_over_sequences() -> None:
    """A channel that is active in one of two sequences is so if the mean is above the line."""
    kl = torch.tensor([[0.0, 0.03, 0.019, 0.4, 0.14], [0.0, 0.0, 0.0, 0.0, 0.14]])
    quiet = torch.zeros(2, 3)
    found = channel_report({1: kl, 2: quiet})
    assert json.loads(json.dumps(found)) == found
    assert (found["active_above"], found["maximal_above"]) == (0.01, 0.15)
    assert found["z_1"]["kl"] == pytest.approx([0.0, 0.015, 0.0095, 0.2, 0.14])
    assert found["z_1"]["mean"] == pytest.approx(0.3645 / 5)
    counts = {name: [found[name][key] for key in ("channels", "active", "maximal")]
              for name in ("z_1", "z_2")}  # fmt: skip
    assert counts == {"z_1": [5, 3, 1], "z_2": [3, 0, 0]}


@pytest.mark.parametrize(
    "wrong", [dist.Laplace(torch.zeros(B, 3), 1.0).to_event(1), dist.Normal(torch.zeros(B), 1.0)]
)
def test_refuses_states_without_gaussian_channels(wrong: Any) -> None:
    made = trace_of(lambda t: wrong)
    with pytest.raises(ValueError, match=r"z_1_0 is drawn from a .*Gaussian states \[C\]"):
        channel_kls(made, made)


def test_refuses_a_model_of_other_sites() -> None:
    made = trace_of(lambda t: dist.Normal(torch.zeros(B, 3), 1.0).to_event(1))
    other = trace_of(lambda t: dist.Normal(torch.zeros(B, 3), 1.0).to_event(1), level=2)
    with pytest.raises(ValueError, match="model's trace has no site z_2_0.*belong together"):
        channel_kls(made, other)
