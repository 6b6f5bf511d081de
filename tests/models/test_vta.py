"""VTA: parameter counts, the literal oracle, limits, blind levels, stock bounds, predictions."""

import math
import zlib
from collections.abc import Callable, Collection
from typing import Any, NamedTuple

import pyro
import pytest
import torch
from pyro import poutine
from torch import Tensor, nn

from pyrovp.describe import describe
from pyrovp.distributions import DiagonalNormal, Held
from pyrovp.gates import SegmentPrior
from pyrovp.guides.dlh import dlh as dlh_guide
from pyrovp.guides.vta import VTAGuide
from pyrovp.guides.vta import vta as guide_of
from pyrovp.infer import HierarchyELBO, Objective
from pyrovp.models.dlh import dlh
from pyrovp.models.vta import VTA, vta
from pyrovp.predict import Jumpy, LikelyGates, open_loop
from pyrovp.programs import PLATE, LatentDynamics
from pyrovp.segments import past
from pyrovp.sites import FRAMES, STATE, parse, site
from tests.models.evaluate import Watched
from tests.models.weights import randomise
from tests.models.weights_vta import vta_buffers, vta_weights
from tests.oracles import vta as oracle
from tests.oracles.tiny import close, randn
from tests.toys.handlers import SiteNoise, check_particles, disagreement, run

B, G, T, TAIL, R = 3, 2, 6, 2, 16
SIZES: dict[str, Any] = {"belief": 3, "state": 2, "features": 4, "channels": 1, "resolution": R}
SEGMENTS = SegmentPrior(number=3, length=3)


class System(NamedTuple):
    """A system in float64, and a bound that keeps its traces."""

    model: LatentDynamics
    guide: VTAGuide
    objective: Objective
    watched: Watched

    @property
    def space(self) -> Any:
        return self.model.hierarchy


def build(temperature: float = 0.5, segments: SegmentPrior | None = SEGMENTS) -> System:
    """Random weights under which gates open and close."""
    model = vta(given=G, tail=TAIL, segments=segments, temperature=lambda step: temperature,
                **SIZES)  # fmt: skip
    guide, watched = guide_of(model), Watched()
    objective = Objective(model, guide, watched, per="frame").double()
    objective.set_step(0)
    space: Any = model.hierarchy
    space.gate.set_step(0)  # in the precision of the rest
    randomise(objective, seed=3, scale=1.5)
    return System(model, guide, objective, watched)


def clip(frames: int = G + T + TAIL, seed: int = 7) -> Tensor:
    return randn(B, frames, 1, R, R, seed=seed).sigmoid()


def signed(pixels: Tensor) -> Tensor:
    """As the oracle sees them, in [-1, 1]."""
    return 2 * pixels - 1


def oracle_of(system: System) -> oracle.VTA:
    """The oracle's network with the system's weights and statistics."""
    sizes = {key: SIZES[key] for key in ("belief", "state", "features")}
    network = oracle.VTA(SIZES["channels"], R, **sizes).double()
    space, guide = system.space, system.guide
    values = vta_weights(space, guide) | vta_buffers(space, guide)
    network.load_state_dict({name: value.detach() for name, value in values.items()})
    return network.train(system.model.training)


def noise_at(names: list[str], *shape: int, kind: str) -> Tensor:
    """The numbers that `SiteNoise` lets these sites draw, [B, T, ...]."""
    drawn = []
    for name in names:
        torch.manual_seed(zlib.crc32(name.encode()))
        number = torch.rand if kind == "logistic" else torch.randn
        drawn.append(number(B, *shape, dtype=torch.float64))
    stacked = torch.stack(drawn, 1)
    return torch.logit(stacked) if kind == "logistic" else stacked


def noise_of(first: int, frames: int) -> oracle.Noise:
    times = range(first, first + frames)
    z, s = (
        noise_at([site(STATE, n, t) for t in times], SIZES["state"], kind="normal") for n in (2, 1)
    )
    return oracle.Noise(noise_at([f"elogit_2_{t + 1}" for t in times], kind="logistic"), z, s)


def evaluate(system: System, video: Tensor) -> Any:
    with SiteNoise():
        return system.objective(video)


def over(read: Callable[[int], Tensor], times: range) -> Tensor:
    return torch.stack([read(t) for t in times], 1)


# The network


@pytest.mark.parametrize(("resolution", "parameters"), [(32, 2_235_975), (64, 2_760_775)])
def test_parameter_count(resolution: int, parameters: int) -> None:
    with torch.device("meta"):
        model = vta(resolution=resolution)
        modules = (model, guide_of(model))
    assert sum(p.numel() for p in {p for m in modules for p in m.parameters()}) == parameters


@pytest.mark.parametrize("resolution", [16, 32, 64])
@pytest.mark.parametrize("channels", [1, 3])
def test_frames_of_all_sizes(resolution: int, channels: int) -> None:
    model = vta(given=1, tail=1, **SIZES | {"channels": channels, "resolution": resolution})
    video, watched = torch.rand(2, 4, channels, resolution, resolution), Watched()
    loss = Objective(model, guide_of(model), watched)(video).loss
    assert loss.shape == () and bool(loss.isfinite())
    assert watched.model_trace.nodes["frames"]["fn"].mean.shape == video[:, 1:3].shape


def test_is_described_by_its_levels() -> None:
    table = describe(build().model)
    assert "2      every frame  Boundary  GRU 3   Gaussian 2" in table
    assert "1      every frame  -         GRU 3   Gaussian 2" in table


# The oracle


@pytest.mark.parametrize("segments", [SEGMENTS, None], ids=["limited", "free"])
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_equals_the_oracle(segments: SegmentPrior | None, training: bool) -> None:
    """Beliefs, samples, gates, KLs, frames, the loss and every gradient.

    The oracle's σ of 1 in [-1, 1] is 1/2 in [0, 1]; densities differ by log 2 for each value.
    """
    system, video = build(segments=segments), clip()
    system.objective.train(training)
    network = oracle_of(system)
    loss = evaluate(system, video).loss
    limits = segments or SEGMENTS
    out = oracle.vta(
        signed(video), network, noise_of(G, T), given=G, tail=TAIL, temperature=0.5,
        regulate=training and segments is not None, number=limits.number, length=limits.length,
    )  # fmt: skip
    p, q, kls = system.watched.model_trace.nodes, system.watched.guide_trace.nodes, None
    kls = system.watched.kls()
    times, after = range(G, G + T), range(G + 1, G + T + 1)
    m = out["m"][:, G + 1 : G + T]
    assert 0 < m.mean() < 1, "gates open and close"
    for n, name in ((2, "z"), (1, "s")):
        for nodes, role in ((p, "prior"), (q, "posterior")):
            belief = out[f"{role}_{name}"]
            fns = [nodes[site(STATE, n, t)]["fn"] for t in times]
            bases = [fn.base if isinstance(fn, Held) else fn for fn in fns]
            close(torch.stack([base.mean for base in bases], 1), belief.mean)
            close(torch.stack([base.stddev for base in bases], 1), belief.std)
        close(torch.stack([q[site(STATE, n, t)]["value"] for t in times], 1), out[name])
        close(torch.stack([kls["z", n][t] for t in times], 1), out[f"kl_{name}"])
    close(over(lambda t: q[f"elogit_2_{t}"]["value"], after), out["y"])
    close(over(lambda t: q[f"elogit_2_{t}"]["fn"].logits, after), out["posterior_logits"])
    close(over(lambda t: p[f"elogit_2_{t}"]["fn"].logits, after), out["prior_logits"])
    close(over(lambda t: kls["elogit", 2][t], after), out["gate"])
    close(signed(p["frames"]["fn"].mean), out["frames"])
    volume = video[0, 0].numel() * math.log(2)
    close(-p["frames"]["fn"].log_prob(video[:, G : G + T]), out["nll"].sum(1) - T * volume)
    close(loss, out["loss"] - volume)
    assert_same_gradients(system, loss, network, out["loss"])
    for name, value in vta_buffers(system.space, system.guide).items():
        close(value.double(), network.get_buffer(name).double())


def assert_same_gradients(
    system: System, loss: Tensor, network: nn.Module, expected: Tensor
) -> None:
    parameters = [*system.objective.parameters()]
    found = torch.autograd.grad(loss, parameters)
    of = {id(p): gradient for p, gradient in zip(parameters, found, strict=True)}
    mine = vta_weights(system.space, system.guide, lambda p: of[id(p)])
    names, theirs = zip(*network.named_parameters(), strict=True)
    wanted = dict(zip(names, torch.autograd.grad(expected, theirs), strict=True))
    assert mine.keys() == wanted.keys()
    for name, gradient in wanted.items():
        scale = 1.0 + float(gradient.abs().max())
        assert float((mine[name] - gradient).abs().max()) < 1e-10 * scale, name


@pytest.mark.parametrize("context", [G, G + 3])
def test_prediction_equals_the_oracles(context: int) -> None:
    """However long the context: all of it is given."""
    system, video = build(), clip(context)
    system.objective.eval()
    with SiteNoise():
        rollout = open_loop(system.model, system.guide, video, 8, policy=LikelyGates())
    noise = noise_of(context, 8)._replace(gates=torch.zeros(B, 8).double())
    out = oracle.generate(oracle_of(system), signed(video), noise)
    close(signed(rollout.prediction), out["frames"])
    assert rollout.reconstruction.shape[1] == 0
    assert torch.equal(rollout.gates[:, 1, context:], out["m"]), "level 2 changes at boundaries"
    assert bool((rollout.gates[:, 0, context:] == 1).all())
    assert 0 < out["m"][:, 1:].mean() < 1


def test_sampled_prediction_equals_the_oracles() -> None:
    system, video = build(), clip(G)
    system.objective.eval()
    with SiteNoise():
        rollout = open_loop(system.model, system.guide, video, 8)
    out = oracle.generate(oracle_of(system), signed(video), noise_of(G, 8))
    close(signed(rollout.prediction), out["frames"])
    assert torch.equal(rollout.gates[:, 1, G:], out["m"])


def test_jumps_step_the_abstract_level_alone() -> None:
    system, video = build(), clip(G)
    system.objective.eval()
    with SiteNoise():
        rollout = open_loop(system.model, system.guide, video, 6, policy=Jumpy())
    noise = noise_of(G, 6)
    expected = oracle.jump(oracle_of(system), signed(video), noise.z, noise.s)
    close(signed(rollout.prediction), expected)
    assert bool((rollout.gates[:, 1, G:] == 1).all())


# The two programs


def test_sites_are_the_same_and_the_guide_draws_all_gates_first() -> None:
    system, video = build(), clip()
    q = run(system.guide, video)
    p = run(system.model, video, given=q)

    def kinds(trace: Any) -> list[str]:
        return [name.rpartition("_")[0] for name in trace.stochastic_nodes if parse(name)]

    assert kinds(q) == ["elogit_2"] * T + ["z_2", "z_1"] * T
    assert kinds(p) == ["z_2", "z_1", "elogit_2"] * T
    assert sorted(q.stochastic_nodes) == sorted(p.stochastic_nodes)
    assert f"elogit_2_{G}" not in q and f"elogit_2_{G + T}" in q, "one frame past the last"


def test_state_is_held_between_boundaries_and_scores_nothing() -> None:
    system, video = build(), clip()
    q = run(system.guide, video)
    for t in range(G + 1, G + T):
        node, before = q.nodes[f"z_2_{t}"], q.nodes[f"z_2_{t - 1}"]["value"]
        m = q.nodes[f"elogit_2_{t}"]["value"] > 0
        assert torch.equal((node["value"] == before).all(-1), ~m)
        assert torch.equal(node["log_prob"] == 0, ~m)


def test_the_tail_is_seen_by_the_gates_alone() -> None:
    system, video = build(), clip()
    system.objective.eval()
    other = torch.cat((video[:, : G + T], clip(TAIL, seed=8)), 1)
    first = run(system.guide, video)
    gates = {name: first.nodes[name]["value"] for name in first if name.startswith("elogit")}
    with poutine.condition(data=gates):
        second = run(system.guide, other)
    for name in gates:
        same = torch.equal(first.nodes[name]["fn"].logits, second.nodes[name]["fn"].logits)
        assert same is (int(name.rpartition("_")[2]) < G + T - 4), "four convolutions reach far"
    for name in first:
        if name.startswith("z"):
            assert torch.equal(first.nodes[name]["value"], second.nodes[name]["value"])


def test_encoder_runs_once_and_every_transition_is_shared() -> None:
    system, video = build(), clip()
    calls: dict[str, int] = {}

    def count(name: str) -> Callable[..., None]:
        return lambda *_: calls.update({name: calls.get(name, 0) + 1})

    space = system.space
    for name in ("encoder", "parent", "output"):
        getattr(space, name).register_forward_hook(count(name))
    system.objective(video)
    assert calls == {"encoder": 1, "parent": T, "output": 2}, "for frames, for gates"
    assert int(space.encoder.layers[0].norm.num_batches_tracked) == 1


def test_bound_equals_trace_elbo_in_mean() -> None:
    """False alarm: once in 390 000 seeds."""
    system, video = build(), clip()
    system.objective.eval()  # batch statistics would depend on the number of particles
    system.space.gate.train()
    assert abs(disagreement(system.model, system.guide, video, particles=10)) < 5.5


def test_particles_in_parallel_are_particles_one_by_one() -> None:
    system, video = build(), clip()
    system.objective.eval()
    system.space.gate.train()
    check_particles(system.model, system.guide, video)


@pytest.mark.parametrize("scale", [1.0, 300.0])
def test_bound_and_gradients_are_finite_at_low_temperature(scale: float) -> None:
    """In float32, also for gates that are all but certain, in disagreement."""
    system, video = build(temperature=0.1, segments=None), clip()
    with torch.no_grad():
        for layer in (system.space.gate.prior, system.guide.boundary.output):
            layer.weight.mul_(scale)
    objective = system.objective.float()
    loss = objective(video.float()).loss
    assert bool(loss.isfinite())
    for gradient in torch.autograd.grad(loss, list(objective.parameters())):
        assert bool(gradient.isfinite().all())


def test_temperature_shows_in_gradients_only() -> None:
    losses, gradients = [], []
    for temperature in (0.1, 1.0):
        system = build(temperature)
        losses.append(evaluate(system, clip()).loss)
        gradients.append(torch.autograd.grad(losses[-1], [*system.guide.boundary.parameters()]))
    close(*losses)
    assert not any(torch.allclose(a, b, rtol=1e-3) for a, b in zip(*gradients, strict=True))


def test_temperature_follows_the_training_step() -> None:
    model = vta(**SIZES)
    objective = Objective(model, guide_of(model))
    space: Any = model.hierarchy
    for step in (0, 50_000):
        objective.set_step(step)
        expected = 0.9 * 0.999 ** (step / 100) + 0.1
        assert space.gate.temperature.item() == pytest.approx(expected, rel=1e-6)


# Limits


def always(system: System) -> tuple[Callable[..., None], Callable[..., None]]:
    """A boundary at every frame: two levels at one rate, the lower one without memory."""

    def walk(video: Tensor, infer: bool) -> None:
        space, guide = system.space, system.guide
        x = space.encoder(video.flatten(0, 1)).unflatten(0, video.shape[:2])
        memories, outputs = past(space.past, x), []
        c = z = memories[:, G - 1]
        zero = torch.zeros(B, SIZES["belief"]).double()
        with pyro.plate(PLATE, B, dim=-1):
            for t in range(G, G + T):
                c = c if t == G else space.abstract.step(c, z)
                suffix, prefix = (
                    cell.step(zero, x[:, t]) for cell in (guide.suffix, guide.prefix)
                )
                q = guide.abstract(memories[:, t - 1], suffix) if infer else None
                z = draw(2, t, space.heads[1](c) if q is None else q)
                a = space.parent(c, z)
                s = draw(1, t, guide.observation(a, prefix) if infer else space.heads[0](a))
                outputs.append(space.output(a, s))
            if not infer:
                emit(space, outputs, video)

    return lambda video: walk(video, False), lambda video: walk(video, True)


def never(system: System) -> tuple[Callable[..., None], Callable[..., None]]:
    """No boundary after the first: one level under one state for the whole clip."""

    def walk(video: Tensor, infer: bool) -> None:
        space, guide = system.space, system.guide
        x = space.encoder(video.flatten(0, 1)).unflatten(0, video.shape[:2])
        c, outputs = past(space.past, x)[:, G - 1], []
        suffix = prefix = torch.zeros(B, SIZES["belief"]).double()
        for t in reversed(range(G, G + T)):
            suffix = guide.suffix.step(suffix, x[:, t])
        with pyro.plate(PLATE, B, dim=-1):
            z = draw(2, G, guide.abstract(c, suffix) if infer else space.heads[1](c))
            h = a = space.parent(c, z)
            for t in range(G, G + T):
                prefix = guide.prefix.step(prefix, x[:, t])
                s = draw(1, t, guide.observation(a, prefix) if infer else space.heads[0](h))
                outputs.append(space.output(h, s))
                h = space.observation.step(h, s, a)
            if not infer:
                emit(space, outputs, video)

    return lambda video: walk(video, False), lambda video: walk(video, True)


def draw(level: int, t: int, belief: Tensor) -> Tensor:
    return pyro.sample(site(STATE, level, t), DiagonalNormal(belief))


def emit(space: VTA, outputs: list[Tensor], video: Tensor) -> None:
    frames = space.emission((torch.stack(outputs, 1),)).frames
    pyro.sample(FRAMES, frames, obs=video[:, G : G + T])


@pytest.mark.parametrize(("log_odds", "limit"), [(1e3, always), (-1e3, never)])
def test_certain_gates_make_the_limiting_models(
    log_odds: float, limit: Callable[[System], tuple[Callable[..., None], ...]]
) -> None:
    """The whole bound and its gradient; certain gates agree, so their KL is 0.

    The gates' own gradient is left out: that of a sampled KL is 0 only in mean.
    """
    system, video = build(segments=None), clip()
    system.objective.eval()
    layers: list[Any] = [system.space.gate.prior, system.guide.boundary.output]
    with torch.no_grad():
        for layer in layers:
            layer.weight.zero_()
            layer.bias.copy_(torch.tensor([log_odds, 0.0]))
    gates = {id(p) for p in (*system.space.gate.parameters(), *system.guide.boundary.parameters())}
    parameters = [p for p in system.guide.parameters() if id(p) not in gates]
    found = []
    for pair in ((system.model, system.guide), limit(system)):
        with SiteNoise():
            loss = HierarchyELBO().differentiable_loss(*pair, video)
        found.append((loss, torch.autograd.grad(loss, parameters, materialize_grads=True,
                                                allow_unused=True)))  # fmt: skip
    (loss, gradients), (expected, expected_gradients) = found
    close(loss, expected)
    for a, b in zip(gradients, expected_gradients, strict=True):
        close(a, b, atol=1e-9)


# Blind levels, and what is refused


@pytest.mark.parametrize("blind", [{1}, {2}, {1, 2}])
def test_a_blind_level_follows_its_prior_and_the_other_infers(blind: Collection[int]) -> None:
    system, video = build(), clip()
    bound = HierarchyELBO().bound(
        system.model, lambda clip: system.guide(clip, blind=blind), video
    )
    for (kind, level), kl in bound.kl.items():
        assert bool((kl.abs() < 1e-10).all()) is (level in blind), (kind, level)
    assert set(bound.kl) == {("elogit", 2), ("z", 1), ("z", 2)}


def test_prefixes_step_by_step_are_those_of_a_scan() -> None:
    """Gates drawn ahead and put in the prior's place give level 1 the very same posterior."""
    system, video = build(), clip()
    system.objective.eval()
    sighted = run(system.guide, video)
    values = {name: sighted.nodes[name]["value"] for name in sighted if parse(name)}
    with poutine.condition(data=values):
        blind = run(lambda clip: system.guide(clip, blind={2}), video)
    for t in range(G, G + T):
        mine, scanned = (trace.nodes[f"z_1_{t}"]["fn"] for trace in (blind, sighted))
        close(mine.parameters, scanned.parameters)


def test_a_context_is_given_and_draws_nothing() -> None:
    system = build()
    trace = poutine.trace(system.guide).get_trace(clip(1), ends=False)
    assert not trace.stochastic_nodes


@pytest.mark.parametrize(
    ("what", "says"),
    [
        (lambda s: vta(**SIZES, given=0), "starts from 1 or more given frames"),
        (lambda s: vta(**SIZES, tail=0), "a tail of 1 or more"),
        (lambda s: vta(**SIZES, given=2.5), "whole numbers; got given=2.5, tail=5"),  # type: ignore[arg-type]
        (lambda s: vta(**SIZES, segments=5), r"limited by SegmentPrior\(.*, got 5"),  # type: ignore[arg-type]
        (lambda s: s.guide(clip(), blind=1), "blind levels 1 are not all within 1 to 2"),
        (lambda s: guide_of(nn.Linear(2, 2)), "a model is needed, .*got a Linear"),  # type: ignore[arg-type]
        (lambda s: s.guide(clip(G + TAIL)), "use clips of at least 5 frames"),
        (lambda s: s.guide(clip(), blind={3}), "not all within 1 to 2"),
        (lambda s: s.guide(clip()[0]), "one clip becomes a batch"),
        (lambda s: open_loop(s.model, s.guide, clip(1), 2), "starts from 2 given frames"),
        (lambda s: guide_of(dlh(std=1.0, resolution=16, width=0.05)), "is a Hierarchy"),  # type: ignore[arg-type]
        (lambda s: dlh_guide(s.model), "needs a Hierarchy, got a VTA"),
    ],
)
def test_what_does_not_fit_is_refused(what: Callable[[System], Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        what(build())


def test_trains() -> None:
    system, video = build(temperature=0.5), clip()
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
