"""The relaxed gate: torch's density, a gradient that Pyro keeps, and a hard step."""

from itertools import product

import pyro
import pytest
import torch
import torch.distributions as td
from pyro import poutine
from pyro.infer import Trace_ELBO
from torch import Tensor

from pyrovp.distributions import LogitRelaxedBernoulli, straight_through
from pyrovp.lazy import Deferred
from tests.oracles.tiny import close, randn


def tau(value: float) -> Tensor:
    return torch.tensor(value, dtype=torch.float64)


@pytest.mark.parametrize("temperature", [0.1, 0.6, 2.0])
def test_density_is_torchs(temperature: float) -> None:
    logits, value = randn(50) * 2, randn(50, seed=1) * 3
    mine = LogitRelaxedBernoulli(tau(temperature), logits)
    theirs = td.relaxed_bernoulli.LogitRelaxedBernoulli(tau(temperature), logits=logits)
    close(mine.log_prob(value), theirs.log_prob(value))


@pytest.mark.parametrize("temperature", [0.3, 1.0])
def test_density_is_normalised(temperature: float) -> None:
    grid = torch.linspace(-400, 400, 200_001, dtype=torch.float64)
    density = LogitRelaxedBernoulli(tau(temperature), tau(0.8)).log_prob(grid).exp()
    # The tails beyond the grid weigh less than exp(-0.3 * 400).
    close(torch.trapezoid(density, grid), tau(1.0), atol=1e-8)


@pytest.mark.parametrize(("logit", "temperature"), list(product([-200.0, 50.0, 200.0], [0.1, 1])))
def test_extreme_log_odds_draw_and_score_exactly(logit: float, temperature: float) -> None:
    logits = tau(logit).requires_grad_()
    d = LogitRelaxedBernoulli(tau(temperature), logits)
    value = d.rsample((1000,))
    # The noise is logistic: beyond 40 with a chance of 1e-14 in a thousand draws.
    assert ((value.detach() * temperature - logit).abs() < 40).all()
    score = d.log_prob(value)
    assert score.isfinite().all()
    (gradient,) = torch.autograd.grad(score.sum() + value.sum(), logits)
    assert gradient.isfinite()


def test_pyro_draws_it_with_a_graph() -> None:
    logits = randn(4).requires_grad_()

    def program() -> None:
        with pyro.plate("sequences", 4, dim=-1):
            pyro.sample("elogit_2_1", LogitRelaxedBernoulli(tau(0.6), logits))

    value = poutine.trace(program).get_trace().nodes["elogit_2_1"]["value"]
    assert value.requires_grad, "torch's own class says has_rsample = False"


def test_the_gradient_of_a_bound_reaches_the_log_odds() -> None:
    """d/dlogit of E[soft²] through Trace_ELBO, against the reparametrised draw by hand."""
    logits = randn(4).requires_grad_()

    def guide() -> None:
        with pyro.plate("sequences", 4, dim=-1):
            pyro.sample("e", LogitRelaxedBernoulli(tau(0.6), logits))

    def model() -> None:
        with pyro.plate("sequences", 4, dim=-1):
            e = pyro.sample("e", LogitRelaxedBernoulli(tau(0.6), torch.zeros_like(logits)))
            pyro.factor("cost", -(e.sigmoid() ** 2))

    torch.manual_seed(1)
    loss = Trace_ELBO(max_plate_nesting=1).differentiable_loss(model, guide)
    (actual,) = torch.autograd.grad(loss, logits)
    torch.manual_seed(1)
    q = LogitRelaxedBernoulli(tau(0.6), logits)
    p = LogitRelaxedBernoulli(tau(0.6), torch.zeros_like(logits))
    e = q.rsample()
    by_hand = (e.sigmoid() ** 2 + q.log_prob(e) - p.log_prob(e)).sum()
    (expected,) = torch.autograd.grad(by_hand, logits)
    close(actual, expected)
    assert (actual != 0).all()


def test_expand_and_mask_stay_pyros() -> None:
    d = LogitRelaxedBernoulli(tau(0.6), randn(4)).expand((3, 4))
    assert isinstance(d, LogitRelaxedBernoulli) and d.has_rsample
    value = d.sample()
    kept = torch.tensor([True, False, True, False])
    close(d.mask(kept).log_prob(value), torch.where(kept, d.log_prob(value), 0.0))
    assert d.to_event(1).event_shape == (4,)


def test_log_odds_may_come_later() -> None:
    logits, asked = randn(4), []

    def later(x: Tensor) -> Tensor:
        asked.append(x)
        return 2 * x

    lazy = LogitRelaxedBernoulli(tau(0.6), Deferred(later, (logits,), (4,), 0))
    assert lazy.expand((4,)) is lazy and lazy.batch_shape == (4,)
    assert not asked, "a replayed gate is not drawn"
    value = randn(4, seed=1)
    close(lazy.log_prob(value), LogitRelaxedBernoulli(tau(0.6), 2 * logits).log_prob(value))
    assert lazy.rsample((3,)).shape == (3, 4) and len(asked) == 1


def test_straight_through_is_hard_forwards_and_soft_backwards() -> None:
    logit = torch.tensor([-40.0, -0.3, 0.0, 0.3, 40.0], dtype=torch.float64, requires_grad=True)
    e = straight_through(logit)
    assert e.tolist() == [0.0, 0.0, 0.0, 1.0, 1.0], "exactly"
    (gradient,) = torch.autograd.grad((e * torch.arange(1.0, 6.0)).sum(), logit)
    p = logit.sigmoid()
    close(gradient, (p * (1 - p)).detach() * torch.arange(1.0, 6.0))
