"""Entropy of priors: Gaussians that are known, ticks, beliefs that are held, rollouts."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from pyrovp import Forced
from pyrovp.analysis import Clips, Line, PriorEntropy
from pyrovp.distributions import LogitRelaxedBernoulli
from tests.analysis.constant import Beliefs, constant, noise
from tests.analysis.own import own
from tests.systems import clip, tiny_cwvae

PRIOR = ([0.0, 0.0], [0.5, 2.0])
POSTERIOR = ([1.0, 0.0], [0.1, 0.3])


def entropy(*stds: float) -> float:
    return sum(0.5 * math.log(2 * math.pi * math.e) + math.log(std) for std in stds)


def lines(found: Any) -> dict[str, Line]:
    return found.exhibits["prior_entropy_over_distance"].lines


def test_a_constant_prior_has_its_gaussians_entropy() -> None:
    """Context 3, so level 2, which ticks at every other frame, does at distances 2 and 4."""
    model, guide = constant(Beliefs(PRIOR, POSTERIOR), Beliefs(POSTERIOR, PRIOR, period=2))
    found = PriorEntropy(horizon=5, samples=2)(model, guide, Clips(noise(3, 4), context=3))
    assert lines(found)["level 1"].x == [1, 2, 3, 4, 5]
    assert lines(found)["level 1"].y == pytest.approx([entropy(0.5, 2.0)] * 5)
    assert lines(found)["level 2"].x == [2, 4]
    assert lines(found)["level 2"].y == pytest.approx([entropy(0.1, 0.3)] * 2)
    fact = found.facts["levels"]["z_2"]
    assert fact["ticks"] == 2 and fact["per_dimension"] == pytest.approx(entropy(0.1, 0.3) / 2)
    assert fact["deviation_over_time"] == pytest.approx(0.0, abs=1e-12)


def test_a_closed_level_has_the_entropy_of_the_belief_it_holds() -> None:
    """The context's posterior until its gate opens at frame 6, then the prior it drew from."""
    gated = Beliefs(PRIOR, POSTERIOR, gate=Forced(lambda t: t == 6))
    model, guide = constant(Beliefs(PRIOR, POSTERIOR), gated)
    found = PriorEntropy(horizon=5)(model, guide, Clips(noise(2, 4), context=4))
    held, drawn = entropy(0.1, 0.3), entropy(0.5, 2.0)
    assert lines(found)["level 2"].y == pytest.approx([held, held, drawn, drawn, drawn])
    fact = found.facts["levels"]["z_2"]
    assert (fact["first"], fact["last"]) == (pytest.approx(held), pytest.approx(drawn))


@pytest.mark.parametrize("sample", ["copy", "redraw"])
def test_a_level_under_a_closed_one_is_held_too(sample: Any) -> None:
    """Level 3 opens where level 2 does only, whether it keeps its sample or redraws it."""
    shut = Forced(lambda t: False, static_sample=sample)
    levels = [Beliefs(PRIOR, POSTERIOR, gate=gate) for gate in (None, shut, shut)]
    found = PriorEntropy(horizon=3)(*constant(*levels), Clips(noise(2, 3), context=3))
    assert lines(found)["level 3"].y == pytest.approx([entropy(0.1, 0.3)] * 3)


def test_a_prior_that_grows_wider_frame_by_frame() -> None:
    """Of a state space of the user's own, whose standard deviation at frame t is t + 1."""
    found = PriorEntropy(horizon=4)(*own(), Clips(noise(2, 3), context=2))
    expected = [entropy(t + 1, t + 1) for t in range(2, 6)]
    assert lines(found)["level 1"].y == pytest.approx(expected)
    assert found.facts["levels"]["z_1"]["last"] == pytest.approx(expected[-1])


def test_samples_are_rollouts_of_the_same_clip() -> None:
    """Three samples of one clip are one of each of three copies, and count as one sequence."""
    model, guide = tiny_cwvae()
    video = clip(4, batch=1)
    torch.manual_seed(1)
    samples = PriorEntropy(horizon=6, samples=3)(model, guide, Clips(video, context=4))
    torch.manual_seed(1)
    copies = PriorEntropy(horizon=6)(
        model, guide, Clips(video.expand(3, -1, -1, -1, -1), context=4)
    )
    for level, line in lines(copies).items():
        assert lines(samples)[level].y == pytest.approx(line.y, rel=1e-12)
        assert lines(samples)[level].low is None and line.low is not None
    assert len(set(lines(copies)["level 1"].y)) == 6  # the rollouts do differ
    assert (samples.facts["sequences"], copies.facts["sequences"]) == (1, 3)


def test_a_level_that_does_not_tick_is_said_to() -> None:
    model, guide = constant(Beliefs(PRIOR, POSTERIOR), Beliefs(PRIOR, POSTERIOR, period=8))
    found = PriorEntropy(horizon=3)(model, guide, Clips(noise(2, 2), context=2))
    assert list(found.facts["levels"]) == ["z_1"]
    assert "level 2 does not tick within 3 frames of the context" in found.sentences


def test_refuses_what_has_no_entropy() -> None:
    def family(mean: Tensor, std: Tensor) -> Any:
        return LogitRelaxedBernoulli(torch.ones(()).double(), mean).to_event(1)

    with pytest.raises(ValueError, match=r"z_1_2 is drawn from a .*whose entropy is not known"):
        PriorEntropy(horizon=1)(*own(family), Clips(noise(2, 2), context=2))


@pytest.mark.parametrize("settings", [{"horizon": 0}, {"horizon": 2.5}, {"samples": 0}])
def test_refuses_settings_that_predict_nothing(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="is a whole number from 1"):
        PriorEntropy(**settings)


def test_refuses_a_context_longer_than_the_clips() -> None:
    with pytest.raises(ValueError, match="context of 5 frames was asked for, of clips of 4"):
        PriorEntropy(horizon=1)(*tiny_cwvae(), Clips(clip(4), context=5))
