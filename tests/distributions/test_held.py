"""A closed level's state: bit-identical, unscored, and harmless to gradients."""

import pytest
import torch
from torch.distributions import kl_divergence

from pyrovp.distributions import DiagonalNormal, Held
from tests.distributions.test_diagonal_normal import parameters
from tests.oracles.tiny import close, randn

OPEN = torch.tensor([True, False, True, False])


def held(open: torch.Tensor = OPEN) -> Held:
    return Held(DiagonalNormal(parameters(4)), randn(4, 3, seed=8), open)


@pytest.mark.parametrize("method", ["rsample", "sample"])
@pytest.mark.parametrize("sample", [(), (5,)])
def test_keeps_the_value_to_the_bit_where_closed(method: str, sample: tuple[int, ...]) -> None:
    d = held()
    value = getattr(d, method)(sample)
    kept = d.held.expand(value.shape)
    assert torch.equal(value[..., ~OPEN, :], kept[..., ~OPEN, :])
    assert (value[..., OPEN, :] != kept[..., OPEN, :]).all()


def test_the_open_ones_draw_what_the_base_draws() -> None:
    d = held()
    torch.manual_seed(1)
    value = d.rsample()
    torch.manual_seed(1)
    assert torch.equal(value[OPEN], d.base.rsample()[OPEN])


def test_scores_the_base_where_open_and_nothing_where_closed() -> None:
    d, value = held(), randn(4, 3, seed=4)
    score = d.log_prob(value)
    close(score[OPEN], d.base.log_prob(value)[OPEN])
    assert torch.equal(score[~OPEN], torch.zeros(2, dtype=torch.float64))


def test_a_float_gate_scores_as_a_mask_and_draws_as_a_mixture() -> None:
    """z = m · drawn + (1 - m) · held, with its gradient in m; none in scores."""
    gate = OPEN.double().requires_grad_()
    d = held(gate)
    assert d.open.dtype is torch.bool and torch.equal(d.open, OPEN)
    torch.manual_seed(0)
    value = d.rsample()
    torch.manual_seed(0)
    drawn = d.base.rsample()
    m = OPEN.double().requires_grad_()
    mixed = m[:, None] * drawn + (1 - m[:, None]) * d.held
    assert torch.equal(value, mixed)
    weights = torch.arange(value.numel(), dtype=value.dtype).view_as(value)
    (ours,) = torch.autograd.grad((weights * value).sum(), gate)
    (theirs,) = torch.autograd.grad((weights * mixed).sum(), m)
    assert torch.allclose(ours, theirs, rtol=1e-12)
    assert d.log_prob(value.detach()).requires_grad is False


@pytest.mark.parametrize("extreme", [1e200, float("inf"), float("nan")])
def test_an_extreme_held_value_leaves_gradients_finite(extreme: float) -> None:
    p = parameters(4).requires_grad_()
    z_prev = torch.where(OPEN[:, None], randn(4, 3), extreme).requires_grad_()
    d = Held(DiagonalNormal(p), z_prev, OPEN)
    value = d.rsample()
    score = d.log_prob(value)
    assert score.isfinite().all()
    for gradient in torch.autograd.grad(score.sum(), [p, z_prev], allow_unused=True):
        assert gradient is None or gradient.isfinite().all()


def test_the_gradient_of_a_kept_value_goes_back_to_the_state_before() -> None:
    z_prev, p = randn(4, 3).requires_grad_(), parameters(4).requires_grad_()
    value = Held(DiagonalNormal(p), z_prev, OPEN).rsample()
    to_held, to_base = torch.autograd.grad(value.sum(), [z_prev, p])
    assert torch.equal(to_held, (~OPEN).double()[:, None].expand(4, 3))
    assert torch.equal(to_base.any(-1), OPEN)


def test_kl_counts_the_open_ones() -> None:
    q, p = held(), Held(DiagonalNormal(parameters(4, seed=3)), randn(4, 3), OPEN)
    kl = kl_divergence(q, p)
    close(kl[OPEN], kl_divergence(q.base, p.base)[OPEN])
    assert torch.equal(kl[~OPEN], torch.zeros(2, dtype=torch.float64))


def test_expands_what_is_held_and_the_mask_with_the_base() -> None:
    d = held().expand((6, 4))
    value = d.sample()
    assert value.shape == (6, 4, 3)
    assert torch.equal(value[:, ~OPEN], d.held[:, ~OPEN])
    assert len(value[:, 0, 0].unique()) == 6, "and draws anew for each"
