"""HVRNN and VRNN: parameter counts, the literal oracle, what sees what, predictions, bounds."""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from typing import Any, NamedTuple

import pyro
import pytest
import torch
from pyro import poutine
from pyro.infer import Trace_ELBO, TraceMeanField_ELBO
from pyro.poutine import Trace
from torch import Tensor, nn
from torch.func import functional_call

from pyrovp.cells.conv_lstm_cell import ConvLSTMCell
from pyrovp.describe import describe
from pyrovp.emission import (
    BernoulliLikelihood,
    GaussianLikelihood,
    LaplaceLikelihood,
    Likelihood,
)
from pyrovp.filtering import Filtering
from pyrovp.guides.hvrnn import hvrnn as guide_of
from pyrovp.infer import HierarchyELBO, Linear, Objective, level_kls
from pyrovp.models.hvrnn import hvrnn, vrnn
from pyrovp.nets import ResidualEncoder
from pyrovp.predict import open_loop
from pyrovp.programs import PLATE, LatentDynamics
from pyrovp.sites import STATE, site
from pyrovp.state import State
from tests.models.evaluate import Watched, assert_same_gradients, drawn_noise
from tests.models.weights_hvrnn import hvrnn_weights
from tests.oracles import hvrnn as hv
from tests.oracles.tiny import close, randn
from tests.predict.recorder import Recorder
from tests.toys.handlers import SiteNoise, check_particles, disagreement, run

B, C, WIDTH, CONTEXT, T = 2, 2, 16, 2, 5
BETA = 0.3
TIMES = range(CONTEXT, T)
LIKELIHOODS: dict[Any, Likelihood] = {
    "laplace": LaplaceLikelihood(),
    "gaussian": GaussianLikelihood(std=2**-0.5),
    "bernoulli": BernoulliLikelihood(),
}


class System(NamedTuple):
    """A system in float64, and a bound that keeps its traces."""

    model: LatentDynamics
    guide: Filtering
    objective: Objective
    watched: Watched

    @property
    def hierarchy(self) -> Any:
        return self.model.hierarchy

    @property
    def latents(self) -> dict[int, int]:
        """Resolution -> level, from the top."""
        count = len(self.hierarchy.levels)
        return {
            level.state.resolution: count - i
            for i, level in enumerate(reversed(self.hierarchy.levels))
        }


@cache
def build(
    latents: tuple[int, ...] = (1, 4, 8),
    given: int = CONTEXT,
    *,
    resolution: int = 16,
    width: int = WIDTH,
    likelihood: Any = "laplace",
    **options: Any,
) -> System:
    """Random weights, under which a level's KL is tens of nats; who trains them makes his own."""
    model = hvrnn(
        latents=latents, channels=C, resolution=resolution, width=width, given=given,
        likelihood=LIKELIHOODS[likelihood], **options,
    )  # fmt: skip
    guide, watched = guide_of(model), Watched()
    objective = Objective(model, guide, watched, per="sequence", beta=Linear(end=BETA)).double()
    objective.set_step(0)  # β in the precision of the rest
    hv.randomise(objective)
    return System(model, guide, objective, watched)


class Convolution(nn.Module):
    """LReLU(GN(Conv3x3 x)) in the place of a decoder's cell, and a memory that nobody reads."""

    def __init__(self, inputs: int, size: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(inputs, size, 3, padding=1)
        self.norm = nn.GroupNorm(4, size)

    def forward(self, x: Tensor, memory: hv.Memory) -> hv.Memory:
        y = nn.functional.leaky_relu(self.norm(self.convolution(x)), 0.2)
        return hv.Memory(y, memory.c)


class NoStart(nn.Module):
    """The memory of a cell that has none."""

    def forward(self, context: Sequence[Tensor]) -> hv.Memory:
        return hv.Memory(*[torch.zeros(len(context[0]), dtype=torch.float64)] * 2)


def oracle_of(
    system: System, cells: Sequence[int] | None = None, **options: Any
) -> Callable[..., dict[str, Any]]:
    """The oracle's `forward`, or its `generate`, on the parameters of a system.

    Args:
        cells: Resolutions of the decoder's cells; there are convolutions in the others' place.
        options: The oracle's own.
    """
    hierarchy = system.hierarchy
    encoder = hierarchy.encoder
    with torch.device("meta"):  # none of its own parameters is ever read
        oracle = hv.HVRNN(
            resolution=encoder.resolution, channels=C, width=encoder.features[encoder.resolution],
            context=hierarchy.given, latents=tuple(system.latents), **options,
        )  # fmt: skip
        for r in set(oracle.decoder.resolutions) - set(cells or oracle.decoder.resolutions):
            cell: Any = oracle.decoder.cells[str(r)]
            ends = cell.input.in_channels, cell.recurrent.in_channels
            oracle.decoder.cells[str(r)] = Convolution(*ends)
            oracle.decoder.starts[str(r)] = NoStart()
    weights = {
        f"oracle.{name}": weight for name, weight in hvrnn_weights(hierarchy, system.guide).items()
    }

    def call(*args: Any, method: str = "forward", **options: Any) -> dict[str, Any]:
        found: dict[str, Any] = functional_call(
            _Method(oracle, method), weights, args, options, strict=True
        )
        return found

    return call


class _Method(nn.Module):
    def __init__(self, oracle: hv.HVRNN, method: str) -> None:
        super().__init__()
        self.oracle, self.method = oracle, method

    def forward(self, *args: Any, **options: Any) -> dict[str, Any]:
        found: dict[str, Any] = getattr(self.oracle, self.method)(*args, **options)
        return found


def clip(frames: int = T, resolution: int = 16, seed: int = 7) -> Tensor:
    return torch.sigmoid(randn(B, frames, C, resolution, resolution, seed=seed))


def evaluate(system: System, video: Tensor) -> Any:
    with SiteNoise():
        return system.objective(video)


def noise_of(system: System, trace: Trace, times: range = TIMES) -> dict[int, list[Tensor]]:
    """By resolution and frame, the standard normal numbers behind the states of a trace."""
    return {r: [drawn_noise(trace, n, t) for t in times] for r, n in system.latents.items()}


# The network

COUNTS: list[tuple[dict[str, Any], int, dict[str, int]]] = [
    ({}, 224_443_715, {"twins": 45_716_352, "decoder": 108_897_091}),
    ({"latents": (1, 8)}, 220_597_827, {"twins": 44_088_320, "decoder": 108_307_267}),
    ({"latents": (1,)}, 166_548_035, {"twins": 21_782_016, "decoder": 98_870_083}),
    ({"latents": (1, 8, 16, 32)}, 238_885_699, {"twins": 51_757_696, "decoder": 111_256_387}),
    ({"dense": False}, 224_181_571, {"twins": 45_585_280, "decoder": 108_897_091}),
    (
        {"lean": True},
        224_443_715 - 2**26,
        {"twins": 45_716_352 - 2**24, "decoder": 108_897_091 - 3 * 2**23},
    ),
]


def untouched(**sizes: Any) -> tuple[Any, Any]:
    """Model and guide whose parameters have shapes and no memory."""
    with torch.device("meta"):
        model = hvrnn(**sizes)
        return model, guide_of(model)


def count(*modules: nn.Module) -> int:
    return sum(p.numel() for p in {p for module in modules for p in module.parameters()})


@pytest.mark.parametrize(("options", "parameters", "parts"), COUNTS, ids=str)
def test_parameter_counts(options: dict[str, Any], parameters: int, parts: dict[str, int]) -> None:
    model, guide = untouched(**options)
    hierarchy = model.hierarchy
    assert count(model, guide) == parameters
    assert count(hierarchy.encoder) == 24_113_920 - (2**23 if "lean" in options else 0)
    assert count(hierarchy.dynamics, hierarchy.starts) == parts["twins"]
    assert count(guide.heads) == parts["twins"]
    assert count(hierarchy.emission) == parts["decoder"]
    assert count(hierarchy.encoder) + 2 * parts["twins"] + parts["decoder"] == parameters


def test_one_level_is_the_vrnn() -> None:
    with torch.device("meta"):
        model = vrnn()
        assert count(model, guide_of(model)) == 166_548_035
    assert [level.state.output for level in model.hierarchy.levels] == [(512, 1)]


@pytest.mark.parametrize(
    ("options", "millions", "uncalled"),
    [
        ({"latents": (1,)}, 166.55, 0),
        ({"latents": (1, 8)}, 220.60, 0),
        ({"dense": False}, 224.18, 0),
        ({}, 230.74, 6_300_672),
        ({"latents": (1, 8, 16, 32)}, 245.19, 6_300_672),
    ],
    ids=str,
)
def test_the_papers_table_counts_layers_that_are_never_called(
    options: dict[str, Any], millions: float, uncalled: int
) -> None:
    """Its 230.74M are the 224,443,715 that act and 6,300,672 in the two larger dense networks."""
    assert round((count(*untouched(**options)) + uncalled) / 1e6, 2) == millions


@pytest.mark.parametrize(
    ("resolution", "latents", "channels"),
    [(128, (1, 16, 64), (512, 512, 128)), (32, (1, 4, 16), (512, 512, 128))],
)
def test_other_sizes_of_frames_follow_the_same_rule(
    resolution: int, latents: tuple[int, ...], channels: tuple[int, ...]
) -> None:
    model, guide = untouched(resolution=resolution, latents=latents)
    states = [level.state for level in reversed(model.hierarchy.levels)]
    assert [state.output for state in states] == list(zip(channels, latents, strict=True))
    with torch.device("meta"):
        oracle = hv.HVRNN(resolution=resolution, latents=latents)
    assert count(model, guide) == count(oracle)


def test_is_described_by_its_levels() -> None:
    text = describe(build().model).splitlines()
    for n, size, r in ((3, 64, 1), (2, 64, 4), (1, 32, 8)):
        place = f"{size} x {r} x {r}"
        line = f"{n} every frame - NormedConvLSTM {place} GaussianMap {place}"
        assert line in [" ".join(found.split()) for found in text]


# The oracle


@pytest.mark.parametrize(
    ("options", "frames"),
    [
        ({}, 5),
        ({"latents": (1,)}, 5),
        ({"latents": (1, 4)}, 5),
        ({"latents": (1, 4, 8, 16)}, 4),
        ({"latents": (4, 16)}, 4),
        ({"dense": False}, 4),
        ({"lean": True}, 4),
        ({"lean": True, "dense": False, "latents": (1, 4, 8, 16)}, 3),
        ({"given": 1}, 4),
        ({"given": 1, "latents": (1,)}, 2),
        ({"given": 3}, 5),
        ({"given": 3, "latents": (1, 4), "lean": True}, 6),
        ({"likelihood": "gaussian"}, 4),
        ({"likelihood": "bernoulli"}, 4),
        ({"cells": (1,)}, 4),
        ({"cells": (1, 4, 8), "lean": True, "latents": (1, 8)}, 4),
        ({"resolution": 32, "latents": (1, 4, 16)}, 4),
    ],
    ids=str,
)
def test_equals_the_oracle(options: dict[str, Any], frames: int) -> None:
    """Beliefs, samples, KLs, frames, the loss and every gradient."""
    system = build(**options)
    names = ("dense", "lean", "cells")
    oracle = oracle_of(system, **{name: options[name] for name in names if name in options})
    resolution, likelihood = options.get("resolution", 16), options.get("likelihood", "laplace")
    video, times = clip(frames, resolution), range(system.hierarchy.given, frames)
    found = evaluate(system, video)
    p, q = system.watched.model_trace.nodes, system.watched.guide_trace.nodes
    noise = noise_of(system, system.watched.guide_trace, times)
    out = oracle(video, noise, beta=BETA, likelihood=likelihood)
    kls = system.watched.kls()
    for r, n in system.latents.items():
        for i, t in enumerate(times):
            name = site(STATE, n, t)
            assert p[name]["value"] is q[name]["value"]
            for nodes, role in ((p, "prior"), (q, "posterior")):
                close(nodes[name]["fn"].mean, out[role][r][i].mean)
                close(nodes[name]["fn"].stddev, out[role][r][i].std)
            close(q[name]["value"], out["z"][r][i])
            close(kls[STATE, n][t], out["kl"][r][i])
        close(found.parts[f"z_{n}"], sum(out["kl"][r]).mean())
    close(p["frames"]["fn"].mean, out["frames"])
    close(p["frames"]["fn"].log_prob(video[:, times.start :]), out["recon"])
    close(found.parts["frames"], out["recon"].mean())
    close(found.loss, out["loss"])
    assert_same_gradients(system.objective, found.loss, out["loss"])


@pytest.mark.parametrize("options", [{}, {"cells": (1, 8)}, {"lean": True}], ids=str)
def test_all_parameters_are_compared_and_used(options: dict[str, Any]) -> None:
    system = build(**options)
    compared = hvrnn_weights(system.hierarchy, system.guide)
    assert sum(value.numel() for value in compared.values()) == count(system.objective)
    loss = evaluate(system, clip()).loss
    names, parameters = zip(*system.objective.named_parameters(), strict=True)
    found = dict(zip(names, torch.autograd.grad(loss, parameters), strict=True))
    assert not {name for name, gradient in found.items() if not gradient.abs().max() > 0}


def test_a_kernel_on_one_pixel_is_its_middle() -> None:
    """Lean is the same function: the other taps see padding."""
    full, lean = build(), build(lean=True)
    state = full.objective.state_dict()
    narrowed = [k for k, v in lean.objective.state_dict().items() if v.shape != state[k].shape]
    lean.objective.load_state_dict(
        {k: v[:, :, 1:2, 1:2] if k in narrowed else v for k, v in state.items()}
    )
    assert narrowed
    losses = [evaluate(system, clip()).loss for system in (full, lean)]
    close(*losses)


# What sees what


def beliefs(system: System, video: Tensor, q: Trace) -> tuple[dict[str, Any], dict[str, Any]]:
    """The distributions of model and guide at each site, the states being those of a trace."""
    with poutine.trace() as inferred, poutine.replay(trace=q):
        system.guide(video)
    p = run(system.model, video, given=q)
    return tuple(
        {name: node["fn"] for name, node in trace.nodes.items() if node["type"] == "sample"}
        for trace in (p, inferred.trace)
    )  # type: ignore[return-value]


@pytest.mark.parametrize("changed", range(T))
@pytest.mark.parametrize("options", [{}, {"latents": (1,)}], ids=str)
def test_priors_see_the_past_and_posteriors_the_present(
    options: dict[str, Any], changed: int
) -> None:
    """For given states a prior of t, and frame t, see x up to t - 1, a posterior x_t too."""
    system, video = build(**options), clip()
    q = run(system.guide, video)
    other = video.clone()
    other[:, changed] = 1 - other[:, changed]
    for kind, (before, after) in enumerate(
        zip(beliefs(system, video, q), beliefs(system, other, q), strict=True)
    ):
        reached = {0: lambda t: changed < t, 1: lambda t: changed <= t}[kind]
        for n in system.latents.values():
            for t in TIMES:
                name = site(STATE, n, t)
                moved = (before[name].parameters - after[name].parameters).abs().amax((1, 2, 3))
                assert bool((moved > 1e-6).all() if reached(t) else (moved < 1e-12).all()), name
        if kind == 0:
            means = before["frames"].mean - after["frames"].mean
            for i, t in enumerate(TIMES):
                moved = means[:, i].abs().amax((1, 2, 3))
                assert bool((moved > 1e-6).all() if reached(t) else (moved < 1e-12).all())


@pytest.mark.parametrize("dense", [True, False])
@pytest.mark.parametrize("level", [1, 2, 3])
def test_a_state_reaches_the_beliefs_below_it_and_the_frames(level: int, dense: bool) -> None:
    """At its own time; no later belief, for no state enters a cell."""
    system, video = build(dense=dense), clip()
    q = run(system.guide, video)
    before, changed = beliefs(system, video, q), q.copy()
    node = changed.nodes[site(STATE, level, 3)]
    node["value"] = node["value"] + 1
    after = beliefs(system, video, changed)
    for own, other in zip(before, after, strict=True):
        for n in system.latents.values():
            for t in TIMES:
                name = site(STATE, n, t)
                below = n == level - 1 or (dense and n < level)
                moved = bool((own[name].parameters - other[name].parameters).abs().max() > 1e-9)
                assert moved == (below and t == 3), name
    means = (before[0]["frames"].mean - after[0]["frames"].mean).abs().amax((0, 2, 3, 4))
    assert [bool(m > 1e-9) for m in means] == [t >= 3 for t in TIMES]


# The two programs


def test_sites_are_those_of_the_frames_after_the_given_ones() -> None:
    """Level by level from the top, all frames of one before the next."""
    system, video = build(), clip()
    q = run(system.guide, video)
    p = run(system.model, video, given=q)
    states = [site(STATE, n, t) for n in (3, 2, 1) for t in TIMES]
    for trace, names in ((q, states), (p, [*states, "frames"])):
        assert [name for name in trace if trace.nodes[name]["type"] == "sample"] == [PLATE, *names]
    shapes = [tuple(q.nodes[site(STATE, n, 2)]["value"].shape) for n in (3, 2, 1)]
    assert shapes == [(B, 64, 1, 1), (B, 64, 4, 4), (B, 32, 8, 8)]
    assert torch.equal(p.nodes["frames"]["value"], video[:, CONTEXT:])


@pytest.mark.parametrize("options", [{}, {"latents": (1,)}, {"cells": (1,)}], ids=str)
def test_bound_equals_the_stock_bound(options: dict[str, Any]) -> None:
    system, video = build(**options), clip()
    with SiteNoise():
        ours = HierarchyELBO().differentiable_loss(system.model, system.guide, video)
        stock = TraceMeanField_ELBO().differentiable_loss(system.model, system.guide, video)
    close(ours, stock, rtol=1e-9)


def test_the_sampled_kl_is_the_oracles() -> None:
    """Pyro's Trace_ELBO takes log q(z) - log p(z) at the drawn states."""
    system, video = build(), clip()
    with SiteNoise():
        loss = Trace_ELBO().differentiable_loss(system.model, system.guide, video)
    noise = noise_of(system, run(system.guide, video))
    close(loss / B, oracle_of(system)(video, noise, kl="sampled")["loss"])


def test_the_sampled_kl_is_the_analytic_one_in_mean() -> None:
    """Per level, over 400 draws; 5 standard errors: false alarm once in 500 000 seeds."""
    system, video, many = build(width=4), clip(4), 400
    torch.manual_seed(1)
    plates = pyro.plate("particles", many, dim=-2)
    with torch.no_grad():
        q = poutine.trace(plates(system.guide)).get_trace(video)
        p = poutine.trace(poutine.replay(plates(system.model), trace=q)).get_trace(video)
        analytic = level_kls(p, q)
        for (_, n), (group,) in analytic.items():
            for t, kl in zip(group.t, group.kl, strict=True):
                mine, prior = (trace.nodes[site(STATE, n, t)] for trace in (q, p))
                z = mine["value"]
                excess = mine["fn"].log_prob(z) - prior["fn"].log_prob(z) - kl
                error = excess.std(0) / math.sqrt(many)
                assert bool((excess.mean(0).abs() < 5 * error).all())


def test_bound_equals_trace_elbo_in_mean() -> None:
    """False alarm: once in 390 000 seeds."""
    system = build((1, 4), width=4)
    assert abs(disagreement(system.model, system.guide, clip(3), particles=5)) < 5.5


@pytest.mark.parametrize(
    "options", [{}, {"latents": (1,)}, {"cells": (1,), "dense": False}], ids=str
)
def test_particles_in_parallel_are_particles_one_by_one(options: dict[str, Any]) -> None:
    system = build(**options)
    check_particles(system.model, system.guide, clip(4))


def noting(method: Callable[..., Any], calls: list[type]) -> Callable[..., Any]:
    """A method that notes the class of its object at each call."""

    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        calls.append(type(self))
        return method(self, *args, **kwargs)

    return call


def test_memo_changes_nothing_but_the_number_of_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """One pass of the encoder, and one of each cell: three priors', three twins', four more."""
    system, video, found, counts = build(), clip(), [], []
    for memo in (True, False):
        calls: list[type] = []
        with monkeypatch.context() as patch, SiteNoise():
            patch.setattr(ResidualEncoder, "forward", noting(ResidualEncoder.forward, calls))
            patch.setattr(ConvLSTMCell, "run", noting(ConvLSTMCell.run, calls))
            bound = HierarchyELBO(memo=memo)
            loss = bound.differentiable_loss(system.model, system.guide, video)
        found.append([loss, *torch.autograd.grad(loss, [*system.objective.parameters()])])
        counts.append(Counter(calls))
    for with_memo, without in zip(*found, strict=True):
        close(with_memo, without, atol=1e-9)
    assert counts[0] == {ResidualEncoder: 1, ConvLSTMCell: 3 + 3 + 4}
    assert all(counts[1][kind] > count for kind, count in counts[0].items())


@pytest.mark.parametrize("blind", [{1}, {2}, {3}, {1, 3}, {1, 2, 3}], ids=str)
def test_blind_levels_follow_their_prior_and_those_below_infer_given_them(blind: set[int]) -> None:
    system, video = build(), clip()
    oracle = oracle_of(system)
    q = run(partial(system.guide, blind=blind), video)
    noise = noise_of(system, q)
    for r, n in system.latents.items():
        if n in blind:  # what lets the oracle's posterior draw the state that the prior drew
            beliefs = oracle(video, noise)["posterior"][r]
            for i, t in enumerate(TIMES):
                z = q.nodes[site(STATE, n, t)]["value"]
                noise[r][i] = ((z - beliefs[i].mean) / beliefs[i].std).detach()
    out = oracle(video, noise)
    p = run(system.model, video, given=q)
    for r, n in system.latents.items():
        for i, t in enumerate(TIMES):
            node = q.nodes[site(STATE, n, t)]
            close(node["value"], out["z"][r][i])
            expected = out["prior" if n in blind else "posterior"][r][i]
            close(node["fn"].mean, expected.mean)
            close(node["fn"].stddev, expected.std)
    close(p.nodes["frames"]["fn"].mean, out["frames"])
    for (_, n), (group,) in level_kls(p, q).items():
        expected = torch.zeros_like(group.kl)
        if n not in blind:
            expected = torch.stack(out["kl"][{n: r for r, n in system.latents.items()}[n]])
        close(group.kl, expected)


def test_a_context_that_goes_on_is_inferred_as_one_that_ends() -> None:
    system, video = build(), clip()
    ends, goes_on = (run(partial(system.guide, ends=ends), video) for ends in (True, False))
    for n in system.latents.values():
        for t in TIMES:
            first, second = (trace.nodes[site(STATE, n, t)] for trace in (ends, goes_on))
            assert torch.equal(first["value"], second["value"])
            assert torch.equal(first["fn"].parameters, second["fn"].parameters)


# Frame by frame


def step_and_see(system: System, video: Tensor) -> Iterator[tuple[Tensor, State]]:
    """The mean of each frame, and the state after the true one."""
    hierarchy, given = system.hierarchy, system.hierarchy.given
    state = hierarchy.begin(video[:, :given])
    for t in range(given, video.shape[1]):
        state = hierarchy.step(t, state)
        mean, state = state.mean, hierarchy.see(state, video[:, t])
        yield mean, state


@pytest.mark.parametrize("options", [{}, {"latents": (1,), "given": 1}, {"given": 3}], ids=str)
def test_feeding_back_the_true_frames_is_teacher_forcing(options: dict[str, Any]) -> None:
    """The same priors, frames, and state to go on from."""
    system, video = build(**options), clip()
    q = run(system.guide, video)
    p = run(system.model, video, given=q)
    with poutine.replay(trace=q), pyro.plate(PLATE, B, dim=-1):
        with poutine.trace() as recorded:
            means, states = zip(*step_and_see(system, video), strict=True)
        followed, frames = system.hierarchy.follow(video, range(system.hierarchy.given, T))
    close(torch.stack(means, 1), p.nodes["frames"]["fn"].mean)
    close(frames.mean, p.nodes["frames"]["fn"].mean)
    for name, node in recorded.trace.nodes.items():
        if node["type"] == "sample" and not name.startswith(PLATE):
            close(node["fn"].parameters, p.nodes[name]["fn"].parameters)
    last, expected = followed[-1], states[-1]
    assert torch.equal(last.seen, expected.seen)
    for mine, theirs in zip(last.memory, expected.memory, strict=True):
        close(mine, theirs)
    for mine, theirs in zip(last.levels, expected.levels, strict=True):
        close(mine.h, theirs.h)
        close(mine.z, theirs.z)


@pytest.mark.parametrize("options", [{}, {"latents": (1,), "lean": True}, {"given": 1}], ids=str)
@pytest.mark.parametrize("more", [0, 2])
def test_prediction_equals_the_oracles(options: dict[str, Any], more: int) -> None:
    """A context longer than what is given is inferred, and decoded from the true frames."""
    system, horizon = build(**options), 3
    given = system.hierarchy.given
    seen = given + more
    video, recorder = clip(seen), Recorder()
    with SiteNoise(), recorder:
        rollout = open_loop(system.model, system.guide, video, horizon)
    noise: dict[int, list[Tensor]] = {r: [] for r in system.latents}
    if more:
        noise = noise_of(system, run(system.guide, video), range(given, seen))
    for r, n in system.latents.items():
        for t in range(seen, seen + horizon):
            fn = recorder.fns[site(STATE, n, t)]
            noise[r].append((recorder.values[site(STATE, n, t)] - fn.mean) / fn.stddev)
    names = ("dense", "lean")
    oracle = oracle_of(system, **{name: options[name] for name in names if name in options})
    with torch.no_grad():
        out = oracle(video, noise, method="generate", infer=True)
        close(torch.cat([rollout.reconstruction, rollout.prediction], 1), out["frames"])
        for r, n in system.latents.items():
            for i, t in enumerate(range(given, seen + horizon)):
                fn = recorder.fns[site(STATE, n, t)]  # of the model, which comes after the guide
                close(fn.mean, out["prior"][r][i].mean)
                close(fn.stddev, out["prior"][r][i].std)
        if more:
            kls = oracle(video, noise)["kl"]
            for r, n in system.latents.items():
                close(rollout.kl[n][:, given:], torch.stack(kls[r], 1))
    assert rollout.given == given and rollout.gates.shape == (B, len(noise), seen + horizon)
    assert bool((rollout.gates == (torch.arange(seen + horizon) >= given)).all())


def test_own_frames_are_those_of_teacher_forcing_on_them() -> None:
    system, video, recorder = build(), clip(CONTEXT), Recorder()
    with SiteNoise(), recorder:
        rollout = open_loop(system.model, system.guide, video, 3)
    own = torch.cat([video, rollout.prediction], 1)
    forced = run(poutine.condition(system.model, data=recorder.values), own)
    close(forced.nodes["frames"]["fn"].mean, rollout.prediction)
    other = run(poutine.condition(system.model, data=recorder.values), clip())
    assert bool((other.nodes["frames"]["fn"].mean[:, 1:] - rollout.prediction[:, 1:]).any())


# Training, and what is refused


@pytest.mark.parametrize("options", [{}, {"latents": (1,), "cells": (1,)}], ids=str)
def test_trains(options: dict[str, Any]) -> None:
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"latents": (1, 4, 8), "resolution": 16, "width": 8, "channels": C}
    model = hvrnn(**(sizes | options))
    objective = Objective(model, guide_of(model), per="sequence")
    optimiser = torch.optim.Adam(objective.parameters(), lr=2e-3)
    video, losses = clip(4).float(), []
    for step in range(12):
        torch.manual_seed(step % 4)
        loss = objective(video).loss
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert sum(losses[-4:]) < sum(losses[:4]) and math.isfinite(losses[-1])
    assert not pyro.get_param_store()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"latents": ()}, r"resolutions go upwards from the top level, .*got \(\)"),
        ({"latents": (8, 1)}, r"\(1, 8, 32\), got \(8, 1\)"),
        ({"latents": (1, 1)}, "go upwards"),
        ({"latents": (1, 2)}, r"maps at \[1, 4, 8, 16, 32, 64\].* asked for at \[2\]"),
        ({"resolution": 48}, "16, 32, 64 or 128"),
        ({"latents": 8}, r"whole numbers such as \(1, 8, 32\), got 8"),
        ({"latents": [1.0, 4.0]}, r"whole numbers .*got \[1.0, 4.0\]"),
        ({"given": 0}, "0 given frames"),
        ({"given": 2.0}, "given frames is a whole one from 0, got 2.0"),
        ({"cells": (1, 3)}, "cells are at some resolutions"),
        ({"cells": 4}, "cells are at some resolutions .* got 4"),
        ({"likelihood": "laplace"}, r"object such as LaplaceLikelihood\(\), .* got 'laplace'"),
    ],
    ids=str,
)
def test_options_that_make_no_model_are_refused(options: dict[str, Any], says: str) -> None:
    with torch.device("meta"), pytest.raises(ValueError, match=says):
        hvrnn(**options)


@pytest.mark.parametrize(
    ("what", "says"),
    [
        (lambda s: s.guide(clip(CONTEXT)), "use clips of at least 3 frames"),
        (lambda s: s.model(clip(CONTEXT)), "use clips of at least 3 frames"),
        (lambda s: s.model(length=3, batch=2), "draws nothing without them: use .*open_loop"),
        (lambda s: open_loop(s.model, s.guide, clip(1), 2), "2 given frames.*give a longer one"),
        (lambda s: s.guide(clip(), blind={4}), "not all within 1 to 3"),
        (lambda s: s.guide(clip(), blind=1), r"within 1 to 3; give a list such as \[1\]"),
        (lambda s: guide_of(s.model.hierarchy), "a model is needed, .*got a Hierarchy"),
        (lambda s: s.guide(clip().float()), "video is torch.float32, .* torch.float64"),
    ],
)
def test_videos_that_do_not_fit_are_refused(what: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        what(build())
