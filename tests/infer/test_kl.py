"""KLs read from two traces: stacked, they are each site's own; and when no closed form is due."""

from collections.abc import Callable
from itertools import product
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
import torch.distributions as td
import torch.nn.functional as F
from pyro import poutine
from pyro.poutine import Trace
from torch import Tensor

from pyrovp import sites
from pyrovp.distributions import (
    Decided,
    DiagonalNormal,
    Held,
    LogitRelaxedBernoulli,
    NestedBernoulli,
    TemporalMixture,
)
from pyrovp.gates import MixtureGate, VaDE
from pyrovp.infer import level_kls
from tests.oracles.tiny import close, randn
from tests.systems import clip, tiny_cwvae, tiny_dlh, tiny_mixed

Program = Callable[..., Any]


def traces(model: Program, guide: Program, *args: Any, **kwargs: Any) -> tuple[Trace, Trace]:
    q = poutine.trace(guide).get_trace(*args, **kwargs)
    args = args[:1]
    p = poutine.trace(poutine.replay(model, trace=q)).get_trace(*args)
    return p, q


def per_tick(p: Trace, q: Trace) -> dict[tuple[str, int], dict[int, Tensor]]:
    """KL of each tick, {(kind, level): {t: [...]}}."""
    return {
        key: {t: kl for ticks in groups for t, kl in zip(ticks.t, ticks.kl, strict=True)}
        for key, groups in level_kls(p, q).items()
    }


def normals(parameters: Tensor) -> td.Distribution:
    mean, std = parameters.chunk(2, -1)
    return td.Independent(td.Normal(mean, std), 1)


def by_hand(q: Any, p: Any) -> Tensor:
    """KL of one site, from torch's distributions and the definitions."""
    if isinstance(q, Held):
        return torch.where(q.open, by_hand(q.base, p.base), 0.0)
    if isinstance(q, Decided):
        p_closed = torch.zeros_like(q.e).bool() if p.open is None else ~p.open
        return -torch.where(p_closed, 0.0, F.logsigmoid(torch.where(q.e > 0, p.logit, -p.logit)))
    if isinstance(q, NestedBernoulli):
        kl = td.kl_divergence(td.Bernoulli(logits=q.logit), td.Bernoulli(logits=p.logit))
        return kl if q.open is None else torch.where(q.open, kl, 0.0)
    return td.kl_divergence(normals(q.parameters), normals(p.parameters))


SYSTEMS: dict[str, Callable[[], tuple[Any, Any]]] = {
    "cwvae": tiny_cwvae,
    "dlh": tiny_dlh,
    "dlh, two levels": lambda: tiny_dlh(levels=2),
    "dlh, beliefs kept": lambda: tiny_dlh(gate=MixtureGate(size=3, fresh_static=False)),
    "dlh, samples redrawn": lambda: tiny_dlh(gate=MixtureGate(size=3, static_sample="redraw")),
    "mixed": tiny_mixed,
}


@pytest.mark.parametrize("system", SYSTEMS)
def test_stacked_kls_are_each_sites_own(system: str) -> None:
    p, q = traces(*SYSTEMS[system](), clip(7))
    found = per_tick(p, q)
    latent = [n for n in q.stochastic_nodes if sites.parse(n) and not n.startswith("belief")]
    assert sum(map(len, found.values())) == len(latent) > 10
    for name in latent:
        where = sites.parse(name)
        assert where is not None
        actual = found[where.kind, where.level][where.t]
        assert actual.shape == (2,)
        close(actual, by_hand(q.nodes[name]["fn"], p.nodes[name]["fn"]))


def test_a_clocked_level_is_one_stack_of_its_ticks() -> None:
    kls = level_kls(*traces(*tiny_cwvae(), clip(7)))
    assert {key: [ticks.t for ticks in groups] for key, groups in kls.items()} == {
        ("z", 1): [[0, 1, 2, 3, 4, 5, 6]],
        ("z", 2): [[0, 2, 4, 6]],
        ("z", 3): [[0, 4]],
    }


def test_a_gated_level_is_frame_0_and_the_rest() -> None:
    kls = level_kls(*traces(*tiny_dlh(), clip(7)))
    assert {key: sorted(ticks.t for ticks in groups) for key, groups in kls.items()} == {
        ("z", 1): [[0, 1, 2, 3, 4, 5, 6]],
        ("z", 2): [[0], [1, 2, 3, 4, 5, 6]],
        ("z", 3): [[0], [1, 2, 3, 4, 5, 6]],
        ("e", 2): [[1, 2, 3, 4, 5, 6]],
        ("e", 3): [[1, 2, 3, 4, 5, 6]],
    }


def test_a_replayed_prior_runs_once_for_all_ticks() -> None:
    model, guide = tiny_cwvae()
    calls = [0, 0, 0]

    def count(n: int) -> Callable[..., None]:
        def hook(*_: Any) -> None:
            calls[n] += 1

        return hook

    for n, dynamics in enumerate(model.hierarchy.dynamics):
        dynamics.head.register_forward_hook(count(n))  # type: ignore[union-attr]
    level_kls(*traces(model, guide, clip(7)))
    assert calls == [1, 1, 1]


# Soft gates


def test_a_soft_gate_weighs_the_two_kls_by_its_probability() -> None:
    """q(e = 1) KL[q ‖ change] + q(e = 0) KL[q ‖ static] (DLH, Eq. 9), whatever was drawn."""
    p, q = traces(*tiny_dlh(levels=2, rule=VaDE()), clip(7))
    found = per_tick(p, q)
    drawn = torch.stack([q.nodes[f"e_2_{t}"]["value"] for t in range(1, 7)])
    assert 0 < drawn.mean() < 1
    for t in range(1, 7):
        belief, mixture = q.nodes[f"z_2_{t}"]["fn"], p.nodes[f"z_2_{t}"]["fn"]
        weight = q.nodes[f"e_2_{t}"]["fn"].logit.sigmoid()
        moved = td.kl_divergence(normals(belief.parameters), normals(mixture.change))
        stayed = td.kl_divergence(normals(belief.parameters), normals(mixture.static))
        close(found["z", 2][t], weight * moved + (1 - weight) * stayed)


@pytest.mark.parametrize(
    ("levels", "gate"),
    [
        (3, MixtureGate(rule=VaDE(), size=3)),
        (2, MixtureGate(rule=VaDE(), size=3, fresh_static=False)),
        (2, MixtureGate(rule=VaDE(), size=3, fresh_static=False, static_sample="redraw")),
    ],
)
def test_no_average_over_a_gate_that_the_posterior_hangs_on(
    levels: int, gate: MixtureGate
) -> None:
    """Level 2's own posterior, or what level 3 hands down, differs with e."""
    p, q = traces(*tiny_dlh(levels=levels, gate=gate), clip(7))
    for t, kl in per_tick(p, q)["z", 2].items():
        close(kl, by_hand(q.nodes[f"z_2_{t}"]["fn"], p.nodes[f"z_2_{t}"]["fn"]))


@pytest.mark.parametrize(
    ("rule", "blind"), list(product([None, VaDE()], [{1}, {2}, {3}, {2, 3}, {1, 2, 3}]))
)
def test_a_blind_level_costs_nothing(rule: Any, blind: set[int]) -> None:
    model, guide = tiny_dlh(rule=rule)
    found = per_tick(*traces(model, guide, clip(5), blind=blind))
    for (_, level), ticks in found.items():
        total = torch.stack(list(ticks.values())).sum()
        if level in blind:
            # The same prior twice, once for each tick and once for all: rounding only.
            close(total, torch.zeros_like(total), atol=1e-12)
        else:
            assert total > 0.01


# Which sites may have a closed form

N = 4000


def gate_first_guide() -> None:
    with pyro.plate("sequences", N, dim=-1):
        e = pyro.sample("e_2_1", NestedBernoulli(torch.full((N,), 0.4, dtype=torch.float64)))
        mean = (2 * e - 1).unsqueeze(-1)
        pyro.sample("z_2_1", DiagonalNormal.of(mean, torch.full_like(mean, 0.5)))


def state_first_model() -> None:
    with pyro.plate("sequences", N, dim=-1):
        zeros = torch.zeros(N, 1, dtype=torch.float64)
        z = pyro.sample("z_2_1", DiagonalNormal.of(zeros, torch.ones_like(zeros)))
        pyro.sample("e_2_1", NestedBernoulli(3 * z.squeeze(-1)))


def exact_gate_terms() -> tuple[float, float]:
    """(E_q[log q(e) - log p(e | z)], E_q[closed form at the drawn z]), by quadrature."""
    z = torch.linspace(-8, 8, 20_001, dtype=torch.float64)
    q = td.Bernoulli(logits=torch.tensor(0.4, dtype=torch.float64))
    truth = closed = torch.zeros((), dtype=torch.float64)
    for e in (torch.tensor(0.0).double(), torch.tensor(1.0).double()):
        density = td.Normal(2 * e - 1, 0.5).log_prob(z).exp() * q.log_prob(e).exp()
        p = td.Bernoulli(logits=3 * z)
        truth = truth + torch.trapezoid(density * (q.log_prob(e) - p.log_prob(e)), z)
        closed = closed + torch.trapezoid(density * td.kl_divergence(q, p), z)
    return float(truth), float(closed)


def test_a_gate_that_was_drawn_before_its_models_parents_gets_the_sampled_ratio() -> None:
    p, q = traces(state_first_model, gate_first_guide)
    found = per_tick(p, q)
    e, nodes = q.nodes["e_2_1"]["value"], (q.nodes["e_2_1"]["fn"], p.nodes["e_2_1"]["fn"])
    ratio = nodes[0].log_prob(e) - nodes[1].log_prob(e)
    close(found["e", 2][1], ratio)
    # The closed form is another number: 0.88 nats where the truth is -0.56.
    truth, closed = exact_gate_terms()
    assert abs(closed - truth) > 1
    error = float(ratio.std()) / N**0.5
    assert abs(float(ratio.mean()) - truth) < 6 * error, "6 sigma: a false-alarm rate of 2e-9"
    assert abs(float(td.kl_divergence(*nodes).mean()) - truth) > 20 * error
    # The state's KL is analytic: the model had drawn nothing before it.
    close(
        found["z", 2][1],
        td.kl_divergence(
            normals(q.nodes["z_2_1"]["fn"].parameters), normals(p.nodes["z_2_1"]["fn"].parameters)
        ),
    )


def test_the_same_order_gets_the_closed_form() -> None:
    def guide() -> None:
        with pyro.plate("sequences", 4, dim=-1):
            z = pyro.sample("z_2_1", DiagonalNormal(torch.ones(4, 2, dtype=torch.float64)))
            pyro.sample("e_2_1", NestedBernoulli(z.squeeze(-1)))

    def model() -> None:
        with pyro.plate("sequences", 4, dim=-1):
            z = pyro.sample("z_2_1", DiagonalNormal(torch.ones(4, 2, dtype=torch.float64)))
            pyro.sample("e_2_1", NestedBernoulli(3 * z.squeeze(-1)))

    p, q = traces(model, guide)
    expected = td.kl_divergence(
        td.Bernoulli(logits=q.nodes["e_2_1"]["fn"].logit),
        td.Bernoulli(logits=p.nodes["e_2_1"]["fn"].logit),
    )
    close(per_tick(p, q)["e", 2][1], expected)


def test_only_the_sites_out_of_order_lose_their_closed_form() -> None:
    """Both gates drawn first (as VTA does): the states' KLs stay analytic."""

    def walk(names: list[str]) -> None:
        for name in names:
            if name.startswith("z"):
                pyro.sample(name, DiagonalNormal(1 + randn(4, 2).abs()))
            else:
                pyro.sample(name, NestedBernoulli(randn(4, seed=len(names[0]))))

    def guide() -> None:
        with pyro.plate("sequences", 4, dim=-1):
            walk(["e_2_1", "e_2_2", "z_2_1", "z_2_2"])

    def model() -> None:
        with pyro.plate("sequences", 4, dim=-1):
            walk(["e_2_1", "z_2_1", "e_2_2", "z_2_2"])

    groups = level_kls(*traces(model, guide))
    assert sorted(ticks.t for ticks in groups["e", 2]) == [[1], [2]], "two forms"
    assert [ticks.t for ticks in groups["z", 2]] == [[1, 2]]


@pytest.mark.parametrize(("temperatures", "scores"), [((0.5, 0.5), 2), ((0.5, 0.7), 4)])
def test_relaxed_gates_of_one_temperature_are_scored_at_once(
    temperatures: tuple[float, float], scores: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    taus = {value: torch.tensor(value, dtype=torch.float64) for value in temperatures}

    def program(seed: int) -> Callable[[], None]:
        def draw() -> None:
            with pyro.plate("sequences", 4, dim=-1):
                for t, temperature in enumerate(temperatures, 1):
                    gate = LogitRelaxedBernoulli(taus[temperature], randn(4, seed=seed + t))
                    pyro.sample(f"elogit_2_{t}", gate)

        return draw

    p, q = traces(program(10), program(20))
    score, calls = LogitRelaxedBernoulli.log_prob, []

    def counted(d: Any, value: Tensor) -> Tensor:
        calls.append(value)
        return score(d, value)

    monkeypatch.setattr(LogitRelaxedBernoulli, "log_prob", counted)
    found = level_kls(p, q)["elogit", 2]
    assert len(calls) == scores
    kl = {t: kl for ticks in found for t, kl in zip(ticks.t, ticks.kl, strict=True)}
    for t in (1, 2):
        nodes = [trace.nodes[f"elogit_2_{t}"] for trace in (q, p)]
        ratio = [score(node["fn"], q.nodes[f"elogit_2_{t}"]["value"]) for node in nodes]
        close(kl[t], ratio[0] - ratio[1])


# Whose sites


def test_the_users_own_sites_keep_their_names() -> None:
    def guide() -> None:
        with pyro.plate("sequences", 4, dim=-1):
            pyro.sample("style", dist.Normal(randn(4, 3), 0.5).to_event(1))
            pyro.sample("angle", dist.Cauchy(randn(4), 1.0))
            pyro.sample("elogit_2_1", LogitRelaxedBernoulli(torch.tensor(0.5), randn(4)))

    def model() -> None:
        with pyro.plate("sequences", 4, dim=-1):
            pyro.sample("style", dist.Normal(torch.zeros(4, 3).double(), 1.0).to_event(1))
            pyro.sample("angle", dist.Normal(torch.zeros(4).double(), 2.0))
            pyro.sample("elogit_2_1", LogitRelaxedBernoulli(torch.tensor(0.7), randn(4, seed=2)))

    p, q = traces(model, guide)
    found = {key: groups[0].kl[0] for key, groups in level_kls(p, q).items()}
    assert found.keys() == {("style", 0), ("angle", 0), ("elogit", 2)}
    style = td.kl_divergence(td.Normal(randn(4, 3), 0.5), td.Normal(0.0, 1.0)).sum(-1)
    close(found["style", 0], style)
    for name, key in (("angle", ("angle", 0)), ("elogit_2_1", ("elogit", 2))):
        value = q.nodes[name]["value"]  # no closed form: the sampled log-ratio
        ratio = q.nodes[name]["fn"].log_prob(value) - p.nodes[name]["fn"].log_prob(value)
        close(found[key], ratio)


@pytest.mark.parametrize(
    ("guide_names", "model_names", "message"),
    [
        (["z_1_0", "z_2_0"], ["z_1_0"], "only the guide draws z_2_0$"),
        (["z_1_0"], ["z_1_0", "z_1_1"], "only the model draws z_1_1$"),
        (["z_1_0", "z_1_7"], ["z_1_0", "z_9_0"], "guide draws z_1_7; only the model draws z_9_0"),
        (["z_1_0"], [f"z_1_{t}" for t in range(9)], "z_1_1, z_1_2, .*z_1_5 and 3 more"),
    ],
)
def test_different_sites_are_an_error_that_names_them(
    guide_names: list[str], model_names: list[str], message: str
) -> None:
    def program(names: list[str]) -> Callable[[], None]:
        def run() -> None:
            for name in names:
                pyro.sample(name, DiagonalNormal(torch.ones(4)))

        return run

    q = poutine.trace(program(guide_names)).get_trace()
    p = poutine.trace(program(model_names)).get_trace()
    with pytest.raises(ValueError, match=message):
        level_kls(p, q)


def test_different_forms_of_one_level_are_all_counted() -> None:
    """A level whose ticks are of different kinds has a group for each."""

    def guide() -> None:
        for t in range(4):
            d = DiagonalNormal(1 + randn(4, 4, seed=t).abs())
            pyro.sample(f"z_1_{t}", d if t % 2 else Held(d, randn(4, 2), randn(4, seed=t) > 0))

    def model() -> None:
        for t in range(4):
            belief = 1 + randn(4, 4, seed=t + 9).abs()
            d = TemporalMixture(randn(4, seed=t) > 0, belief, belief + 1)
            pyro.sample(f"z_1_{t}", d if t % 2 else Held(d, randn(4, 2), randn(4, seed=t) > 0))

    p, q = traces(model, guide)
    found = per_tick(p, q)["z", 1]
    assert sorted(found) == [0, 1, 2, 3]
    for t in range(4):
        close(found[t], by_hand(q.nodes[f"z_1_{t}"]["fn"], p.nodes[f"z_1_{t}"]["fn"]))


# Pyro's handlers


@pytest.mark.parametrize("system", ["cwvae", "dlh"])
def test_scales_and_masks_are_respected(system: str) -> None:
    model, guide = SYSTEMS[system]()
    mask = torch.tensor([True, False])

    def handled(program: Program) -> Program:
        return poutine.scale(poutine.mask(program, mask=mask), scale=0.3)

    torch.manual_seed(1)
    plain = per_tick(*traces(model, guide, clip(5)))
    torch.manual_seed(1)
    p, q = traces(handled(model), handled(guide), clip(5))
    for key, ticks in per_tick(p, q).items():
        for t, kl in ticks.items():
            close(kl, torch.where(mask, 0.3 * plain[key][t], 0.0))
    groups = level_kls(p, q)
    assert max(map(len, groups.values())) <= 2, "one stack as before"


def test_a_scale_for_some_ticks_only_is_theirs() -> None:
    def program(mean: float) -> None:
        for t in range(4):
            with poutine.scale(scale=1.0 + t % 2):
                given = torch.tensor([[mean, 1.0]], dtype=torch.float64)
                pyro.sample(f"z_1_{t}", DiagonalNormal(given))

    p, q = traces(lambda: program(1.0), lambda: program(0.0))
    found = per_tick(p, q)["z", 1]
    assert {t: float(kl) for t, kl in sorted(found.items())} == {0: 0.5, 1: 1.0, 2: 0.5, 3: 1.0}
