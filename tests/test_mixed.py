"""Gates on levels of maps: what DLH and HVRNN never had together."""

from dataclasses import replace
from functools import cache
from typing import Any, NamedTuple

import pyro
import pytest
import torch
import torch.distributions as td
from pyro import poutine
from pyro.infer import TraceMeanField_ELBO
from torch import Tensor, nn

from pyrovp.cells import FromContext, Learned, NormedConvLSTM
from pyrovp.emission import GaussianLikelihood, UpwardFrames
from pyrovp.evidence import PastFrame
from pyrovp.filtering import Filtering
from pyrovp.gates import Forced, Gate, MixtureGate, VaDE
from pyrovp.heads import GaussianMap
from pyrovp.hierarchy import Hierarchy
from pyrovp.infer import HierarchyELBO
from pyrovp.infer.kl import level_kls
from pyrovp.levels import Level
from pyrovp.nets import ResidualEncoder
from pyrovp.predict import HoldStatic, open_loop
from pyrovp.programs import PLATE, LatentDynamics
from pyrovp.sites import BELIEF, GATE, STATE, site
from pyrovp.state import State
from pyrovp.wiring import Dense
from tests.models.weights import randomise
from tests.oracles.tiny import close, randn
from tests.predict.recorder import Recorder
from tests.toys.handlers import SiteNoise, check_particles, run

B, GIVEN, T, WIDTH = 3, 2, 9, 4
TIMES = range(GIVEN, T)
GATE_KINDS = {
    "hard": MixtureGate(size=3),
    "soft": MixtureGate(size=3, rule=VaDE()),
    "of the state": MixtureGate(size=3, inputs="state", static_sample="redraw"),
    "moving on": MixtureGate(size=3, fresh_static=False, block_memory=False),
}
KINDS = pytest.mark.parametrize("kind", GATE_KINDS)
READS = pytest.mark.parametrize("reads", [False, True], ids=["own state", "past frame"])
COPIES = [kind for kind, gate in GATE_KINDS.items() if gate.static_sample == "copy"]


class System(NamedTuple):
    """Model and guide in float64."""

    model: LatentDynamics
    guide: Filtering

    @property
    def hierarchy(self) -> Any:
        return self.model.hierarchy


def build(gates: tuple[Gate | None, ...], reads: bool = False) -> System:
    """Maps of 8, 4 and 1 pixels with weights under which gates open and close.

    Args:
        gates: Of level 2, and of level 3 if there is one.
        reads: Whether the gated levels' memories take in frames; level 1's does.
    """
    encoder = ResidualEncoder(1, resolution=16, width=WIDTH)
    levels = [
        Level(
            memory=NormedConvLSTM(
                encoder.features[r], r, inputs=WIDTH, start=FromContext() if read else Learned()
            ),
            state=GaussianMap(encoder.features[r], r),
            reads=PastFrame() if read else None,
            gate=gate,
        )
        for r, gate, read in zip((8, 4, 1), (None, *gates), (True, reads, reads), strict=False)
    ]
    hierarchy = Hierarchy(
        levels, Dense(), encoder, UpwardFrames(1, 16, GaussianLikelihood(0.5), width=WIDTH),
        given=GIVEN,
    )  # fmt: skip
    model, guide = LatentDynamics(hierarchy).double(), Filtering(hierarchy).double()
    randomise(guide, seed=5)
    with torch.no_grad():
        for module in guide.modules():
            if isinstance(module, nn.GroupNorm):
                module.weight.add_(1.0)
        for level, dynamics, head in zip(levels, hierarchy.dynamics, guide.heads, strict=True):
            # Priors wide, posteriors narrow.
            narrow = -5.0 if level.memory.resolution == 1 else -2.5
            for part, spread in ((dynamics, 1.0), (head, narrow)):
                norm: Any = part.head.norm
                norm.weight[level.state.size :] *= 0.2
                norm.bias[level.state.size :] += spread
    return System(model, guide)


@cache
def gated(kind: str, levels: int = 3, reads: bool = False) -> System:
    """A system with gates of one kind on all levels but the first."""
    return build((GATE_KINDS[kind],) * (levels - 1), reads)


def clip() -> Tensor:
    """Noise, of which about half of the frames nearly repeat the one before."""
    video = torch.sigmoid(2 * randn(B, T, 1, 16, 16, seed=1))
    for t in range(1, T):
        still = randn(B, seed=t) < 0
        video[still, t] = video[still, t - 1] + 0.01 * video[still, t]
    return video


def states(system: System, video: Tensor, q: Any = None) -> list[State]:
    """The states after each frame, replayed against a guide's trace or drawn."""
    hierarchy, found = system.hierarchy, []
    with poutine.replay(trace=q) if q is not None else SiteNoise():
        with pyro.plate(PLATE, B, dim=-1):
            state = hierarchy.begin(video)
            for t in TIMES:
                state = hierarchy.step(t, state)
                found.append(state)
                state = hierarchy.see(state, video[:, t])
    return found


def decisions(found: list[State], n: int) -> Tensor:
    """e of the level at an index, after the first modelled frame: [T - G - 1, B]."""
    return torch.stack([state.levels[n].e for state in found[1:]])  # type: ignore[misc]


@KINDS
@READS
def test_gates_open_and_close(kind: str, reads: bool) -> None:
    """Under inference and in draws of its own; else what follows would say little."""
    system, video = gated(kind, reads=reads), clip()
    for q in (run(system.guide, video), None):
        for n in (1, 2):
            rate = float(decisions(states(system, video, q), n).double().mean())
            assert 0.05 < rate < 0.95, (q is None, n, rate)


@KINDS
@READS
def test_trains_a_step(kind: str, reads: bool) -> None:
    """Finite gradients and moving weights; the same without memo, and with Pyro's own bound."""
    system, video = build((GATE_KINDS[kind],) * 2, reads), clip()
    bounds: list[Any] = [HierarchyELBO(), HierarchyELBO(memo=False)]
    if kind != "soft":  # a soft gate is not reparametrised
        bounds.append(TraceMeanField_ELBO())
    losses = []
    for bound in bounds:
        with SiteNoise():
            losses.append(bound.differentiable_loss(system.model, system.guide, video))
    for loss in losses[1:]:
        close(loss, losses[0], rtol=1e-9)
    parameters = dict(system.guide.named_parameters())
    optimiser = torch.optim.Adam(parameters.values(), lr=1e-4)
    losses[0].backward()
    assert all(p.grad is None or bool(p.grad.isfinite().all()) for p in parameters.values())
    before = {name: p.detach().clone() for name, p in parameters.items()}
    optimiser.step()
    moved = {name for name, p in parameters.items() if not torch.equal(p, before[name])}
    own = [f"hierarchy.{part}.{n}" for part in ("dynamics", "starts") for n in range(3)]
    gates = ["hierarchy.gates.1", "hierarchy.gates.2"]
    heads = [f"heads.{n}.head.norm" for n in range(3)]
    for part in (*own, *gates, *heads, "hierarchy.encoder", "hierarchy.emission"):
        assert any(name.startswith(part) for name in moved), f"{part} did not move"
    with SiteNoise():
        after = HierarchyELBO().differentiable_loss(system.model, system.guide, video)
    assert float(after.detach()) < float(losses[0].detach())
    assert not pyro.get_param_store()


def normal(parameters: Tensor) -> td.Distribution:
    mean, std = parameters.chunk(2, -3)
    return td.Independent(td.Normal(mean, std), 3)


@READS
@pytest.mark.parametrize("kind", ["hard", "soft"])
def test_a_gate_opens_where_the_posterior_is_nearer_to_the_change(kind: str, reads: bool) -> None:
    """KLs of whole maps, by torch's own distributions; a soft gate weighs them."""
    system, video = gated(kind, 2, reads), clip()
    q = run(system.guide, video)
    p = run(system.model, video, given=q)
    kls = {t: kl for g in level_kls(p, q)[STATE, 2] for t, kl in zip(g.t, g.kl, strict=True)}
    seen = set()
    for t in TIMES[1:]:
        now = normal(q.nodes[site(STATE, 2, t)]["fn"].parameters)
        static = normal(q.nodes[site(BELIEF, 2, t - 1)]["value"])
        change = normal(p.nodes[site(STATE, 2, t)]["fn"].change)
        moved, stayed = td.kl_divergence(now, change), td.kl_divergence(now, static)
        gate, prior = (trace.nodes[site(GATE, 2, t)] for trace in (q, p))
        seen |= set(gate["value"].tolist())
        if kind == "hard":
            weight = (moved < stayed).double()
            assert torch.equal(gate["value"], weight)
        else:
            weight = torch.sigmoid(stayed - moved + prior["fn"].logit)
            close(gate["fn"].mean, weight)
        close(kls[t], weight * moved + (1 - weight) * stayed)
    assert seen == {0.0, 1.0}


@pytest.mark.parametrize("kind", COPIES)
@pytest.mark.parametrize("inferred", [True, False])
@READS
def test_closed_maps_stand_still(kind: str, inferred: bool, reads: bool) -> None:
    """Gates nest; sample and belief of a level are the same to the bit where it is closed."""
    system, video = gated(kind, reads=reads), clip()
    gate = GATE_KINDS[kind]
    found = states(system, video, run(system.guide, video) if inferred else None)
    stood = 0
    for old, new in zip(found, found[1:], strict=False):
        lower, upper = new.levels[1], new.levels[2]
        assert lower.e is not None and upper.e is not None and not bool((upper.e & ~lower.e).any())
        for n, now, before in ((1, lower, old.levels[1]), (2, upper, old.levels[2])):
            below = new.levels[n - 1].e if gate.fresh_static else now.e
            closed = torch.zeros(B, dtype=torch.bool) if below is None else ~below
            assert now.belief is not None and before.belief is not None
            assert torch.equal((now.z == before.z).flatten(1).all(1), closed)
            assert torch.equal(now.belief[closed], before.belief[closed])
            if gate.block_memory and not reads:  # it moves at the tick after a change
                still = (now.h == before.h).flatten(1).all(1)
                changed = before.e if before.e is not None else torch.ones(B, dtype=torch.bool)
                assert torch.equal(still, ~changed)
            stood += int(closed.sum())
    assert stood


@KINDS
def test_kl_is_zero_where_closed(kind: str) -> None:
    system, video = gated(kind), clip()
    q = run(system.guide, video)
    kls = level_kls(run(system.model, video, given=q), q)
    found = states(system, video, q)
    for level in (2, 3):
        for group in kls[STATE, level]:
            for t, kl in zip(group.t, group.kl, strict=True):
                assert bool((kl >= -1e-12).all()) and bool(kl.isfinite().all())
                now = found[t - GIVEN].levels
                below = now[level - 2].e if GATE_KINDS[kind].fresh_static else now[level - 1].e
                if t > GIVEN and below is not None and kind in COPIES:
                    assert torch.equal(kl == 0, ~below)


@READS
@pytest.mark.parametrize("block_memory", [True, False])
def test_a_gate_forced_open_is_no_gate(reads: bool, block_memory: bool) -> None:
    always = Forced(lambda t: True, block_memory=block_memory)
    found = []
    for gates in ((None, None), (always, always)):
        system = build(gates, reads)
        with SiteNoise():
            loss = HierarchyELBO().differentiable_loss(system.model, system.guide, clip())
        found.append([loss, *torch.autograd.grad(loss, list(system.guide.parameters()))])
    for ours, expected in zip(*found, strict=True):
        close(ours, expected, rtol=1e-9, atol=1e-9)


@KINDS
@READS
def test_particles_in_parallel_are_particles_one_by_one(kind: str, reads: bool) -> None:
    system = gated(kind, reads=reads)
    check_particles(system.model, system.guide, clip()[:, : GIVEN + 3], particles=2)


@KINDS
def test_predicts_with_levels_that_stay(kind: str) -> None:
    system, context, horizon = gated(kind), clip()[:, :5], 6
    torch.manual_seed(0)
    rollout = open_loop(system.model, system.guide, context, horizon)
    assert rollout.prediction.shape == (B, horizon, 1, 16, 16)
    assert bool(((rollout.prediction > 0) & (rollout.prediction < 1)).all())
    gates = rollout.gates[:, :, GIVEN:]
    assert bool((gates[:, 0] == 1).all() and (gates[:, :, 0] == 1).all())
    assert bool((gates[:, 2] <= gates[:, 1]).all()) and 0 < float(gates[:, 1].mean()) < 1


def test_a_finer_map_above_a_coarser_one_is_refused() -> None:
    """States above are enlarged, never made smaller."""
    hierarchy = gated("hard").hierarchy
    fine, coarse, _ = hierarchy.levels
    levels = [replace(coarse, gate=None), replace(fine, gate=GATE_KINDS["hard"])]
    with pytest.raises(ValueError, match="8 pixels cannot be brought to 4"):
        Hierarchy(
            levels, Dense(), hierarchy.encoder,
            UpwardFrames(1, 16, GaussianLikelihood(0.5), width=WIDTH), given=GIVEN,
        )  # fmt: skip


def test_held_static_states_of_maps_are_held() -> None:
    """A batch as large as the map's side, where a mask of the wrong dimension would fit too."""
    torch.manual_seed(0)
    encoder = ResidualEncoder(1, 16, 4)
    spatial = NormedConvLSTM(8, resolution=4, inputs=8)
    levels = [
        Level(
            reads=PastFrame(),
            memory=NormedConvLSTM(4, resolution=8, inputs=4),
            state=GaussianMap(4, resolution=8),
        ),
        Level(memory=spatial, state=GaussianMap(8, resolution=4), gate=MixtureGate(size=4)),
    ]
    emission = UpwardFrames(1, 16, GaussianLikelihood(0.3), width=4)
    hierarchy = Hierarchy(levels, Dense(), encoder, emission, given=1)
    model, guide = LatentDynamics(hierarchy), Filtering(hierarchy)
    with Recorder() as recorder:
        open_loop(model, guide, torch.rand(4, 3, 1, 16, 16), 12, policy=HoldStatic())
    values = recorder.values
    closed = 0
    for t in range(3, 15):
        now, before = (values[f"z_2_{s}"] for s in (t, t - 1))
        stays = values[f"e_2_{t}"] == 0
        closed += int(stays.sum())
        assert torch.equal(now[stays], before[stays])
    assert closed > 0
