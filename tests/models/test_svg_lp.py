"""SVG-LP: parameter counts, the literal oracle, predictions, skips, stock bounds."""

import math
import zlib
from functools import partial
from typing import Any, NamedTuple

import pyro
import pytest
import torch
from pyro import poutine
from pyro.infer import TraceMeanField_ELBO
from torch import Tensor, nn

from pyrovp.describe import describe
from pyrovp.filtering import Filtering
from pyrovp.guides.svg_lp import svg_lp as guide_of
from pyrovp.infer import HierarchyELBO, Linear, Objective
from pyrovp.models.svg_lp import svg_lp
from pyrovp.models.vta import vta
from pyrovp.nets.batch_norm import Statistics
from pyrovp.predict import open_loop, stream
from pyrovp.programs import PLATE, LatentDynamics
from pyrovp.sites import STATE, site
from tests.models.evaluate import Watched
from tests.models.weights_svg import svg_buffers, svg_weights
from tests.oracles import svg
from tests.oracles.svg_nets import DCGANDecoder, DCGANEncoder, VGGDecoder, VGGEncoder
from tests.oracles.tiny import close, randn
from tests.toys.handlers import SiteNoise, check_particles, disagreement, run

B, T, C, Z, G, H = 3, 5, 2, 2, 4, 3
BETA = 0.3
"""Of a squared error per value; the paper's 1e-4 would hide a wrong KL."""
PLAIN: dict[str, tuple[Any, Any]] = {
    "dcgan": (DCGANEncoder, DCGANDecoder),
    "vgg": (VGGEncoder, VGGDecoder),
}
HOW: dict[str, svg.Statistics] = {"each": "frame", "pooled": "pooled"}
NETWORKS = pytest.mark.parametrize("network", ["dcgan", "vgg"])
TIMES = range(1, T)


class System(NamedTuple):
    """A system in float64, and a bound that keeps its traces."""

    model: LatentDynamics
    guide: Filtering
    objective: Objective
    watched: Watched

    @property
    def hierarchy(self) -> Any:
        return self.model.hierarchy


def build(
    network: Any = "dcgan",
    context: int = 2,
    *,
    training: bool = False,
    statistics: Statistics = "each",
    resolution: int = 16,
) -> System:
    """Random weights and running statistics."""
    model = svg_lp(
        network=network, state=Z, memory=H, features=G, context=context, channels=C,
        resolution=resolution, width=1 / 64, statistics=statistics,
    )  # fmt: skip
    guide, watched = guide_of(model), Watched()
    weight = Linear(end=BETA * C * resolution**2)
    objective = Objective(model, guide, watched, per="pixel", beta=weight).double()
    objective.set_step(0)  # β in the precision of the rest
    svg.randomise(objective)
    with torch.no_grad():
        for n, value in enumerate(svg_buffers(model.hierarchy).values()):
            if value.ndim:
                value.copy_(0.5 + torch.sigmoid(randn(len(value), seed=n)))
    return System(model, guide, objective.train(training), watched)


def oracle_of(system: System) -> svg.SVG:
    """The oracle's network with the system's weights and statistics."""
    hierarchy = system.hierarchy
    kind = "vgg" if hasattr(hierarchy.encoder, "groups") else "dcgan"
    sizes = (C, hierarchy.encoder.resolution, G)
    encoder, decoder = (net(*sizes, width=1) for net in PLAIN[kind])
    network = svg.SVG(encoder, decoder, features=G, state=Z, hidden=H).double()
    values = svg_weights(hierarchy, system.guide) | svg_buffers(hierarchy)
    network.load_state_dict({name: value.detach() for name, value in values.items()})
    return network.train(system.model.training)


def clip(frames: int = T, resolution: int = 16) -> Tensor:
    return torch.sigmoid(randn(B, frames, C, resolution, resolution, seed=7))


def noise(frames: int = T) -> Tensor:
    """What `SiteNoise` lets the sites of frames 1, 2, ... draw, [T - 1, B, Z]."""
    drawn = []
    for t in range(1, frames):
        torch.manual_seed(zlib.crc32(site(STATE, 1, t).encode()))
        drawn.append(torch.randn(B, Z, dtype=torch.float64))
    return torch.stack(drawn)


def evaluate(system: System, video: Tensor) -> Any:
    with SiteNoise():
        return system.objective(video)


# The network


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (
            {"network": "dcgan", "channels": 1, "state": 10},
            {"encoder": 3_805_376, "prior": 564_500, "posterior": 564_500,
             "predictor": 1_121_152, "decoder": 6_558_529},
        ),
        (
            {"network": "vgg", "channels": 3, "state": 64},
            {"encoder": 8_689_600, "prior": 592_256, "posterior": 592_256,
             "predictor": 1_134_976, "decoder": 11_822_659},
        ),
    ],
    ids=["dcgan", "vgg"],
)  # fmt: skip
def test_parameter_counts(options: dict[str, Any], parts: dict[str, int]) -> None:
    with torch.device("meta"):
        model = svg_lp(**options)
        guide: Any = guide_of(model)
    hierarchy: Any = model.hierarchy
    emission = hierarchy.emission
    found = {
        "encoder": count(hierarchy.encoder),
        "prior": count(hierarchy.dynamics),
        "posterior": count(guide.heads),
        "predictor": count(emission.cell, emission.output),
        "decoder": count(emission.decoder),
    }
    assert found == parts
    assert sum(parts.values()) == {"dcgan": 12_614_057, "vgg": 22_831_747}[options["network"]]
    assert count(model, guide) == sum(parts.values())


def count(*modules: nn.Module) -> int:
    return sum(p.numel() for p in {p for module in modules for p in module.parameters()})


@pytest.mark.parametrize("resolution", [32, 64, 128])
@NETWORKS
def test_frames_of_all_sizes(network: Any, resolution: int) -> None:
    model = svg_lp(network=network, state=2, memory=3, features=4, channels=3,
                   resolution=resolution, width=1 / 64)  # fmt: skip
    video, watched = torch.rand(2, 3, 3, resolution, resolution), Watched()
    loss = Objective(model, guide_of(model), watched, per="pixel")(video).loss
    assert loss.shape == () and bool(loss.isfinite())
    assert watched.model_trace.nodes["frames"]["fn"].mean.shape == video[:, 1:].shape


def test_is_described_by_its_level() -> None:
    assert "1      every frame  -     LSTM 3  Gaussian 2" in describe(build().model)


# The oracle


@pytest.mark.parametrize("context", [1, 2, 3])
@pytest.mark.parametrize(
    ("statistics", "training"), [("each", True), ("pooled", True), ("each", False)]
)
@NETWORKS
def test_equals_the_oracle(
    network: str, statistics: Statistics, training: bool, context: int
) -> None:
    system = build(network, context, statistics=statistics, training=training)
    assert_equals_the_oracle(system, clip(), context, HOW[statistics])


@NETWORKS
def test_equals_the_oracle_at_32_pixels(network: str) -> None:
    system = build(network, training=True, resolution=32)
    assert_equals_the_oracle(system, clip(3, 32), 2)


@pytest.mark.parametrize(("frames", "context"), [(2, 1), (3, 3), (3, 9)])
def test_equals_the_oracle_on_clips_not_longer_than_the_context(frames: int, context: int) -> None:
    assert_equals_the_oracle(build(context=context, training=True), clip(frames), context)


def assert_equals_the_oracle(
    system: System, video: Tensor, context: int, how: svg.Statistics = "frame"
) -> None:
    """Beliefs, samples, KLs, frames, the loss, every gradient and running statistic."""
    frames, oracle = video.shape[1], oracle_of(system)
    loss = evaluate(system, video).loss
    out = oracle(video, noise(frames), context=context, beta=BETA, statistics=how)
    p, q = system.watched.model_trace.nodes, system.watched.guide_trace.nodes
    kls = system.watched.kls()["z", 1]
    for t in range(1, frames):
        name = site(STATE, 1, t)
        for nodes, role in ((p, "prior"), (q, "posterior")):
            close(nodes[name]["fn"].mean, out[role][t - 1].mean)
            close(nodes[name]["fn"].stddev, out[role][t - 1].std)
        close(q[name]["value"], out["z"][t - 1])
        close(kls[t], out["kl"][t - 1])
    close(p["frames"]["fn"].mean, out["frames"])
    close(p["frames"]["fn"].log_prob(video[:, 1:]), out["recon"])
    # The density's constant, of frames with σ² = 1/2.
    close(loss, out["loss"] + (frames - 1) * math.log(math.pi) / 2)
    assert_same_gradients(system, loss, oracle, out["loss"])
    for name, value in svg_buffers(system.hierarchy).items():
        close(value.double(), oracle.get_buffer(name).double())


def assert_same_gradients(system: System, loss: Tensor, oracle: svg.SVG, expected: Tensor) -> None:
    parameters = [*system.objective.parameters()]
    found = torch.autograd.grad(loss, parameters)
    of = {id(p): gradient for p, gradient in zip(parameters, found, strict=True)}
    mine = svg_weights(system.hierarchy, system.guide, lambda p: of[id(p)])
    names, theirs = zip(*oracle.named_parameters(), strict=True)
    wanted = dict(zip(names, torch.autograd.grad(expected, theirs), strict=True))
    assert mine.keys() == wanted.keys()
    for name, gradient in wanted.items():
        scale = 1.0 + float(gradient.abs().max())
        assert float((mine[name] - gradient).abs().max()) < 1e-10 * scale, name


def test_all_parameters_are_compared() -> None:
    system = build()
    compared = svg_weights(system.hierarchy, system.guide)
    assert sum(value.numel() for value in compared.values()) == count(system.objective)


# The two programs


def test_sites_are_those_of_the_frames_after_the_first() -> None:
    system, video = build(), clip()
    q = run(system.guide, video)
    p = run(system.model, video, given=q)
    states = [f"z_1_{t}" for t in TIMES]
    for trace, names in ((q, states), (p, [*states, "frames"])):
        assert [name for name in trace if trace.nodes[name]["type"] == "sample"] == [PLATE, *names]
    assert torch.equal(p.nodes["frames"]["value"], video[:, 1:])


@NETWORKS
def test_bound_equals_the_stock_bound(network: str) -> None:
    system, video = build(network, training=True), clip()
    with SiteNoise():
        ours = HierarchyELBO().differentiable_loss(system.model, system.guide, video)
        stock = TraceMeanField_ELBO().differentiable_loss(system.model, system.guide, video)
    close(ours, stock, rtol=1e-9)


def test_bound_equals_trace_elbo_in_mean() -> None:
    """False alarm: once in 390 000 seeds."""
    system = build()  # in evaluation: batch statistics would depend on the number of particles
    assert abs(disagreement(system.model, system.guide, clip(3), particles=10)) < 5.5


@NETWORKS
@pytest.mark.parametrize("context", [1, 3])
def test_particles_in_parallel_are_particles_one_by_one(network: str, context: int) -> None:
    system = build(network, context)
    check_particles(system.model, system.guide, clip(4))


def test_memo_changes_nothing_but_the_number_of_calls() -> None:
    found, calls = [], []
    for memo in (True, False):
        system, video = build(training=True), clip()
        with SiteNoise():
            bound = HierarchyELBO(memo=memo)
            loss = bound.differentiable_loss(system.model, system.guide, video)
        found.append([loss, *torch.autograd.grad(loss, [*system.guide.parameters()])])
        calls.append(int(system.hierarchy.encoder.stages[0].norm.num_batches_tracked))
    for with_memo, without in zip(*found, strict=True):
        close(with_memo, without)
    assert calls[0] == T and calls[1] > T, "both programs share one pass of the encoder"


@NETWORKS
@pytest.mark.parametrize("training", [True, False])
def test_blind_guide_follows_the_prior(network: str, training: bool) -> None:
    system, video = build(network, training=training), clip()
    oracle = oracle_of(system)
    q = run(partial(system.guide, blind={1}), video)
    p = run(system.model, video, given=q)
    out = oracle(video, noise(), context=2, latents="prior")
    close(torch.stack([q.nodes[f"z_1_{t}"]["value"] for t in TIMES]), torch.stack(out["z"]))
    close(p.nodes["frames"]["fn"].mean, out["frames"])
    with SiteNoise():
        bound = HierarchyELBO().bound(system.model, partial(system.guide, blind={1}), video)
    assert torch.equal(bound.kl["z", 1], torch.zeros(B).double())


def test_a_context_that_goes_on_is_inferred_as_one_that_ends() -> None:
    system, video = build(), clip()
    ends, goes_on = (run(partial(system.guide, ends=ends), video) for ends in (True, False))
    for t in TIMES:
        first, second = (trace.nodes[f"z_1_{t}"] for trace in (ends, goes_on))
        assert torch.equal(first["value"], second["value"])
        assert torch.equal(first["fn"].parameters, second["fn"].parameters)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("t", TIMES)
@NETWORKS
def test_target_does_not_reach_its_prediction(network: str, t: int, training: bool) -> None:
    """Neither through skips, nor features, nor statistics: x_t changes the frames after it."""
    system, video = build(network, context=T, training=training), clip()
    changed = video.clone()
    changed[:, t] = 1 - changed[:, t]
    blind = partial(system.guide, blind={1})
    before, after = (
        run(system.model, v, given=run(blind, v)).nodes["frames"]["fn"].mean.flatten(2)
        for v in (video, changed)
    )
    assert torch.equal(before[:, :t], after[:, :t])
    assert t == T - 1 or bool((before[:, t] != after[:, t]).any())


# Frame by frame


def step_and_see(system: System, video: Tensor, q: poutine.Trace) -> tuple[Tensor, poutine.Trace]:
    """The means of frames 1, 2, ..., each after the true one before, replayed against a guide."""
    hierarchy, means = system.hierarchy, []
    with poutine.trace() as recorded, poutine.replay(trace=q), pyro.plate(PLATE, B, dim=-1):
        state = hierarchy.begin(video[:, :1])
        for t in range(1, video.shape[1]):
            state = hierarchy.step(t, state)
            means.append(state.mean)
            state = hierarchy.see(state, video[:, t])
    return torch.stack(means, 1), recorded.trace


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("context", [1, 3, 9])
@NETWORKS
def test_feeding_back_the_true_frames_is_teacher_forcing(
    network: str, context: int, training: bool
) -> None:
    system, video = build(network, context, training=training), clip()
    q = run(system.guide, video)
    p = run(system.model, video, given=q)
    means, recorded = step_and_see(system, video, q)
    close(means, p.nodes["frames"]["fn"].mean)
    for t in TIMES:
        close(recorded.nodes[f"z_1_{t}"]["fn"].parameters, p.nodes[f"z_1_{t}"]["fn"].parameters)


@pytest.mark.parametrize("context", [1, 2, 3])
@NETWORKS
def test_prediction_equals_the_oracles(network: str, context: int) -> None:
    system, video = build(network, context), clip(context)
    oracle, ahead = oracle_of(system), noise(context + 4)
    with SiteNoise():
        rollout = open_loop(system.model, system.guide, video, 4)
    out = oracle.generate(video, ahead)
    close(rollout.prediction, out["frames"])
    seen = oracle(video, ahead, context=context) if context > 1 else {}
    assert rollout.given == 1 and rollout.reconstruction.shape[1] == context - 1
    if seen:
        close(rollout.reconstruction, seen["frames"])
        close(rollout.kl[1][:, 1:], torch.stack(seen["kl"], 1))
    assert bool((rollout.kl[1][:, 0] == 0).all())
    assert rollout.gates.shape == (B, 1, context + 4)
    assert bool((rollout.gates[:, 0, 1:] == 1).all() and (rollout.gates[:, 0, 0] == 0).all())


@pytest.mark.parametrize("chunk", [1, 2, 50])
@pytest.mark.parametrize("given", [1, 2, 5])
def test_skips_freeze_where_the_model_says_whatever_is_given(given: int, chunk: int) -> None:
    """Of a longer clip later maps are not read; after a shorter one those of its own frames are.

    What it then makes is what it would make along its own frames.
    """
    context, frames = 3, 7
    system, video = build(context=context), clip(given)
    oracle, ahead = oracle_of(system), noise(frames)
    with SiteNoise():
        chunks = list(stream(system.model, system.guide, video, frames - given, chunk=chunk))
    own = torch.cat([video, *(part.frames for part in chunks[1:])], 1)
    out = oracle(own, ahead, context=context)
    drawn = [*out["posterior"][: given - 1], *out["prior"][given - 1 :]]
    z = [belief.mean + belief.std * e for belief, e in zip(drawn, ahead, strict=True)]
    out = oracle(own, ahead, context=context, latents=z)
    close(own[:, given:], out["frames"][:, given - 1 :])


# Training, and what is refused


def test_trains() -> None:
    system, video = build(training=True), clip(3)
    optimiser = torch.optim.Adam(system.objective.parameters(), lr=1e-2)
    losses = []
    for step in range(20):
        torch.manual_seed(step % 5)
        loss = system.objective(video).loss
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert sum(losses[-5:]) < sum(losses[:5])
    assert not pyro.get_param_store()


@pytest.mark.parametrize(
    ("what", "says"),
    [
        (lambda s: svg_lp(network="resnet"), "network is dcgan or vgg, got 'resnet'"),  # type: ignore[arg-type]
        (lambda s: svg_lp(context=0), "whole number of frames, at least 1, got context=0"),
        (lambda s: svg_lp(context=2.5), "got context=2.5"),  # type: ignore[arg-type]
        (lambda s: guide_of(s.model.hierarchy), "a model is needed, .*got a Hierarchy"),
        (lambda s: svg_lp(resolution=48), "16, 32, 64 or 128 pixels"),
        (lambda s: svg_lp(std=0.0), "positive number"),
        (lambda s: svg_lp(std="0.5"), "positive number.*std=None"),  # type: ignore[arg-type]
        (lambda s: s.guide(clip(1)), "use clips of at least 2 frames"),
        (lambda s: s.model(clip(1)), "use clips of at least 2 frames"),
        (lambda s: s.model(length=3, batch=2), "draws nothing without them: use .*open_loop"),
        (lambda s: s.guide(clip(), blind={2}), "not all within 1 to 1"),
        (lambda s: guide_of(vta(resolution=16)), "needs a Hierarchy, got a VTA"),  # type: ignore[arg-type]
    ],
)
def test_what_does_not_fit_is_refused(what: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        what(build())


def test_no_std_is_one_that_is_learnt_from_the_default_on() -> None:
    (log_std,) = (
        parameter
        for name, parameter in svg_lp(resolution=16, width=0.05, std=None).named_parameters()
        if name.endswith("log_std")
    )
    close(log_std.exp(), torch.tensor(2**-0.5), rtol=1e-6, atol=0.0)  # float32
