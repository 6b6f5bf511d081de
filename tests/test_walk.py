"""Walks along a video: level by level where the frames alone move a memory, else frame by frame.

Hierarchies that nobody has thought of mix levels that read frames, as vectors or maps, with gated
and clocked ones that read their own states. Whatever is known ahead, the walk is `step` and `see`.
"""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from itertools import accumulate
from operator import mul
from typing import Any

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from pyro import poutine
from pyro.infer import TraceMeanField_ELBO
from torch import Tensor, nn

from pyrovp.cells import GRU, LSTM, ConvLSTM, FromContext, Learned, NormedConvLSTM
from pyrovp.cells.start import Start
from pyrovp.clocks import Every
from pyrovp.emission import GaussianFrames
from pyrovp.evidence import PastFrame
from pyrovp.filtering import Filtering
from pyrovp.gates import MixtureGate, VaDE
from pyrovp.heads import Gaussian, GaussianMap
from pyrovp.hierarchy import Hierarchy
from pyrovp.infer import HierarchyELBO
from pyrovp.infer.kl import latents, level_kls
from pyrovp.levels import Level
from pyrovp.posteriors import OwnHead, PosteriorHead, Twin
from pyrovp.predict import open_loop
from pyrovp.programs import PLATE, LatentDynamics
from pyrovp.state import State
from pyrovp.wiring import Dense, TopDown, Wiring
from tests.hierarchies import gates, profile
from tests.models.weights import randomise
from tests.oracles.tiny import close, randn
from tests.predict.recorder import Recorder
from tests.toys.handlers import SiteNoise, check_particles, run
from tests.toys.hvrnn import Decoder, Encoder

B = 3


class Pyramid(nn.Module):
    """Features of tiny frames: two maps of 2 x 2 pixels, and three numbers."""

    features = {2: 2, 1: 3}

    def __init__(self) -> None:
        super().__init__()
        self.fine = nn.Conv2d(1, 2, 1)
        self.coarse = nn.Conv2d(2, 3, 2)

    def forward(self, frames: Tensor, steps: int = 1) -> dict[int, Tensor]:
        """Maps by resolution."""
        fine = torch.tanh(self.fine(frames))
        return {2: fine, 1: torch.tanh(self.coarse(fine))}


@dataclass(frozen=True)
class Case:
    """What a generated hierarchy is made of.

    Args:
        levels: From level 1.
        wiring: Between them.
        pyramid: Whether the encoder makes maps; else one vector.
        posterior: Of all levels; None: each level's own kind.
        given: Frames that condition the model.
        frames: How many there are after them.
    """

    levels: tuple[Level, ...]
    wiring: Wiring
    pyramid: bool
    posterior: PosteriorHead | None
    given: int
    frames: int


STARTS = st.sampled_from([Learned(), FromContext()])
VECTORS = st.one_of(
    st.builds(GRU, st.just(3), start=STARTS),
    st.builds(LSTM, st.just(3), start=STARTS),
    st.builds(LSTM, st.just(2), inputs=st.just(3), layers=st.just(2), start=STARTS),
)


@st.composite
def parts(draw: st.DrawFn, wiring: Wiring, finest: int) -> dict[str, Any]:
    """Memory, state and input of a level; maps of at most so many pixels, 0: none."""
    reads = draw(st.sampled_from([None, PastFrame(), PastFrame()]))
    vectors = {"memory": draw(VECTORS), "state": Gaussian(2, hidden=(4,)), "reads": reads}
    kinds = ["vectors"]
    if finest and isinstance(wiring, Dense):
        kinds += ["maps", "maps"]
    if finest and reads is not None:
        kinds += ["map memory"] + ["map state"] * isinstance(wiring, Dense)
    kind = draw(st.sampled_from(kinds))
    resolution = draw(st.sampled_from([r for r in (1, 2) if r <= max(1, finest)]))
    memory = draw(
        st.one_of(
            st.builds(ConvLSTM, st.just(2), st.just(resolution), start=STARTS),
            st.builds(
                NormedConvLSTM, st.just(4), st.just(resolution), inputs=st.just(3), start=STARTS
            ),
        )
    )
    state = GaussianMap(2, resolution)
    options: dict[str, dict[str, Any]] = {
        "vectors": vectors,
        "maps": vectors | {"memory": memory, "state": state},
        "map memory": vectors | {"memory": memory},
        "map state": vectors | {"state": state},
    }
    return options[kind]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """One to three levels, at least one of which reads frames unless chance will not have it."""
    depth = draw(st.integers(1, 3))
    wiring = draw(st.sampled_from([Dense(), Dense(reach=1), TopDown(4)]))
    pyramid = draw(st.booleans())
    factors = draw(st.lists(st.sampled_from([1, 1, 1, 2]), min_size=depth, max_size=depth))
    finest, built = 2 * pyramid, []
    for n, period in enumerate(accumulate(factors, mul)):
        gate = draw(st.none() | st.none() | gates()) if n else None
        made = draw(parts(wiring, finest))
        if isinstance(made["state"], GaussianMap):
            finest = made["state"].resolution  # states above are enlarged to this
        built.append(Level(clock=Every(period), gate=gate, **made))
    return Case(
        levels=tuple(built),
        wiring=wiring,
        pyramid=pyramid,
        posterior=draw(st.sampled_from([None, None, OwnHead(), Twin()])),
        given=draw(st.integers(1, 3)),
        frames=draw(st.integers(1, 5)),
    )


def build(case: Case) -> tuple[LatentDynamics, Filtering]:
    """Model and guide in float64, with random weights under which KLs are a few nats."""
    hierarchy = Hierarchy(
        case.levels,
        case.wiring,
        Pyramid() if case.pyramid else Encoder(4),
        GaussianFrames(Decoder, 0.5),
        given=case.given,
    )
    guide = Filtering(hierarchy, lift=(4,), posterior=case.posterior).double()
    randomise(guide, seed=5)
    with torch.no_grad():
        for module in guide.modules():
            if isinstance(module, nn.GroupNorm):
                module.weight.add_(1.0)
    return LatentDynamics(hierarchy).double(), guide


def video_of(case: Case) -> Tensor:
    return 2 * randn(B, case.given + case.frames, 1, 2, 2, seed=case.frames)


def ticks(case: Case) -> Iterator[tuple[int, int]]:
    """(index of a level, frame) of all ticks; clocks count from the first frame not given."""
    for n, level in enumerate(case.levels):
        times = range(case.given, case.given + case.frames, level.clock.period)
        yield from ((n, t) for t in times)


def time_major(
    hierarchy: Any, video: Tensor, frames: range, posterior: Any = None
) -> tuple[list[State], Any]:
    """What `walk` does, one frame after the other."""
    state, states = hierarchy.begin(video), []
    for t in frames:
        state = hierarchy.step(t, state, posterior)
        states.append(state)
        state = hierarchy.see(state, video[:, t])
    return states, hierarchy._contexts(states)


@contextmanager
def frame_by_frame() -> Iterator[None]:
    """Both programs walk in time."""
    with pytest.MonkeyPatch.context() as patch:
        for place in ("filtering", "hierarchy"):
            patch.setattr(f"pyrovp.{place}.walk", time_major)
        yield


def case_of(*levels: Level) -> Case:
    """Of a pyramid of features, densely wired."""
    return Case(levels, Dense(), pyramid=True, posterior=None, given=2, frames=3)


KEEPING = MixtureGate(size=3, fresh_static=False, block_memory=False)
VECTOR = Level(memory=GRU(3, start=Learned()), state=Gaussian(2, hidden=(4,)))
MAP_UNDER_A_VECTOR = case_of(Level(memory=ConvLSTM(2, 2), state=GaussianMap(2, 2)), VECTOR)
"""Its prior's inputs have two numbers of dimensions."""
GATED_READER = case_of(
    VECTOR, replace(VECTOR, gate=KEEPING), replace(VECTOR, gate=KEEPING, reads=PastFrame())
)
"""Its gate's log-odds know of no particles, but where it is open does."""


def evaluate(bound: Any, model: LatentDynamics, guide: Filtering, video: Tensor) -> list[Tensor]:
    """A loss under noise by site, and its gradients."""
    with SiteNoise():
        loss = bound.differentiable_loss(model, guide, video)
    parameters = [*guide.parameters(), *model.hierarchy.emission.parameters()]
    found = torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True)
    return [loss, *found]


def assert_same(found: Sequence[Tensor], expected: Sequence[Tensor]) -> None:
    """To the scale of the largest: a gradient may be 0, as the rounding of large numbers."""
    scale = 1 + max(float(b.detach().abs().max()) for b in expected)
    for a, b in zip(found, expected, strict=True):
        close(a, b, atol=1e-11 * scale)


@profile(30)
@given(cases())
def test_level_by_level_is_frame_by_frame(case: Case) -> None:
    """The same draws under the same noise, the same densities, bound and gradients."""
    (model, guide), video = build(case), video_of(case)
    found = []
    for walks in (nullcontext, frame_by_frame):
        with walks():
            q = run(guide, video)
            p = run(model, video, given=q)
            found.append((q, p, evaluate(HierarchyELBO(), model, guide, video)))
    (q, p, losses), (q_time, p_time, losses_time) = found
    assert set(q.stochastic_nodes) == set(q_time.stochastic_nodes) == set(p.stochastic_nodes)
    for name in (name for name in q.stochastic_nodes if name != PLATE):
        close(q.nodes[name]["value"], q_time.nodes[name]["value"])
        for mine, theirs in ((q, q_time), (p, p_time)):
            close(mine.nodes[name]["log_prob"], theirs.nodes[name]["log_prob"])
    close(p.nodes["frames"]["fn"].mean, p_time.nodes["frames"]["fn"].mean)
    assert_same(losses, losses_time)


@profile(25)
@given(cases())
def test_given_frames_are_neither_drawn_nor_scored(case: Case) -> None:
    """Clocks count from the frame after them; both programs have the sites of the ticks."""
    (model, guide), video = build(case), video_of(case)
    q = run(guide, video)
    p = run(model, video, given=q)
    expected = set()
    for n, t in ticks(case):
        expected.add(f"z_{n + 1}_{t}")
        if case.levels[n].gate is not None and t > case.given:
            expected.add(f"e_{n + 1}_{t}")
    for trace in (q, p):
        assert {name for name, _ in latents(trace)} == expected
    frames = p.nodes["frames"]
    assert torch.equal(frames["value"], video[:, case.given :])
    error = (video[:, case.given :] - frames["fn"].mean) / 0.5
    density = -0.5 * error.square() - math.log(0.5 * math.sqrt(2 * math.pi))
    close(frames["log_prob"], density.sum((1, 2, 3, 4)))
    changes = model.hierarchy.changes
    states, _ = model.hierarchy.follow(video, range(case.given, case.given + case.frames))
    shown = {
        (n, t)
        for t, state in enumerate(states, case.given)
        for n, e in enumerate(changes(t, state))
        if e is not None
    }
    assert shown == set(ticks(case))


@profile(25)
@given(cases())
@example(MAP_UNDER_A_VECTOR)
def test_bound_equals_the_stock_bound_and_needs_no_memo(case: Case) -> None:
    (model, guide), video = build(case), video_of(case)
    loss, *gradients = evaluate(HierarchyELBO(), model, guide, video)
    assert_same([loss, *gradients], evaluate(HierarchyELBO(memo=False), model, guide, video))
    if not any(isinstance(getattr(level.gate, "rule", None), VaDE) for level in case.levels):
        # A soft gate is not reparametrised, and the stock bound adds a score-function term.
        with SiteNoise():
            stock = TraceMeanField_ELBO().differentiable_loss(model, guide, video)
        close(loss, stock, rtol=1e-9)


@profile(20)
@given(cases())
@example(MAP_UNDER_A_VECTOR)
@example(GATED_READER)
def test_particles_in_parallel_are_particles_one_by_one(case: Case) -> None:
    model, guide = build(case)
    check_particles(model, guide, video_of(case), particles=2)


@profile(20)
@given(cases(), st.data())
def test_blind_levels_follow_their_prior_and_others_infer(case: Case, data: st.DataObject) -> None:
    (model, guide), video = build(case), video_of(case)
    blind = data.draw(st.sets(st.sampled_from(range(1, len(case.levels) + 1)), min_size=1))
    q = run(partial(guide, blind=blind), video)
    for (kind, level), groups in level_kls(run(model, video, given=q), q).items():
        for group in groups:
            if level in blind:
                assert bool((group.kl.abs() < 1e-12).all()), f"{kind}_{level}"
            elif kind == "z" and case.given in group.t:
                assert bool((group.kl[group.t.index(case.given)] > 1e-6).all())


@profile(20)
@given(cases())
def test_a_context_that_goes_on_leaves_cut_windows_to_the_prior(case: Case) -> None:
    (model, guide), video = build(case), video_of(case)
    q = run(partial(guide, ends=False), video)
    for (kind, level), groups in level_kls(run(model, video, given=q), q).items():
        period = case.levels[level - 1].clock.period
        for group in groups:
            for t, kl in zip(group.t, group.kl, strict=True):
                if t + period > case.given + case.frames:
                    assert bool((kl.abs() < 1e-12).all())
                elif t == case.given and kind == "z":
                    assert bool((kl > 1e-6).all())


@profile(20)
@given(cases(), st.integers(0, 2))
def test_a_prediction_is_what_the_model_makes_along_its_own_frames(case: Case, more: int) -> None:
    """Whatever reads past frames then reads the predicted ones."""
    (model, guide), video = build(case), video_of(case)
    context, recorder = video[:, : case.given + min(more, case.frames - 1)], Recorder()
    with SiteNoise(), recorder:
        rollout = open_loop(model, guide, context, case.frames)
    own = torch.cat([context, rollout.prediction], 1)
    frames = poutine.condition(model, data=recorder.values)
    expected = poutine.trace(frames).get_trace(own).nodes["frames"]["fn"].mean
    close(torch.cat([rollout.reconstruction, rollout.prediction], 1), expected)
    assert torch.equal(
        rollout.gates[:, :, : case.given], torch.zeros(B, len(case.levels), case.given)
    )


# A hierarchy of every kind of level


def three_levels(start: Start) -> Case:
    """Known ahead, frame by frame, known ahead."""
    return Case(
        levels=(
            Level(memory=ConvLSTM(2, 2, start=start), state=GaussianMap(2, 2), reads=PastFrame()),
            Level(memory=GRU(3), state=Gaussian(2, hidden=(4,)), gate=MixtureGate(size=3)),
            Level(memory=LSTM(3, start=start), state=Gaussian(2, hidden=(4,)), reads=PastFrame()),
        ),
        wiring=Dense(),
        pyramid=True,
        posterior=None,
        given=2,
        frames=4,
    )


@pytest.mark.parametrize("start", [Learned(), FromContext()], ids=["learned", "context"])
def test_beliefs_see_the_frames_up_to_theirs(start: Start) -> None:
    """Priors those before, posteriors their own too; a start, the given ones."""
    case = three_levels(start)
    (model, guide), video = build(case), video_of(case)
    drawn = run(guide, video)
    video.requires_grad_()
    q = run(guide, video, given=drawn)
    p = run(model, video, given=drawn)
    given = set(range(case.given)) if isinstance(start, FromContext) else set()
    for t in range(case.given, case.given + case.frames):
        for level in (1, 3):
            prior, posterior = (seen_by(trace, f"z_{level}_{t}", video) for trace in (p, q))
            assert prior == given | set(range(case.given - 1, t))
            assert posterior == given | set(range(case.given, t + 1))
        assert seen_by(p, f"z_2_{t}", video) == set(), "it reads what was drawn"


def seen_by(trace: poutine.Trace, name: str, video: Tensor) -> set[int]:
    """The frames on which a belief depends, all draws being what they were."""
    fn = trace.nodes[name]["fn"]
    belief = getattr(getattr(fn, "base", fn), "change", None)
    total = (fn.parameters if belief is None else belief).sum()
    if not total.requires_grad:
        return set()
    (gradient,) = torch.autograd.grad(
        total, video, retain_graph=True, allow_unused=True, materialize_grads=True
    )
    return {t for t, frame in enumerate(gradient.unbind(1)) if bool(frame.any())}


def test_what_is_known_ahead_is_computed_once_for_all_frames(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    case = three_levels(Learned())
    (model, guide), video, calls = build(case), video_of(case), Counter[str]()
    hierarchy: Any = model.hierarchy
    for n, part in enumerate(hierarchy.dynamics, 1):
        for name in ("step", "run"):
            method = getattr(part.cell, name)

            def counted(*args: Any, key: str = f"{name} {n}", of: Any = method) -> Any:
                calls[key] += 1
                return of(*args)

            monkeypatch.setattr(part.cell, name, counted)
    hierarchy.encoder.register_forward_hook(lambda *_: calls.update(["encoder"]))
    HierarchyELBO().loss(model, guide, video)
    assert calls == {"encoder": 1, "run 1": 1, "run 3": 1, "step 2": case.frames - 1}


def test_a_hierarchy_that_reads_frames_starts_from_given_ones() -> None:
    case = three_levels(Learned())
    with pytest.raises(ValueError, match=r"at least one frame has to be given: .*given=2"):
        Hierarchy(case.levels, case.wiring, Pyramid(), GaussianFrames(Decoder, 0.5))
    model, _ = build(case)
    with pytest.raises(ValueError, match=r"start from `begin\(video\)` with given frames"):
        model.hierarchy.step(2, model.hierarchy.initial(B))
