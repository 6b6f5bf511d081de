"""The DLH oracle: parameter counts, gates and held states, losses by torch.distributions, limits.

A stack without gates, written for the whole batch, is what a hierarchy forced open must equal.
"""

from typing import Any

import pytest
import torch
import torch.distributions as td
from torch import Tensor

from tests.oracles import dlh as dl
from tests.oracles.equations import Weights, count, gru, linear
from tests.oracles.tiny import close, frame_nets, randn

B, T, N = 4, 7, 3


@pytest.mark.parametrize(
    ("levels", "channels", "parameters"),
    [(3, 1, 6_693_211), (3, 3, 6_696_541), (2, 1, 6_111_890), (2, 3, 6_115_220)],
)
def test_parameter_count(levels: int, channels: int, parameters: int) -> None:
    assert count(dl.weight_shapes(levels=levels, channels=channels)) == parameters


@pytest.mark.parametrize(
    ("part", "parameters"),
    [
        ("encoder", 160_800),
        ("decoder", 253_200),
        ("temporal", 399_600),
        ("posterior", 62_880),
        ("prior", 62_880),
    ],
)
def test_parameter_count_per_part(part: str, parameters: int) -> None:
    levels = dl.weight_shapes(levels=3)["levels"]
    assert sum(count(w[part]) for w in levels if part in w) == parameters


def test_prior_factor_count() -> None:
    levels = dl.weight_shapes(levels=3)["levels"]
    counts = [count(w["factor"]) + count(w["factor_out"]) for w in levels if "factor" in w]
    assert counts == [241_401, 241_401]


def run_dlh(levels: int = N, **options: Any) -> dict[str, Any]:
    shapes = dl.weight_shapes(
        levels=levels,
        state=2,
        memory=3,
        features=4,
        context=5,
        hidden=6,
        head=4,
        embed=3,
        prior_factor_input=options.get("prior_factor_input", "d"),
    )
    weights = options.pop("weights", dl.random_weights(shapes))
    encode, decode = frame_nets(3, 5)
    video = randn(B, T, 1, 2, 2, seed=7)
    video[:, 3] = video[:, 2] + 0.01  # a frame in which nearly nothing changes
    video[:, 5] = video[:, 4] + 0.01
    return dl.dlh(
        options.pop("video", video),
        weights,
        dl.random_noise(levels=levels, frames=T, batch=B, state=2),
        levels=levels,
        std=0.7,
        encode=encode,
        decode=decode,
        uniforms=dl.random_uniforms(levels=levels, frames=T, batch=B),
        **options,
    )


OPTIONS: list[dict[str, Any]] = [
    {},
    {"static_sample": "redraw"},
    {"fresh_static": False},
    {"block_temporal": False},
    {"prior_factor_input": "s"},
    {"kl_e": "all"},
    {"detach_static": True},
    {"rule": "vade"},
    {"rule": "vade", "fresh_static": False, "kl_e": "all"},
]


def option_name(options: dict[str, Any]) -> str:
    return ",".join(f"{k}={v}" for k, v in options.items()) or "default"


@pytest.mark.parametrize("options", OPTIONS, ids=option_name)
def test_gates_are_nested_alive_and_start_open(options: dict[str, Any]) -> None:
    e = run_dlh(**options)["e"]
    assert bool((e[:, 0] == 1).all()) and bool((e[:, :, 0] == 1).all())
    assert bool((e[:, :, 1:] <= e[:, :, :-1]).all())
    later = e[:, 1:]
    assert {tuple(gates.tolist()) for gates in later.flatten(0, 1)} == {
        (1.0, 0.0, 0.0),
        (1.0, 1.0, 0.0),
        (1.0, 1.0, 1.0),
    }, "the weights must make every pattern occur, or the tests below check nothing"


@pytest.mark.parametrize("options", OPTIONS, ids=option_name)
def test_closed_levels_are_those_of_the_frame_before(options: dict[str, Any]) -> None:
    out = run_dlh(**options)
    redraw = options.get("static_sample") == "redraw"
    fresh = options.get("fresh_static", True)
    for b in range(B):
        for t in range(1, T):
            for n in range(N):
                held = (
                    n > 0 and out["e"][b, t, n] == 0 and (not fresh or out["e"][b, t, n - 1] == 0)
                )
                same = {
                    name: torch.equal(out[name][b, t, n], out[name][b, t - 1, n])
                    for name in ("mean", "std", "samples")
                }
                assert same["mean"] == same["std"] == held
                assert same["samples"] == (held and not redraw)
                if held:
                    assert out["kl_s"][b, t, n] == 0
                if t + 1 < T:
                    blocked = options.get("block_temporal", True) and out["e"][b, t, n] == 0
                    same_d = torch.equal(out["d"][b, t + 1, n], out["d"][b, t, n])
                    assert same_d == blocked


def test_gate_is_the_comparison_of_the_trial_kls() -> None:
    out = run_dlh()
    opened = ~out["trial1"].isnan()
    assert torch.equal(opened[:, 1:, 1:], out["e"][:, 1:, :-1] == 1)
    chosen = out["trial1"] < out["trial0"]
    assert torch.equal(chosen[opened], out["e"][opened] == 1)


@pytest.mark.parametrize("detach", [False, True])
def test_kls_are_those_of_torch_distributions(detach: bool) -> None:
    out = run_dlh(detach_static=detach)
    e = out["e"]
    q, p = td.Normal(out["mean"], out["std"]), td.Normal(out["change_mean"], out["change_std"])
    change = td.kl_divergence(q, p).sum(-1)
    before = td.Normal(out["mean"].roll(1, 1), out["std"].roll(1, 1))
    static = td.kl_divergence(q, before).sum(-1)
    opened = torch.cat([torch.ones(B, T, 1).double(), e[:, :, :-1]], -1)
    expected = torch.where(e == 1, change, static * opened)
    close(out["kl_s"], expected)
    prior = td.Bernoulli(logits=out["logits"][:, 1:, 1:])
    expected = -prior.log_prob(e[:, 1:, 1:]) * opened[:, 1:, 1:]
    close(out["kl_e"][:, 1:, 1:], expected)
    assert out["kl_e"][:, 0].abs().sum() == 0 and out["kl_e"][:, :, 0].abs().sum() == 0


def test_trial_and_final_coincide_at_the_first_closed_level() -> None:
    """Everything above it stood still, so its context did not move."""
    out = run_dlh()
    e = out["e"]
    opened = torch.cat([torch.ones(B, T, 1).double(), e[:, :, :-1]], -1) == 1
    first_closed = opened & (e == 0)
    assert bool(first_closed.any())
    close(out["trial0"][first_closed], out["kl_s"][first_closed])


def test_all_gate_terms_are_counted_under_kl_e_all() -> None:
    some, everything = run_dlh(), run_dlh(kl_e="all")
    e, logits = some["e"], some["logits"]
    closed = (e[:, 1:, 1:-1] == 0).double()
    extra = -td.Bernoulli(logits=logits[:, 1:, 2:]).log_prob(torch.zeros_like(closed)) * closed
    difference = everything["kl_e"] - some["kl_e"]
    close(difference[:, 1:, 2:], extra)
    assert bool((extra > 0).any())


def test_static_kl_sends_gradient_into_the_older_belief_unless_detached() -> None:
    """The gradient of one static kl_s with respect to the frame before, copied levels aside."""
    found = {}
    for detach in (False, True):
        video = randn(B, T, 1, 2, 2, seed=7)
        video[:, 3] = video[:, 2] + 0.01
        video.requires_grad_()
        out = run_dlh(2, video=video, detach_static=detach)
        b = int((out["e"][:, 3, 1] == 0).nonzero()[0])
        (g,) = torch.autograd.grad(out["kl_s"][b, 3, 1], video)
        found[detach] = [bool(g[b, t].abs().sum() > 0) for t in range(T)]
    assert found == {False: [t in (2, 3) for t in range(T)], True: [t == 3 for t in range(T)]}


def test_redrawn_samples_are_the_held_belief_with_new_noise() -> None:
    out = run_dlh(static_sample="redraw")
    noise = dl.random_noise(levels=N, frames=T, batch=B, state=2)
    stacked = torch.stack([torch.stack(level, 1) for level in noise], 2)
    close(out["samples"], out["mean"] + out["std"] * stacked)


def test_prior_factor_counts_time_while_its_level_stands_still() -> None:
    out = run_dlh()
    still = (out["e"][:, 1:-1, 2] == 0) & (out["e"][:, 2:, 2] == 0)
    b, t = (int(i) for i in still.nonzero()[0])
    assert torch.equal(out["d"][b, t + 2, 2], out["d"][b, t + 1, 2])
    assert not torch.equal(out["h"][b, t + 2, 2], out["h"][b, t + 1, 2])


def test_vade_gate_is_equation_34() -> None:
    out = run_dlh(rule="vade")
    uniforms = dl.random_uniforms(levels=N, frames=T, batch=B)
    u = torch.stack([torch.stack(level, 1) for level in uniforms], 2)
    opened = ~out["trial1"].isnan()
    p1 = torch.sigmoid(out["logits"])
    likelihood = torch.exp(out["trial1"] - out["trial0"])
    odds = likelihood * (1 - p1) / p1  # q(e=0) / q(e=1), Eq. 33
    q1 = 1 / (1 + odds)
    assert torch.equal((u < q1)[opened], out["e"][opened] == 1)
    gates = td.kl_divergence(td.Bernoulli(probs=q1[opened]), td.Bernoulli(probs=p1[opened]))
    close(out["kl_e"][opened], gates, rtol=1e-6, atol=1e-6)
    q, p = td.Normal(out["mean"], out["std"]), td.Normal(out["change_mean"], out["change_std"])
    before = td.Normal(out["mean"].roll(1, 1), out["std"].roll(1, 1))
    change, static = (td.kl_divergence(q, other).sum(-1) for other in (p, before))
    mixed = q1 * change + (1 - q1) * static
    close(out["kl_s"][opened], mixed[opened])


def stack_without_gates(weights: Weights) -> dict[str, Tensor]:
    """DLH with every level changing at every frame, written for the whole batch and no gates."""
    encode, decode = frame_nets(3, 5)
    video = randn(B, T, 1, 2, 2, seed=7)
    video[:, 3] = video[:, 2] + 0.01
    video[:, 5] = video[:, 4] + 0.01
    noise = dl.random_noise(levels=N, frames=T, batch=B, state=2)

    def mlp(layers: list[Weights], x: Tensor) -> Tensor:
        for layer in layers[:-1]:
            x = torch.nn.functional.elu(linear(layer, x))
        return linear(layers[-1], x)

    def normal(layers: list[Weights], x: Tensor) -> td.Normal:
        mean, raw = mlp(layers, x).chunk(2, -1)
        return td.Normal(mean, torch.nn.functional.softplus(raw) + 1e-4)

    x = [linear(weights["embed"], encode(video))]
    for n in range(N - 1):
        x.append(mlp(weights["levels"][n]["encoder"], x[-1]))
    d = [torch.zeros(B, 3).double() for _ in range(N)]
    h = [torch.zeros(B, 3).double() for _ in range(N)]
    kl, gate, contexts = torch.zeros(B).double(), torch.zeros(B).double(), []
    for t in range(T):
        c = torch.zeros(B, 5).double()
        for n in reversed(range(N)):
            w = weights["levels"][n]
            if n > 0:
                h[n] = gru(w["factor"], d[n], h[n])
                if t > 0:
                    logit = linear(w["factor_out"], h[n])[:, 0]
                    gate = gate - td.Bernoulli(logits=logit).log_prob(torch.ones(B).double())
            q = normal(w["posterior"], torch.cat([x[n][:, t], c], -1))
            p = normal(w["prior"], torch.cat([d[n], c], -1))
            kl = kl + td.kl_divergence(q, p).sum(-1)
            s = q.mean + q.stddev * noise[n][t]
            c = mlp(w["decoder"], torch.cat([s, c], -1))
            d[n] = gru(w["temporal"], s, d[n])
        contexts.append(c)
    frames = decode(torch.stack(contexts, 1))
    recon = td.Normal(frames, 0.7).log_prob(video).sum((1, 2, 3, 4))
    return {"kl": kl, "gate": gate, "recon": recon, "loss": (kl + gate - recon).mean()}


@pytest.mark.parametrize(
    "options",
    [o for o in OPTIONS if "prior_factor_input" not in o and "rule" not in o],
    ids=option_name,
)
def test_forced_open_is_a_stack_without_gates(options: dict[str, Any]) -> None:
    shapes = dl.weight_shapes(
        levels=N, state=2, memory=3, features=4, context=5, hidden=6, head=4, embed=3
    )
    weights = dl.random_weights(shapes)
    out = run_dlh(weights=weights, forced=torch.ones(B, T, N), **options)
    expected = stack_without_gates(weights)
    close(out["kl_s"].sum((1, 2)), expected["kl"])
    close(out["kl_e"].sum((1, 2)), expected["gate"])
    close(out["recon"], expected["recon"])
    close(out["loss"], expected["loss"])


def test_forced_to_its_own_gates_changes_nothing_and_forced_gates_stay_nested() -> None:
    out = run_dlh()
    assert torch.equal(run_dlh(forced=out["e"])["loss"], out["loss"])
    top_only = torch.tensor([1.0, 0.0, 1.0]).expand(B, T, N)
    assert run_dlh(forced=top_only)["e"][:, 1:].sum((0, 1)).tolist() == [B * (T - 1), 0, 0]


@pytest.mark.parametrize("beta", [0.0, 0.5])
def test_loss_is_a_mean_over_sequences_and_beta_weighs_both_kls(beta: float) -> None:
    out = run_dlh(beta=beta)
    penalty = (out["kl_s"] + out["kl_e"]).sum((1, 2))
    close(out["loss"], (beta * penalty - out["recon"]).mean())
