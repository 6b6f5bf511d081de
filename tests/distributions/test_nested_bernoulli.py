"""The nested gate: closed means e = 0, surely."""

import pytest
import torch
import torch.nn.functional as F
from torch.distributions import kl_divergence

from pyrovp.distributions import Decided, NestedBernoulli
from pyrovp.lazy import Deferred
from tests.oracles.tiny import close, randn

OPEN = torch.tensor([True, False, True, False])
LOGIT = torch.tensor([3.0, 3.0, -1.0, -1.0], dtype=torch.float64)
ONE, ZERO = torch.ones(4, dtype=torch.float64), torch.zeros(4, dtype=torch.float64)


def test_a_closed_gate_never_opens() -> None:
    d = NestedBernoulli(LOGIT, OPEN)
    assert not d.sample((2000,))[:, ~OPEN].any()
    assert d.sample((2000,))[:, OPEN].any(0).all()
    assert torch.equal(d.mean, torch.where(OPEN, LOGIT.sigmoid(), 0.0))


def test_draws_are_floats_of_zero_and_one() -> None:
    e = NestedBernoulli(LOGIT).sample((100,))
    assert e.dtype is torch.float64
    assert e.unique().tolist() == [0.0, 1.0]


def test_scores() -> None:
    d = NestedBernoulli(LOGIT, OPEN)
    close(d.log_prob(ONE)[OPEN], F.logsigmoid(LOGIT)[OPEN])
    close(d.log_prob(ZERO)[OPEN], F.logsigmoid(-LOGIT)[OPEN])
    assert d.log_prob(ONE)[~OPEN].tolist() == [-torch.inf] * 2
    assert d.log_prob(ZERO)[~OPEN].tolist() == [0.0] * 2


def test_eq_8c_as_written_scores_staying_where_closed_too() -> None:
    d = NestedBernoulli(LOGIT, OPEN, score_closed=True)
    close(d.log_prob(ZERO), F.logsigmoid(-LOGIT))
    assert d.log_prob(ONE)[~OPEN].tolist() == [-torch.inf] * 2
    wide = d.expand((3, 4))
    close(wide.log_prob(ZERO), F.logsigmoid(-LOGIT).expand(3, 4))


@pytest.mark.parametrize("logit", [800.0, -800.0])
def test_certain_gates_score_without_overflow(logit: float) -> None:
    given = torch.full((4,), logit, dtype=torch.float64, requires_grad=True)
    d = NestedBernoulli(given, OPEN)
    score = d.log_prob(OPEN.double())
    expected = 0.0 if logit > 0 else logit
    close(score, torch.where(OPEN, expected, 0.0).double())
    (gradient,) = torch.autograd.grad(score.sum(), given)
    assert gradient.isfinite().all()
    assert kl_divergence(d, NestedBernoulli(torch.zeros_like(given), OPEN)).isfinite().all()


def test_a_closed_gate_takes_no_gradient() -> None:
    logit = LOGIT.clone().requires_grad_()
    d = NestedBernoulli(logit, OPEN)
    (gradient,) = torch.autograd.grad(d.log_prob(ZERO).sum(), logit)
    assert torch.equal(gradient != 0, OPEN)


@pytest.mark.parametrize("score_closed", [False, True])
def test_cost_of_a_decision(score_closed: bool) -> None:
    """-log p(e): DLH's kl_e for a one-hot posterior, counted where open or everywhere."""
    e = torch.tensor([1.0, 0.0, 0.0, 0.0], dtype=torch.float64)
    p = NestedBernoulli(LOGIT, OPEN, score_closed)
    counted = torch.ones(4, dtype=torch.bool) if score_closed else OPEN
    cost = -torch.where(e > 0, F.logsigmoid(LOGIT), F.logsigmoid(-LOGIT))
    close(kl_divergence(Decided(e), p), torch.where(counted, cost, 0.0))


def test_cost_of_an_impossible_decision_is_infinite() -> None:
    p = NestedBernoulli(LOGIT, OPEN)
    assert kl_divergence(Decided(ONE), p)[~OPEN].tolist() == [torch.inf] * 2


def test_soft_gates_differ_only_where_open() -> None:
    q, p = NestedBernoulli(LOGIT, OPEN), NestedBernoulli(randn(4), OPEN)
    kl = kl_divergence(q, p)
    assert torch.equal(kl > 0, OPEN)


def test_log_odds_to_be_are_computed_when_they_are_read() -> None:
    calls = []

    def gate(x: torch.Tensor) -> torch.Tensor:
        calls.append(x)
        return x

    d = NestedBernoulli(Deferred(gate, (LOGIT,), (4,)), OPEN)
    assert d.batch_shape == (4,)
    d.expand((4,))
    assert not calls
    close(d.log_prob(ZERO), NestedBernoulli(LOGIT, OPEN).log_prob(ZERO))
    d.sample()
    assert len(calls) == 1
