"""The guide's choice of a gate's value, against KLs from torch."""

from typing import Any

import pytest
import torch
import torch.distributions as td
from torch import Tensor

from pyrovp.distributions import Decided, NestedBernoulli
from pyrovp.gates import KLComparison, Rule, VaDE
from tests.oracles.tiny import close, randn

N = 40


def belief(*, seed: int) -> Tensor:
    mean, raw = randn(N, 4, seed=seed).chunk(2, -1)
    return torch.cat((mean, raw.exp()), -1)


Q, CHANGE, STATIC = belief(seed=1), belief(seed=2), belief(seed=3)
LOGIT, OPEN = randn(N, seed=4), randn(N, seed=5) > 0


def kl(q: Tensor, p: Tensor) -> Tensor:
    """By torch.distributions."""
    (q_mean, q_std), (p_mean, p_std) = q.chunk(2, -1), p.chunk(2, -1)
    return td.kl_divergence(td.Normal(q_mean, q_std), td.Normal(p_mean, p_std)).sum(-1)


@pytest.mark.parametrize("open", [None, OPEN])
def test_the_smaller_divergence_wins(open: Tensor | None) -> None:
    moved, stayed = kl(Q, CHANGE), kl(Q, STATIC)
    q = KLComparison().infer(Q, CHANGE, STATIC, LOGIT, open)
    e = q.sample()
    expected = (moved < stayed).double()
    assert 0 < expected.mean() < 1, "both happen"
    assert torch.equal(e, expected if open is None else expected * open)
    assert isinstance(q, Decided)
    assert torch.equal(q.log_prob(e), torch.zeros(N, dtype=torch.float64)), "with certainty"


def test_the_same_belief_in_both_components_stays() -> None:
    e = KLComparison().infer(Q, STATIC, STATIC, LOGIT, None).sample()
    assert not e.any(), "a strict comparison"


def test_a_belief_like_the_prediction_changes_and_one_like_the_past_stays() -> None:
    rule = KLComparison()
    assert rule.infer(CHANGE, CHANGE, STATIC, LOGIT, None).sample().all()
    assert not rule.infer(STATIC, CHANGE, STATIC, LOGIT, None).sample().any()


@pytest.mark.parametrize("open", [None, OPEN])
def test_vade_log_odds_are_eq_34(open: Tensor | None) -> None:
    """q(e = 0) = σ(KL[q ‖ change] - KL[q ‖ static] + logit p(e = 0))."""
    q = VaDE().infer(Q, CHANGE, STATIC, LOGIT, open)
    assert isinstance(q, NestedBernoulli)
    stays = torch.sigmoid(kl(Q, CHANGE) - kl(Q, STATIC) - LOGIT)
    changes = 1 - stays
    close(q.mean, changes if open is None else changes * open)


@pytest.mark.parametrize("rule", [KLComparison(), VaDE()])
def test_a_comparison_carries_no_gradient(rule: Rule) -> None:
    q, change, static = (x.clone().requires_grad_() for x in (Q, CHANGE, STATIC))
    logit = LOGIT.clone().requires_grad_()
    e: Any = rule.infer(q, change, static, logit, OPEN)
    assert not e.mean.requires_grad
    assert not e.sample().requires_grad
    assert not e.log_prob(e.sample()).requires_grad


@pytest.mark.parametrize("rule", [KLComparison(), VaDE()])
def test_particles_are_compared_each(rule: Rule) -> None:
    """The static belief of frame 0 has no particles' dimension yet."""
    many = torch.stack([Q, belief(seed=8)])
    q: Any = rule.infer(many, CHANGE.expand(2, N, 4), STATIC, LOGIT.expand(2, N), OPEN)
    assert q.mean.shape == (2, N)
    for i in range(2):
        one: Any = rule.infer(many[i], CHANGE, STATIC, LOGIT, OPEN)
        close(q.mean[i], one.mean)
