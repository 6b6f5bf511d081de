"""Limits on segments, against counting by hand."""

import math
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from pyrovp.gates import SegmentPrior
from tests.oracles.tiny import close, randn

CERTAIN = 2 * math.log(999)


def limited(prior: SegmentPrior, m: Tensor, log_odds: Tensor) -> Tensor:
    """Log-odds of a boundary after each frame [..., B, T], by the frames' m [..., B, T]."""
    counts = prior.initial(m.shape[-2], m)
    rows = []
    for now, logit in zip(m.unbind(-1), log_odds.unbind(-1), strict=True):
        counts = prior.count(counts, now)
        rows.append(prior.limit(counts, logit))
    return torch.stack(rows, -1)


@pytest.mark.parametrize(
    ("m", "kept"),
    [
        # -: stays for certain, +: changes for certain, .: as predicted
        ((1, 0, 0, 0, 0, 0), ". . + + + +"),  # no segment of more than 3 frames
        ((1, 0, 0, 1, 0, 0), ". . + - - +"),  # 2 segments; then the length still wins
        ((1, 1, 0, 0, 1, 1), ". - - + - -"),
        ((1, 0, 1, 0, 1, 0), ". . - - - -"),
    ],
)
def test_limits_counted_by_hand(m: Sequence[int], kept: str) -> None:
    prior, free = SegmentPrior(number=2, length=3), randn(1, len(m))
    found = limited(prior, torch.tensor([m]).double(), free)
    sign = {"-": -CERTAIN, "+": CERTAIN}
    expected = [sign.get(mark, free[0, i].item()) for i, mark in enumerate(kept.split())]
    close(found[0], torch.tensor(expected, dtype=torch.float64))


def test_particles_and_sequences_are_counted_apart() -> None:
    prior = SegmentPrior(number=3, length=4)
    m, free = (torch.rand(5, 3, 12) < 0.4).double(), randn(5, 3, 12)
    found = limited(prior, m, free)
    for p in range(5):
        for b in range(3):
            close(found[p, b], limited(prior, m[p, b, None], free[p, b, None])[0])


def test_gradient_passes_where_nothing_is_limited_and_never_to_the_gates() -> None:
    prior, m = SegmentPrior(number=2, length=3), torch.tensor([[1.0, 0, 1, 0]]).requires_grad_()
    free = torch.zeros(1, 4, requires_grad=True)
    (gradient,) = torch.autograd.grad(limited(prior, m, free).sum(), free)
    assert gradient.tolist() == [[1, 1, 0, 0]]
    assert not prior.count(prior.initial(1, m), m[:, 0]).length.requires_grad


def test_certainty_is_that_of_each_of_two_logits() -> None:
    prior = SegmentPrior(number=1, certainty=0.9)
    counts = prior.count(prior.initial(1, torch.zeros(1)), torch.ones(1))
    assert prior.limit(counts, torch.zeros(1)).item() == pytest.approx(-2 * math.log(9))


@pytest.mark.parametrize(
    "wrong", [{"number": 0}, {"length": 0}, {"length": 2.5}, {"certainty": 1.0}]
)
def test_what_makes_no_sense_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="whole number of at least 1|a probability"):
        SegmentPrior(**wrong)  # type: ignore[arg-type]
