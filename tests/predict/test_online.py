"""One frame at a time: what open-loop prediction makes of all of them, at a constant cost."""

import gc
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from pyro import poutine
from pyro.poutine.runtime import am_i_wrapped
from torch import Tensor, nn

from pyrovp import (
    GRU,
    Dense,
    Every,
    Filtering,
    FromContext,
    Gaussian,
    GaussianLikelihood,
    GaussianMap,
    Hierarchy,
    LatentDynamics,
    Level,
    NormedConvLSTM,
    OwnHead,
    PastFrame,
    ResidualEncoder,
    Twin,
    UpwardFrames,
)
from pyrovp.gates import MixtureGate, VaDE
from pyrovp.lazy import Lazy
from pyrovp.posteriors import PosteriorHead
from pyrovp.predict import HoldStatic, Jumpy, LikelyGates, OnlineFilter, open_loop, stream
from tests.hierarchies import LONGEST, Case, cases, profile, video_of
from tests.hierarchies import build as build_case
from tests.models.test_hvrnn import build as build_hvrnn
from tests.models.test_hvrnn import clip as clip_hvrnn
from tests.models.test_svg_lp import build as build_svg
from tests.models.test_svg_lp import clip as clip_svg
from tests.models.test_vta import build as build_vta
from tests.models.test_vta import clip as clip_vta
from tests.models.weights import randomise
from tests.oracles.tiny import close
from tests.systems import clip, tiny_cwvae, tiny_dlh, tiny_mixed
from tests.test_mixed import clip as clip_maps
from tests.test_mixed import gated
from tests.toys.handlers import SiteNoise

HORIZON = 3
Pair = tuple[Any, Any]


def pair(system: Any) -> Pair:
    """A larger test's system, ready to predict."""
    system.model.eval(), system.guide.eval()
    return system.model, system.guide


def slow_twins() -> Pair:
    """Given frames, and a posterior with a memory whose windows are of two frames."""
    encoder = ResidualEncoder(1, resolution=16, width=4)
    spatial = NormedConvLSTM(8, 8, inputs=4, start=FromContext())
    hierarchy = Hierarchy(
        [
            Level(reads=PastFrame(), memory=spatial, state=GaussianMap(8, 8)),
            Level(clock=Every(2), memory=GRU(3), state=Gaussian(2, hidden=(4,))),
        ],
        Dense(),
        encoder,
        UpwardFrames(1, 16, GaussianLikelihood(0.5), width=4),
        given=2,
    )
    model = LatentDynamics(hierarchy).double()
    guide = Filtering(hierarchy, posterior=Twin()).double()
    randomise(guide, seed=2)
    return model, guide


SYSTEMS: dict[str, tuple[Callable[[], Pair], Callable[[], Tensor]]] = {
    "cwvae": (tiny_cwvae, lambda: clip(8)),
    "rssm": (lambda: tiny_cwvae(levels=1), lambda: clip(5)),
    "dlh": (tiny_dlh, lambda: clip(6)),
    "dlh, VaDE": (lambda: tiny_dlh(rule=VaDE()), lambda: clip(6)),
    "dlh, beliefs kept": (
        lambda: tiny_dlh(gate=MixtureGate(size=3, fresh_static=False)),
        lambda: clip(6),
    ),
    "clocks and gates": (tiny_mixed, lambda: clip(8)),
    "svg, maps still live": (lambda: pair(build_svg(context=4)), clip_svg),
    "svg, maps frozen": (lambda: pair(build_svg(context=1)), clip_svg),
    "hvrnn": (lambda: pair(build_hvrnn()), clip_hvrnn),
    "gated maps": (lambda: pair(gated("hard")), lambda: clip_maps()[:, :6]),
    "gated maps that read": (lambda: pair(gated("soft", reads=True)), lambda: clip_maps()[:, :5]),
    "slow twins": (slow_twins, lambda: clip(7)),
    "vta": (lambda: pair(build_vta()), clip_vta),
}


def filtered(programs: Pair, video: Tensor, particles: int = 1) -> tuple[OnlineFilter, list[Any]]:
    """A filter that has seen a video, and its beliefs."""
    online = OnlineFilter(*programs, particles=particles)
    return online, [online.update(frame) for frame in video.unbind(1)]


# It is open-loop prediction


@pytest.mark.parametrize("system", SYSTEMS)
def test_after_every_frame_it_is_open_loop_on_the_frames_so_far(system: str) -> None:
    """With noise by site: the latents, so the frames, the gates and what is predicted."""
    programs, video = SYSTEMS[system][0](), SYSTEMS[system][1]()
    space, online = programs[0].hierarchy, OnlineFilter(*programs)
    with SiteNoise():
        for t, frame in enumerate(video.unbind(1)):
            belief = online.update(frame)
            if t + 1 < space.given:
                continue
            expected = open_loop(*programs, video[:, : t + 1], HORIZON)
            actual = online.forecast(HORIZON)
            assert belief.t == t and actual.start == t + 1
            close(actual.frames[0], expected.prediction)
            assert torch.equal(actual.changes[0], expected.gates[:, :, t + 1 :])
            assert torch.equal(belief.changes[0], expected.gates[:, :, t])
            if expected.reconstruction.shape[1]:
                close(online.reconstruct()[0], expected.reconstruction[:, -1])


@given(cases())
@profile(20)
def test_so_it_is_for_every_composition_of_clocks_and_gates(case: Case) -> None:
    programs, video = build_case(case), video_of(case)
    horizon = min(HORIZON, LONGEST - case.frames)  # forced gates are given no longer schedule
    with SiteNoise():
        online, beliefs = filtered(programs, video)
        expected = open_loop(*programs, video, horizon)
        if horizon:
            close(online.forecast(horizon).frames[0], expected.prediction)
    close(online.reconstruct()[0], expected.reconstruction[:, -1])
    assert torch.equal(beliefs[-1].changes[0], expected.gates[:, :, case.frames - 1])


@pytest.mark.parametrize("system", ["rssm", "dlh", "dlh, VaDE", "svg, maps frozen"])
def test_where_windows_are_one_frame_it_draws_in_the_same_order(system: str) -> None:
    """The ambient generator alone: nothing is drawn twice, left out, or drawn elsewhere."""
    programs, video = SYSTEMS[system][0](), SYSTEMS[system][1]()
    torch.manual_seed(3)
    expected = open_loop(*programs, video, HORIZON).prediction
    torch.manual_seed(3)
    online, _ = filtered(programs, video)
    close(online.forecast(HORIZON).frames[0], expected)


@pytest.mark.parametrize(
    "system", ["cwvae", "dlh", "clocks and gates", "slow twins", "gated maps"]
)
def test_beliefs_are_the_guides(system: str) -> None:
    """Each level's last tick: posterior where its window has ended, prior elsewhere."""
    programs, video = SYSTEMS[system][0](), SYSTEMS[system][1]()
    model, guide = programs
    given = model.hierarchy.given
    with SiteNoise():
        _, beliefs = filtered(programs, video)
        for t, belief in enumerate(beliefs[given:], start=given):
            q = poutine.trace(guide).get_trace(video[:, : t + 1], ends=False)
            for n, level in enumerate(model.hierarchy.levels, start=1):
                tick = t - (t - given) % level.clock.period
                node = q.nodes.get(f"belief_{n}_{tick}")
                fn = q.nodes[f"z_{n}_{tick}"]["fn"]
                packed = fn.parameters if node is None else node["value"]
                mean, std = packed.chunk(2, -level.state.event_dim)
                close(belief.mean[n][0], mean)
                close(belief.std[n][0], std)


def test_a_slow_level_waits_for_its_window_and_then_knows_it() -> None:
    """Period 2: told at frames 1, 3, ...; a changed frame reaches it then, and not before."""
    programs, video = tiny_cwvae(levels=2), clip(4)
    changed = video.clone()
    changed[:, 2] = 1 - changed[:, 2]
    with SiteNoise():
        (_, plain), (_, other) = (filtered(programs, v) for v in (video, changed))
    same = {
        level: [torch.equal(a.mean[level], b.mean[level]) for a, b in zip(plain, other)]  # noqa: B905
        for level in (1, 2)
    }
    assert same == {1: [True, True, False, False], 2: [True, True, True, False]}


# Its cost


def work(programs: Pair, video: Tensor, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """For each frame, how many steps were taken and how many frames encoded."""
    space, done = programs[0].hierarchy, [0, 0]
    step, encode = space.step, space.encoder.forward
    made = []

    def counted_step(*args: Any) -> Any:
        done[0] += 1
        return step(*args)

    def counted_encode(x: Tensor, **options: Any) -> Any:
        done[1] += len(x)
        return encode(x, **options)

    monkeypatch.setattr(space, "step", counted_step)
    monkeypatch.setattr(space.encoder, "forward", counted_encode)
    online = OnlineFilter(*programs)
    for frame in video.unbind(1):
        online.update(frame)
        made.append((done[0], done[1] // len(video)))
        done[:] = 0, 0
    return made


def test_a_frame_costs_its_windows_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Periods 1, 2 and 4: back by 2 at every second frame, by 4 at every fourth."""
    made = work(tiny_cwvae(), clip(16), monkeypatch)
    assert [steps for steps, _ in made] == [1, 2, 1, 4] * 4
    assert [encoded for _, encoded in made[1:]] == [1] * 15


@pytest.mark.parametrize("system", ["dlh", "svg, maps frozen", "hvrnn", "vta"])
def test_every_later_frame_costs_the_same(system: str, monkeypatch: pytest.MonkeyPatch) -> None:
    programs, video = SYSTEMS[system][0](), SYSTEMS[system][1]()
    video = torch.cat([video] * 3, 1)
    made = work(programs, video, monkeypatch)
    late = made[programs[0].hierarchy.given + 1 :]
    assert len(late) > 10 and set(late) == {late[0]}


def held() -> tuple[int, int]:
    """Numbers in all tensors, and values to be, that anything holds on to."""
    gc.collect()
    found = gc.get_objects()
    tensors = sum(x.numel() for x in found if type(x) is Tensor)
    return tensors, sum(issubclass(type(x), Lazy) for x in found)


@pytest.mark.parametrize("system", ["cwvae", "dlh", "clocks and gates", "hvrnn", "vta"])
def test_what_is_kept_does_not_grow(system: str) -> None:
    programs, video = SYSTEMS[system][0](), SYSTEMS[system][1]()
    gc.freeze()  # what was there before is not looked at
    online, sizes = OnlineFilter(*programs), []
    for t in range(24):
        online.update(video[:, t % video.shape[1]])
        if t in (11, 23):  # multiples of all periods
            sizes.append(held())
    gc.unfreeze()
    assert sizes[0] == sizes[1] and sizes[0][0] > 0


# Particles and samples


@pytest.mark.parametrize("system", ["cwvae", "dlh", "svg, maps frozen", "gated maps", "vta"])
def test_particles_are_as_many_sequences(system: str) -> None:
    programs, video = SYSTEMS[system][0](), SYSTEMS[system][1]()[:2]
    with SiteNoise():
        online, beliefs = filtered(programs, video, particles=3)
        actual = online.forecast(HORIZON).frames
        expected = open_loop(*programs, video.repeat(3, 1, 1, 1, 1), HORIZON).prediction
    close(actual, expected.unflatten(0, (3, 2)))
    assert beliefs[-1].changes.shape == (3, 2, len(programs[0].hierarchy.levels))
    assert all(mean.shape[:2] == (3, 2) for mean in beliefs[-1].mean.values())


def test_shapes() -> None:
    online, beliefs = filtered(tiny_mixed(), clip(5), particles=2)
    assert {n: list(mean.shape) for n, mean in beliefs[4].mean.items()} == {
        1: [2, 2, 2],
        2: [2, 2, 2],
        3: [2, 2, 2],
        4: [2, 2, 3],
    }
    assert {n: std.shape for n, std in beliefs[4].std.items()} == {
        n: mean.shape for n, mean in beliefs[4].mean.items()
    }
    assert online.reconstruct().shape == (2, 2, 1, 16, 16)
    future = online.forecast(4, samples=5)
    assert future.start == online.seen == 5
    assert future.frames.shape == (5, 2, 4, 1, 16, 16)
    assert future.changes.shape == (5, 2, 4, 4)
    for tensor in (*future[1:], *beliefs[4].mean.values(), online.reconstruct()):
        assert tensor.dtype is torch.float64 and not tensor.requires_grad


def test_samples_differ_and_leave_the_belief_alone() -> None:
    programs, video = tiny_dlh(), clip(6)
    with SiteNoise():
        untouched, _ = filtered(programs, video)
        expected = untouched.forecast(HORIZON).frames
        online = OnlineFilter(*programs)
    for frame in video.unbind(1):
        with SiteNoise():
            online.update(frame)
        drawn = online.forecast(2, samples=3).frames
        assert not torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[1], drawn[2])
    with SiteNoise():
        assert torch.equal(online.forecast(HORIZON).frames, expected)


@pytest.mark.parametrize("chunk", [1, 2, 100])
def test_the_chunks_size_changes_nothing(chunk: int) -> None:
    online, _ = filtered(tiny_dlh(), clip(4))
    torch.manual_seed(1)
    expected = online.forecast(5, samples=2)
    torch.manual_seed(1)
    actual = online.forecast(5, samples=2, chunk=chunk)
    close(actual.frames, expected.frames)
    assert torch.equal(actual.changes, expected.changes)


def test_nothing_of_ours_stays_open() -> None:
    online, _ = filtered(tiny_dlh(), clip(2))
    online.forecast(1)
    assert not am_i_wrapped() and torch.is_grad_enabled()


# Handlers


@pytest.mark.parametrize(
    ("system", "policy"),
    [
        ("dlh", HoldStatic),
        ("dlh", LikelyGates),
        ("clocks and gates", HoldStatic),
        ("vta", LikelyGates),
        ("vta", Jumpy),
    ],
)
def test_policies_are_open_loops(system: str, policy: Callable[[], Any]) -> None:
    """They see what the levels hold. Some draw by themselves, so here noise is the generator's."""
    programs, video = SYSTEMS[system][0](), SYSTEMS[system][1]()
    expected = []
    for handler in (policy(), None):
        chunks = stream(*programs, video, 8, policy=handler, chunk=3)
        with SiteNoise():
            next(chunks)
        torch.manual_seed(1)
        expected.append(list(chunks))
    with SiteNoise():
        online, _ = filtered(programs, video)
    torch.manual_seed(1)
    actual = online.forecast(8, policy=policy(), chunk=2)
    close(actual.frames[0], torch.cat([chunk.frames for chunk in expected[0]], 1))
    assert torch.equal(actual.changes[0], torch.cat([c.changes for c in expected[0]], 2))
    assert not torch.equal(expected[0][-1].frames, expected[1][-1].frames), "it matters"


def test_a_handler_acts_on_the_frames_that_are_walked() -> None:
    online, _ = filtered(tiny_dlh(), clip(3))
    frame = clip(4)[:, 3]
    with poutine.condition(data={"e_2_3": torch.ones(2).double()}):
        opened = online.update(frame).changes[0, :, 1]
    with poutine.condition(data={"e_2_4": torch.zeros(2).double()}):
        closed = online.update(frame).changes[0, :, 1]
    assert opened.tolist() == [1.0, 1.0] and closed.tolist() == [0.0, 0.0]


# What it refuses


def test_nothing_is_predicted_before_there_is_enough() -> None:
    online, video = OnlineFilter(*pair(build_hvrnn())), clip_hvrnn()
    with pytest.raises(ValueError, match=r"no frame has come in yet: call update\(frame\)"):
        online.forecast(1)
    belief = online.update(video[:, 0])
    assert not belief.mean and not belief.changes.any()
    with pytest.raises(ValueError, match="starts from 2 given frames, but the context has 1"):
        online.forecast(1)
    online.update(video[:, 1])
    with pytest.raises(ValueError, match="nothing is inferred from the 2 frames so far"):
        online.reconstruct()
    assert online.forecast(1).frames.shape[2] == 1


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (torch.zeros(1, 16, 16), r"a tensor \[B, C, H, W\].*got \[1, 16, 16\].*frame\[None\]"),
        ([0.0], "got list"),
        (torch.zeros(2, 1, 16, 16, dtype=torch.uint8), "torch.uint8 pixels, but floats"),
        (torch.zeros(2, 1, 32, 32).double(), r"are \[1, 32, 32\], but this model"),
        (torch.zeros(2, 1, 16, 16), "the encoder's weights are torch.float64"),
    ],
)
def test_refuses_malformed_frames(frame: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        OnlineFilter(*tiny_cwvae()).update(frame)


def test_frames_of_another_shape_are_another_video() -> None:
    online, _ = filtered(tiny_cwvae(), clip(1))
    with pytest.raises(ValueError, match=r"\[2, 1, 16, 16\].*this one is \[3, 1, 16, 16\]"):
        online.update(clip(1, batch=3)[:, 0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"horizon": 0}, "horizon is a whole number of at least 1, got 0"),
        ({"horizon": 2.0}, "horizon is .* got 2.0"),
        ({"horizon": 1, "samples": 0}, "samples is .* got 0"),
        ({"horizon": 1, "chunk": -1}, "chunk is .* got -1"),
        ({"horizon": 1, "policy": Jumpy}, r"such as HoldStatic\(\) or Jumpy\(\), got <class"),
    ],
)
def test_refuses_other_forecasts(arguments: dict[str, Any], message: str) -> None:
    online, _ = filtered(tiny_cwvae(), clip(1))
    with pytest.raises(ValueError, match=message):
        online.forecast(**arguments)


def test_refuses_other_programs() -> None:
    (model, guide), (_, other) = tiny_cwvae(), tiny_cwvae()
    with pytest.raises(ValueError, match="belongs to another model"):
        OnlineFilter(model, other)
    with pytest.raises(ValueError, match="a model is needed"):
        OnlineFilter(model.hierarchy, guide)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="particles is a whole number of at least 1, got 0"):
        OnlineFilter(model, guide, particles=0)


def test_refuses_a_guide_that_looks_at_a_context_as_a_whole() -> None:
    class Whole(nn.Module):
        def __init__(self, hierarchy: Hierarchy) -> None:
            super().__init__()
            self.hierarchy = hierarchy

    model, _ = tiny_cwvae()
    with pytest.raises(ValueError, match="a Whole looks at a context as a whole.*open_loop"):
        OnlineFilter(model, Whole(model.hierarchy))


class Summing(PosteriorHead):
    """A user's own posterior, of all ticks so far."""

    def build(self, *args: Any) -> nn.Module:
        """An own head whose evidence adds up."""
        head: Any = OwnHead().build(*args)
        early = head.early
        head.early = lambda evidence, given=None: early(evidence.cumsum(1))
        return head


def test_refuses_a_posterior_whose_memory_it_cannot_keep() -> None:
    model, _ = tiny_cwvae(levels=1)
    guide = Filtering(model.hierarchy, posterior=Summing()).double()
    with pytest.raises(ValueError, match="level 1 looks back at earlier ticks.*Twin"):
        filtered((model, guide), clip(2))
