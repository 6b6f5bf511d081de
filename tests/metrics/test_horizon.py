"""The effective horizon: crossings that are known, and an interval with the right chances."""

import math

import pytest
import torch
from torch import Tensor

from pyrovp.metrics.horizon import EffectiveHorizon, effective_horizon


def falling(sequences: int = 6, frames: int = 10, crossing: float = 5.5) -> Tensor:
    """Better than 0 before the crossing, worse after it; the same for every sequence."""
    return (crossing - torch.arange(1.0, frames + 1)).expand(sequences, frames)


def zeros(scores: Tensor) -> Tensor:
    return torch.zeros_like(scores)


def test_the_first_frame_that_is_no_better() -> None:
    found = effective_horizon(falling(), zeros(falling()))
    assert (found.frame, found.low, found.high) == (6, 6, 6)
    assert (found.frames, found.sequences) == (10, 6)


def test_equal_is_no_better() -> None:
    assert effective_horizon(falling(crossing=5.0), zeros(falling())).frame == 5


def test_a_later_recovery_does_not_count() -> None:
    scores = torch.tensor([[1.0, -1.0, 1.0, 1.0]] * 2)
    assert effective_horizon(scores, zeros(scores)).frame == 2


def test_better_to_the_end() -> None:
    found = effective_horizon(falling(crossing=20), zeros(falling()))
    assert (found.frame, found.low, found.high) == (None, None, None)
    assert found.sentence() == (
        "better than a random sequence at all 10 frames (90 % interval beyond 10)"
    )


def test_a_distance_is_better_when_it_is_lower() -> None:
    assert effective_horizon(-falling(), zeros(falling()), lower_is_better=True).frame == 6
    assert effective_horizon(falling(), zeros(falling()), lower_is_better=True).frame == 1


@pytest.mark.parametrize("value", [math.nan, -math.inf])
def test_what_is_no_number_is_no_better(value: float) -> None:
    scores = falling().clone()
    scores[2, 1] = value
    assert effective_horizon(scores, zeros(scores)).frame == 2


def test_one_sequence_has_no_interval() -> None:
    found = effective_horizon(falling(1), zeros(falling(1)))
    assert found == EffectiveHorizon(6, None, None, 10, None, 1)
    assert "interval" not in found.sentence()


def test_pairs_stay_together() -> None:
    """Hard sequences are hard for both: their scores differ, the differences do not."""
    level = torch.tensor([0.0, 100.0, -50.0, 7.0])[:, None]
    found = effective_horizon(falling(4) + level, level.expand(4, 10))
    assert (found.frame, found.low, found.high) == (6, 6, 6)


def test_the_interval_has_the_chances_of_the_draws() -> None:
    """Of 4 sequences one is worse by 5 at frame 2 and all are worse at frame 3.

    A draw crosses at frame 2 unless it leaves that sequence out, (3/4)^4 = 0.316: so 3 lies
    outside of the middle 30 % (up to the quantile 0.65 of the draws, of which 0.684 are 2) and
    inside of the middle 50 % (up to 0.75). With 4000 draws the standard error is 0.0074: a miss
    of 4.6 standard errors.
    """
    scores = torch.tensor([[1.0, 1.0, -1.0]] * 3 + [[1.0, -5.0, -1.0]])
    narrow, wide = (
        effective_horizon(scores, zeros(scores), confidence=c, resamples=4000) for c in (0.3, 0.5)
    )
    assert (narrow.frame, narrow.low, narrow.high) == (2, 2, 2)
    assert (wide.frame, wide.low, wide.high) == (2, 2, 3)


def test_draws_are_their_own() -> None:
    scores = torch.randn(5, 8).cumsum(1) + 3
    torch.manual_seed(0)
    first = effective_horizon(scores, zeros(scores))
    assert torch.equal(torch.rand(1), torch.rand(1, generator=torch.Generator().manual_seed(0)))
    assert effective_horizon(scores, zeros(scores)) == first
    assert first.summary()["confidence"] == 0.9


@pytest.mark.parametrize(
    ("model", "baseline"),
    [
        (torch.rand(3), torch.rand(3)),
        (torch.rand(2, 3), torch.rand(2, 4)),
        (torch.rand(0, 3),) * 2,
    ],
)
def test_shapes_are_checked(model: Tensor, baseline: Tensor) -> None:
    with pytest.raises(ValueError, match=r"scores \[N, T\]"):
        effective_horizon(model, baseline)


@pytest.mark.parametrize("given", [{"confidence": 1.0}, {"confidence": 0.0}, {"resamples": 0}])
def test_an_interval_that_is_none(given: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="confidence between 0 and 1"):
        effective_horizon(falling(), falling(), **given)  # type: ignore[arg-type]
