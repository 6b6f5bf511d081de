"""Open-loop prediction: replay, then the prior alone; nothing of the future leaks in."""

from collections.abc import Callable
from itertools import product
from typing import Any

import pyro
import pytest
import torch
from pyro import poutine
from pyro.poutine.runtime import am_i_wrapped
from torch import Tensor

from pyrovp.distributions import DiagonalNormal, TemporalMixture
from pyrovp.gates import Forced, MixtureGate, VaDE
from pyrovp.infer import HierarchyELBO
from pyrovp.memo import memo
from pyrovp.predict import Jumpy, Rollout, open_loop, stream
from tests.oracles.tiny import close
from tests.predict.recorder import Recorder
from tests.systems import clip, tiny_cwvae, tiny_dlh, tiny_mixed

SYSTEMS: dict[str, Callable[[], tuple[Any, Any]]] = {
    "cwvae": tiny_cwvae,
    "rssm": lambda: tiny_cwvae(levels=1),
    "dlh": tiny_dlh,
    "dlh, VaDE": lambda: tiny_dlh(rule=VaDE()),
    "dlh, beliefs kept": lambda: tiny_dlh(gate=MixtureGate(size=3, fresh_static=False)),
    "dlh, redraw": lambda: tiny_dlh(gate=MixtureGate(size=3, static_sample="redraw")),
    "dlh, forced": lambda: tiny_dlh(gate=Forced(lambda t: t % 3 == 0)),
    "mixed": tiny_mixed,
}
SEEN, HORIZON = 5, 4


def rollout(system: str, horizon: int = HORIZON, *, seed: int = 0, **options: Any) -> Rollout:
    pair = SYSTEMS[system]()
    torch.manual_seed(seed)
    return open_loop(*pair, clip(SEEN), horizon, **options)


def recorded(pair: tuple[Any, Any], context: Tensor, horizon: int, seed: int = 0) -> Recorder:
    recorder = Recorder()
    torch.manual_seed(seed)
    with recorder:
        open_loop(*pair, context, horizon)
    return recorder


# What it is


@pytest.mark.parametrize("system", SYSTEMS)
def test_it_is_the_model_replayed_against_the_guides_trace(system: str) -> None:
    """`model(length=...)` under replay draws the same latents and decodes the same means."""
    model, guide = SYSTEMS[system]()
    torch.manual_seed(0)
    with torch.no_grad():
        q = poutine.trace(guide).get_trace(clip(SEEN), ends=False)
        replayed = poutine.trace(poutine.replay(model, trace=q))
        p = replayed.get_trace(length=SEEN + HORIZON, batch=2)
    expected = p.nodes["frames"]["fn"].mean
    actual = rollout(system)
    close(torch.cat([actual.reconstruction, actual.prediction], 1), expected)


@pytest.mark.parametrize("system", SYSTEMS)
def test_shapes(system: str) -> None:
    given = rollout(system)
    levels = {"rssm": 1, "mixed": 4}.get(system, 3)
    assert given.reconstruction.shape == (2, SEEN, 1, 16, 16)
    assert given.prediction.shape == (2, HORIZON, 1, 16, 16)
    assert given.gates.shape == (2, levels, SEEN + HORIZON)
    assert list(given.kl) == list(range(1, levels + 1))
    assert {kl.shape for kl in given.kl.values()} == {(2, SEEN)}
    for tensor in (*given[:3], *given.kl.values()):
        assert tensor.dtype is torch.float64 and not tensor.requires_grad


def test_beyond_the_context_states_come_from_the_prior() -> None:
    fns = recorded(tiny_cwvae(), clip(4), 4).fns
    assert {name for name in fns if name.startswith("z_2")} == {"z_2_0", "z_2_2", "z_2_4", "z_2_6"}
    assert {name for name in fns if name.startswith("z_3")} == {"z_3_0", "z_3_4"}
    gated = recorded(tiny_dlh(levels=2), clip(4), 4).fns
    for t in range(1, 8):
        kind = TemporalMixture  # the model's; within the context it is replayed
        assert isinstance(gated[f"z_2_{t}"], kind)
        assert isinstance(gated[f"z_1_{t}"], DiagonalNormal)


def test_predictions_are_sampled_anew() -> None:
    first, second = rollout("cwvae", seed=0), rollout("cwvae", seed=1)
    assert not torch.equal(first.prediction, second.prediction)
    assert not torch.equal(first.reconstruction, second.reconstruction), "posteriors are sampled"


def test_frames_are_means_without_pixel_noise() -> None:
    """A σ 100 times as large moves no pixel."""
    pair = tiny_cwvae(std=0.02), tiny_cwvae(std=2.0)
    frames = []
    for model, guide in pair:
        torch.manual_seed(0)
        frames.append(open_loop(model, guide, clip(SEEN), HORIZON).prediction)
    assert torch.equal(*frames)


# Context and horizon


@pytest.mark.parametrize(("system", "horizon"), list(product(["cwvae", "dlh"], [0, 1, 7])))
def test_the_context_does_not_depend_on_the_horizon(system: str, horizon: int) -> None:
    long, short = rollout(system, 9), rollout(system, horizon)
    assert torch.equal(short.reconstruction, long.reconstruction)
    assert torch.equal(short.gates, long.gates[:, :, : SEEN + horizon])
    assert short.prediction.shape[1] == horizon
    close(short.prediction, long.prediction[:, :horizon])
    for level, kl in short.kl.items():
        assert torch.equal(kl, long.kl[level])


@pytest.mark.parametrize(("system", "chunk"), list(product(["cwvae", "dlh"], [1, 2, 3, 100])))
def test_the_chunks_size_changes_nothing(system: str, chunk: int) -> None:
    pair = SYSTEMS[system]()
    torch.manual_seed(0)
    chunks = list(stream(*pair, clip(SEEN), 7, chunk=chunk))
    assert [c.start for c in chunks] == [0, *range(SEEN, SEEN + 7, chunk)]
    assert [bool(c.kl) for c in chunks] == [True] + [False] * (len(chunks) - 1)
    whole = rollout(system, 7)
    frames = torch.cat([c.frames for c in chunks], 1)
    close(frames, torch.cat([whole.reconstruction, whole.prediction], 1))
    assert torch.equal(torch.cat([c.changes for c in chunks], 2), whole.gates)


def test_between_two_chunks_nothing_of_ours_stays_open() -> None:
    for i, _ in enumerate(stream(*tiny_dlh(), clip(SEEN), 4, chunk=2)):
        assert not am_i_wrapped() and torch.is_grad_enabled()
        assert memo(len) is len
        if i == 1:
            torch.rand(1)  # a caller's own draws are the caller's affair
    assert not dict(pyro.get_param_store().items())


# Evidence within the context only


def test_a_tick_without_a_whole_window_follows_its_prior() -> None:
    """Periods 1, 2, 4 and 7 frames: level 2 has no evidence at t = 6, level 3 none at t = 4."""
    torch.manual_seed(0)
    kl = open_loop(*tiny_cwvae(), clip(7), 2).kl
    informed = {1: [0, 1, 2, 3, 4, 5, 6], 2: [0, 2, 4], 3: [0]}
    ticks = {1: range(7), 2: range(0, 7, 2), 3: range(0, 7, 4)}
    for level, values in kl.items():
        for t in range(7):
            if t in informed[level]:
                assert (values[:, t] > 1e-3).all()
            elif t in ticks[level]:
                # The same prior, computed for one tick and for all: rounding only.
                close(values[:, t], torch.zeros(2).double(), atol=1e-12)
            else:
                assert torch.equal(values[:, t], torch.zeros(2).double()), "no tick"


def test_a_context_shorter_than_the_slowest_window_says_nothing_to_that_level() -> None:
    pair, draws = tiny_cwvae(), []
    for context in (clip(3), 2 - clip(3)):
        given = recorded(pair, context, 2)
        draws.append(given.values["z_3_0"])
    assert torch.equal(*draws)
    close(open_loop(*pair, clip(3), 2).kl[3], torch.zeros(2, 3).double(), atol=1e-12)


# t of the first tick of each level that may see a frame, of periods 1, 2, 4 and 7 frames
FIRST_SEEN = {
    0: (0, 0, 0),
    1: (1, 0, 0),
    3: (3, 2, 0),
    4: (4, 4, None),  # level 3's second window would end at 7
    5: (5, 4, None),
    6: (6, None, None),  # so would level 2's fourth
}


@pytest.mark.parametrize("frame", FIRST_SEEN)
def test_a_frame_is_seen_from_its_window_on_and_not_before(frame: int) -> None:
    """The sites that come before the first that may see it are the same to the bit."""
    model, guide = tiny_cwvae()
    changed = clip(7)
    changed[:, frame] = 1 - changed[:, frame]
    draws = []
    for context in (clip(7), changed):
        torch.manual_seed(0)
        draws.append(poutine.trace(guide).get_trace(context, ends=False))
    same = {
        name: torch.equal(draws[0].nodes[name]["value"], draws[1].nodes[name]["value"])
        for name in draws[0].stochastic_nodes
        if name.startswith("z_")
    }
    order = list(same)  # in time, and from the top down
    seen = [
        f"z_{level}_{t}" for level, t in enumerate(FIRST_SEEN[frame], start=1) if t is not None
    ]
    first = min(order.index(name) for name in seen)
    assert all(same[name] for name in order[:first])
    assert not any(same[name] for name in seen)
    if None in FIRST_SEEN[frame]:
        unaware = {4: "z_3_4", 5: "z_3_4", 6: "z_2_6"}[frame]
        assert same[unaware], "it follows its prior, which has seen nothing of the frame yet"


def test_where_the_clip_ends_a_partial_window_is_evidence() -> None:
    """`ends=True`, as in training: zeros are added, and every tick has a posterior."""
    _, guide = tiny_cwvae()
    changed = clip(7)
    changed[:, 6] = 1 - changed[:, 6]
    draws = []
    for context in (clip(7), changed):
        torch.manual_seed(0)
        draws.append(poutine.trace(guide).get_trace(context).nodes["z_2_6"]["value"])
    assert not torch.equal(*draws)


# Gates and KLs


@pytest.mark.parametrize("system", ["cwvae", "dlh", "dlh, VaDE", "dlh, beliefs kept"])
def test_gates_are_what_the_sites_say(system: str) -> None:
    recorder = recorded(SYSTEMS[system](), clip(SEEN), HORIZON)
    gates = rollout(system).gates
    for level, t in product((1, 2, 3), range(SEEN + HORIZON)):
        shown = gates[:, level - 1, t]
        if system == "cwvae":
            expected = torch.full((2,), float(t % 2 ** (level - 1) == 0)).double()
        elif level == 1 or t == 0:
            expected = torch.ones(2).double()
        else:
            expected = recorder.values[f"e_{level}_{t}"]
        assert torch.equal(shown, expected)
    if system != "cwvae":
        assert (gates[:, 1:] <= gates[:, :-1]).all(), "nested"
        assert 0 < gates[:, 1, SEEN:].mean() < 1, "both values occur beyond the context"


@pytest.mark.parametrize("system", ["cwvae", "dlh", "dlh, beliefs kept"])
def test_kls_are_the_bounds(system: str) -> None:
    """With a context of whole windows, summed over time."""
    pair = SYSTEMS[system]()
    torch.manual_seed(0)
    expected = HierarchyELBO().bound(*pair, clip(4)).kl
    torch.manual_seed(0)
    for level, kl in open_loop(*pair, clip(4), 2).kl.items():
        close(kl.sum(1), expected["z", level])


def test_transitions_within_the_context_are_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    pair, calls = tiny_cwvae(), [0]
    for dynamics in pair[0].hierarchy.dynamics:
        step: Any = dynamics.cell.step  # type: ignore[union-attr]

        def counted(*args: Any, step: Any = step, **kwargs: Any) -> Any:
            calls[0] += 1
            return step(*args, **kwargs)

        monkeypatch.setattr(dynamics.cell, "step", counted)
    open_loop(*pair, clip(8), 0)
    assert calls[0] == 8 + 4 + 2


# What it refuses


@pytest.mark.parametrize(
    ("context", "horizon", "chunk", "message"),
    [
        (torch.zeros(3, 1, 16, 16), 2, 50, r"the context has shape \[3, 1, 16, 16\]"),
        (torch.zeros(2, 3, 1, 16, 16, dtype=torch.uint8), 2, 50, "torch.uint8 pixels"),
        (torch.zeros(2, 3, 1, 16, 16), -1, 50, "0 or more, got -1"),
        (torch.zeros(2, 3, 1, 16, 16), 2.0, 50, "whole number of frames, 0 or more, got 2.0"),
        (torch.zeros(2, 3, 1, 16, 16), 2, 0.5, "whole number of frames, 1 or more, got 0.5"),
        (torch.zeros(2, 3, 1, 16, 16), 2, 0, "1 or more, got 0"),
        (torch.zeros(2, 3, 1, 16, 16), 2, -5, "1 or more, got -5"),
    ],
)
def test_refuses_malformed_arguments_at_the_call(
    context: Tensor, horizon: Any, chunk: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        stream(*tiny_cwvae(), context, horizon, chunk=chunk)


def test_a_policy_is_a_handler() -> None:
    with pytest.raises(ValueError, match=r"such as HoldStatic\(\) or Jumpy\(\), got <class"):
        stream(*tiny_cwvae(), clip(4), 1, policy=Jumpy)


def test_an_intervention_may_decide_for_all_sequences_at_once() -> None:
    policy = poutine.condition(data={"e_2_5": torch.tensor(1.0).double()})
    assert open_loop(*tiny_dlh(), clip(4), 3, policy=policy).gates[:, 1, 5].tolist() == [1.0, 1.0]


def test_the_guide_of_another_model_is_refused() -> None:
    (model, _), (_, guide) = tiny_cwvae(), tiny_cwvae()
    with pytest.raises(ValueError, match="belongs to another model"):
        open_loop(model, guide, clip(SEEN), 1)
