"""A closed level's state: bit-identical, unscored, and harmless to gradients."""

import pytest
import torch
from torch.distributions import kl_divergence

from pyrovp.distributions import DiagonalNormal, Held
from tests.distributions.test_diagonal_normal import MAP, PLACES, parameters
from tests.oracles.tiny import close, randn

OPEN = torch.tensor([True, False, True, False])


def held(open: torch.Tensor = OPEN, place: tuple[int, ...] = ()) -> Held:
    base = DiagonalNormal(parameters(4, place=place), 1 + len(place))
    return Held(base, randn(4, 3, *place, seed=8), open)


@pytest.mark.parametrize("method", ["rsample", "sample"])
@pytest.mark.parametrize("sample", [(), (5,)])
@PLACES
def test_keeps_the_value_to_the_bit_where_closed(
    method: str, sample: tuple[int, ...], place: tuple[int, ...]
) -> None:
    d = held(place=place)
    value = getattr(d, method)(sample)
    kept = d.held.expand(value.shape)
    value, kept = (x.movedim(len(sample), 0) for x in (value, kept))
    assert torch.equal(value[~OPEN], kept[~OPEN])
    assert (value[OPEN] != kept[OPEN]).all()


@PLACES
def test_the_open_ones_draw_what_the_base_draws(place: tuple[int, ...]) -> None:
    d = held(place=place)
    torch.manual_seed(1)
    value = d.rsample()
    torch.manual_seed(1)
    assert torch.equal(value[OPEN], d.base.rsample()[OPEN])


@PLACES
def test_scores_the_base_where_open_and_nothing_where_closed(place: tuple[int, ...]) -> None:
    d, value = held(place=place), randn(4, 3, *place, seed=4)
    score = d.log_prob(value)
    close(score[OPEN], d.base.log_prob(value)[OPEN])
    assert torch.equal(score[~OPEN], torch.zeros(2, dtype=torch.float64))


@PLACES
def test_a_float_gate_scores_as_a_mask_and_draws_as_a_mixture(place: tuple[int, ...]) -> None:
    """z = m · drawn + (1 - m) · held, with its gradient in m; none in scores."""
    gate = OPEN.double().requires_grad_()
    d = held(gate, place)
    assert d.open.dtype is torch.bool and torch.equal(d.open, OPEN)
    torch.manual_seed(0)
    value = d.rsample()
    torch.manual_seed(0)
    drawn = d.base.rsample()
    m = OPEN.double().requires_grad_()
    wide = m.view(4, 1, *[1] * len(place))
    mixed = wide * drawn + (1 - wide) * d.held
    assert torch.equal(value, mixed)
    weights = torch.arange(value.numel(), dtype=value.dtype).view_as(value)
    (ours,) = torch.autograd.grad((weights * value).sum(), gate)
    (theirs,) = torch.autograd.grad((weights * mixed).sum(), m)
    assert torch.allclose(ours, theirs, rtol=1e-12)
    assert d.log_prob(value.detach()).requires_grad is False


@pytest.mark.parametrize("extreme", [1e200, float("inf"), float("nan")])
@PLACES
def test_an_extreme_held_value_leaves_gradients_finite(
    extreme: float, place: tuple[int, ...]
) -> None:
    p = parameters(4, place=place).requires_grad_()
    wide = OPEN.view(4, 1, *[1] * len(place))
    z_prev = torch.where(wide, randn(4, 3, *place), extreme).requires_grad_()
    d = Held(DiagonalNormal(p, 1 + len(place)), z_prev, OPEN)
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


@PLACES
def test_kl_counts_the_open_ones(place: tuple[int, ...]) -> None:
    base = DiagonalNormal(parameters(4, seed=3, place=place), 1 + len(place))
    q, p = held(place=place), Held(base, randn(4, 3, *place), OPEN)
    kl = kl_divergence(q, p)
    close(kl[OPEN], kl_divergence(q.base, p.base)[OPEN])
    assert torch.equal(kl[~OPEN], torch.zeros(2, dtype=torch.float64))


@PLACES
def test_expands_what_is_held_and_the_mask_with_the_base(place: tuple[int, ...]) -> None:
    d = held(place=place).expand((6, 4))
    value = d.sample()
    assert value.shape == (6, 4, 3, *place)
    assert torch.equal(value[:, ~OPEN], d.held[:, ~OPEN])
    assert len(value[:, 0].flatten(1)[:, 0].unique()) == 6, "and draws anew for each"


def test_a_held_value_may_lack_the_particles_of_its_base() -> None:
    """A map of the first frame, from zeros; three particles."""
    base = DiagonalNormal(parameters(5, 4, place=MAP), 3)
    d = Held(base, randn(4, 3, *MAP), OPEN)
    assert (d.batch_shape, d.event_shape) == ((5, 4), (3, *MAP))
    value = d.sample()
    assert torch.equal(value[:, ~OPEN], d.held[~OPEN].expand(5, 2, 3, *MAP))
