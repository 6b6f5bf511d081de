"""The temporal mixture: which component, and which gradient."""

import pytest
import torch

from pyrovp.distributions import DiagonalNormal, TemporalMixture
from pyrovp.lazy import Deferred
from tests.distributions.test_diagonal_normal import PLACES, parameters

E = torch.tensor([True, False, True, False])


@pytest.mark.parametrize("e", [E, E.double(), E.float()])
@PLACES
def test_one_is_change_and_zero_is_static(e: torch.Tensor, place: tuple[int, ...]) -> None:
    static, change = (parameters(4, seed=5 * i, place=place) for i in range(2))
    d = TemporalMixture(e, static, change, 1 + len(place))
    assert torch.equal(d.parameters[E], change[E])
    assert torch.equal(d.parameters[~E], static[~E])
    assert torch.equal(d.component.parameters, d.parameters)
    assert torch.equal(d.mean, DiagonalNormal(d.parameters, d.event_dim).mean)
    assert torch.equal(d.choose(), d.parameters)
    assert d.e.dtype is torch.bool


def test_both_components_stay_at_hand() -> None:
    static, change = parameters(4), parameters(4, seed=5)
    d = TemporalMixture(E, static, change)
    assert d.static is static
    assert d.change is change


@PLACES
def test_the_gradient_goes_to_the_chosen_component_only(place: tuple[int, ...]) -> None:
    static, change = (parameters(4, seed=5 * i, place=place).requires_grad_() for i in range(2))
    d = TemporalMixture(E, static, change, 1 + len(place))
    to_static, to_change = torch.autograd.grad(d.rsample().sum(), [static, change])
    assert torch.equal(to_static.flatten(1).any(-1), ~E)
    assert torch.equal(to_change.flatten(1).any(-1), E)


@PLACES
def test_components_broadcast_over_particles(place: tuple[int, ...]) -> None:
    static, change = parameters(4, place=place), parameters(3, 4, seed=5, place=place)
    d = TemporalMixture(E.expand(3, 4), static, change, 1 + len(place))
    assert d.batch_shape == (3, 4)
    assert d.rsample().shape == (3, 4, 3, *place)


@PLACES
def test_a_change_to_be_is_computed_when_it_is_read(place: tuple[int, ...]) -> None:
    calls = []

    def prior(h: torch.Tensor) -> torch.Tensor:
        calls.append(h)
        return h

    static, change = (parameters(4, seed=5 * i, place=place) for i in range(2))
    later = Deferred(prior, (change,), (4, 6, *place))
    d = TemporalMixture(E, static, later, 1 + len(place))
    assert (d.batch_shape, d.event_shape) == ((4,), (3, *place))
    d.expand((4,))
    assert not calls
    assert torch.equal(d.parameters[E], change[E])
    d.log_prob(d.rsample())
    assert len(calls) == 1
