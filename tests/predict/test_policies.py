"""Prediction policies change what follows the context, and only what they say."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from pyrovp import sites
from pyrovp.distributions import Held, NestedBernoulli
from pyrovp.gates import MixtureGate
from pyrovp.predict import HoldStatic, LikelyGates, Rollout, open_loop
from tests.predict.recorder import Recorder
from tests.systems import clip, tiny_cwvae, tiny_dlh

SEEN, HORIZON = 4, 12


def predict(
    policy: Any, *, batch: int = 4, make: Callable[[], Any] = tiny_dlh, seed: int = 0
) -> tuple[Rollout, Recorder]:
    model, guide = make()
    recorder = Recorder()
    torch.manual_seed(seed)
    with recorder:
        rollout = open_loop(model, guide, clip(SEEN, batch=batch), HORIZON, policy=policy)
    return rollout, recorder


def kept(recorder: Recorder, level: int, t: int) -> Any:
    """Which sequences' states are those of the tick before, to the bit."""
    now, before = (recorder.values[f"z_{level}_{s}"] for s in (t, t - 1))
    return (now == before).all(-1)


BEYOND = [(level, t) for level in (2, 3) for t in range(SEEN, SEEN + HORIZON)]


@pytest.mark.parametrize("static_sample", ["copy", "redraw"])
def test_a_level_that_stays_keeps_its_sample_to_the_bit(static_sample: Any) -> None:
    gate = MixtureGate(size=3, static_sample=static_sample)
    _, recorder = predict(HoldStatic(), make=lambda: tiny_dlh(gate=gate))
    for level, t in BEYOND:
        changes = recorder.values[f"e_{level}_{t}"] > 0
        assert torch.equal(kept(recorder, level, t), ~changes)
    values = torch.stack([recorder.values[f"e_{level}_{t}"] for level, t in BEYOND])
    assert 0.2 < values.mean() < 0.8, "both happen"


def test_without_it_the_first_closed_level_redraws_and_those_above_hold() -> None:
    _, recorder = predict(None)
    redrawn = held = 0
    for level, t in BEYOND:
        below = recorder.values[f"e_{level - 1}_{t}"] > 0 if level > 2 else None
        open = torch.ones(4, dtype=torch.bool) if below is None else below
        assert torch.equal(kept(recorder, level, t), ~open)
        redrawn += int((open & (recorder.values[f"e_{level}_{t}"] == 0)).sum())
        held += int((~open).sum())
    assert redrawn > 5 and held > 5


@pytest.mark.parametrize("policy", [HoldStatic, LikelyGates])
def test_the_context_is_as_without_a_policy(policy: Any) -> None:
    with_policy, recorder = predict(policy())
    without, plain = predict(None)
    assert torch.equal(with_policy.reconstruction, without.reconstruction)
    assert torch.equal(with_policy.gates[:, :, :SEEN], without.gates[:, :, :SEEN])
    for name, value in plain.values.items():
        where = sites.parse(name)
        if where is not None and where.t < SEEN:
            assert torch.equal(recorder.values[name], value)
    assert not torch.equal(with_policy.prediction, without.prediction)


@pytest.mark.parametrize("policy", [HoldStatic, LikelyGates])
def test_a_model_without_gates_predicts_as_before(policy: Any) -> None:
    with_policy, _ = predict(policy(), make=tiny_cwvae)
    without, _ = predict(None, make=tiny_cwvae)
    assert torch.equal(with_policy.prediction, without.prediction)


def test_a_policy_serves_again_for_another_batch() -> None:
    policy = HoldStatic()
    predict(policy, batch=4)
    again, _ = predict(policy, batch=2)
    fresh, _ = predict(HoldStatic(), batch=2)
    assert torch.equal(again.prediction, fresh.prediction)


@pytest.mark.parametrize(
    ("logits", "expected"),
    [((1, 1), (1, 1)), ((1, -1), (1, 0)), ((-1, 1), (0, 0)), ((-1, -1), (0, 0))],
)
def test_likely_gates_take_the_likelier_value_where_the_level_below_changed(
    logits: tuple[float, float], expected: tuple[float, float]
) -> None:
    def sure() -> Any:
        model, guide = tiny_dlh()
        gates: list[Any] = list(model.hierarchy.gates.values())
        for gate, logit in zip(gates, logits, strict=True):
            gate.output.bias.data.fill_(logit)  # likely, not certain
            gate.output.weight.data.zero_()
        return model, guide

    rollout, recorder = predict(LikelyGates(), make=sure)
    for level, t in BEYOND:
        assert isinstance(recorder.fns[f"e_{level}_{t}"], NestedBernoulli)
        assert recorder.values[f"e_{level}_{t}"].tolist() == [expected[level - 2]] * 4
    assert torch.equal(rollout.gates[:, 1:, SEEN:].mean((0, 2)), torch.tensor(expected).double())


def test_likely_gates_still_draw_the_states() -> None:
    first, second = predict(LikelyGates(), seed=0)[0], predict(LikelyGates(), seed=1)[0]
    assert not torch.equal(first.prediction, second.prediction)


def test_held_states_are_drawn_within_the_model_as_held() -> None:
    """Level 3 is closed where level 2 stays: the policy meets a `Held` there."""
    _, recorder = predict(HoldStatic())
    assert any(isinstance(fn, Held) for name, fn in recorder.fns.items() if name[:3] == "z_3")
