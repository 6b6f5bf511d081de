"""Decided gates and carried beliefs: nothing random is left of them."""

import pytest
import torch
from pyro import poutine, sample
from torch.distributions import kl_divergence

from pyrovp.distributions import Carried, Decided
from pyrovp.lazy import Deferred
from tests.oracles.tiny import randn

E = torch.tensor([1.0, 0.0, 1.0], dtype=torch.float64)


@pytest.mark.parametrize("shape", [(), (5,)])
def test_a_decision_is_its_value(shape: tuple[int, ...]) -> None:
    d = Decided(E)
    assert torch.equal(d.sample(shape), E.expand(*shape, 3))
    assert d.log_prob(E).tolist() == [0.0] * 3
    assert d.log_prob(1 - E).tolist() == [-torch.inf] * 3
    assert d.log_prob(E).dtype is torch.float64


def test_decisions_agree_or_do_not() -> None:
    assert kl_divergence(Decided(E), Decided(E)).tolist() == [0.0] * 3
    other = torch.tensor([1.0, 1.0, 1.0], dtype=torch.float64)
    assert kl_divergence(Decided(E), Decided(other)).tolist() == [0.0, torch.inf, 0.0]


@pytest.mark.parametrize("place", [(), (2, 2)], ids=["vectors", "maps"])
def test_a_carried_value_is_the_very_tensor(place: tuple[int, ...]) -> None:
    belief, events = randn(3, 4, *place).requires_grad_(), 1 + len(place)
    assert Carried(belief, events)() is belief
    assert Carried(belief, events).log_prob(randn(3, 4, *place)).tolist() == [0.0] * 3


@pytest.mark.parametrize("place", [(), (2, 2)], ids=["vectors", "maps"])
def test_a_replayed_value_is_never_computed(place: tuple[int, ...]) -> None:
    calls = []

    def never(x: torch.Tensor) -> torch.Tensor:
        calls.append(x)
        return x

    def program(own: Carried) -> torch.Tensor:
        return sample("belief_2_1", own)

    theirs, events = randn(3, 4, *place), 1 + len(place)
    trace = poutine.trace(program).get_trace(Carried(theirs, events))
    lazy = Carried(Deferred(never, (randn(3, 4, *place, seed=1),), (3, 4, *place)), events)
    assert (lazy.batch_shape, lazy.event_shape) == ((3,), (4, *place))
    assert poutine.replay(program, trace=trace)(lazy) is theirs
    assert not calls
    assert program(lazy) is calls[0]
