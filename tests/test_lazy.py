"""Values to be: stacked, they are what each would have been alone."""

import pytest
import torch
from torch import Tensor, nn

from pyrovp.lazy import Deferred, Lazy, force, stack, stack_frames
from tests.oracles.tiny import close, randn


class Counted(nn.Module):
    """A layer that counts its calls."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 2).double()
        self.calls = 0

    def forward(self, h: Tensor, c: tuple[Tensor, ...] = ()) -> Tensor:
        self.calls += 1
        return self.layer(h + sum(c, torch.zeros(())))


def deferred(network: Counted, count: int, *, context: Tensor | None = None) -> list[Deferred]:
    return [
        Deferred(
            network,
            (randn(4, 3, seed=t), (randn(4, 3, seed=t + 50) if context is None else context,)),
            (4, 2),
        )
        for t in range(count)
    ]


@pytest.mark.parametrize("context", [None, randn(4, 3, seed=99)])
def test_stacking_calls_the_network_once(context: Tensor | None) -> None:
    network = Counted()
    values = deferred(network, 5, context=context)
    together = stack(values)
    assert network.calls == 1
    alone = torch.stack([force(value) for value in values])
    assert together.shape == (5, 4, 2)
    close(together, alone)
    leaves = list(network.parameters())
    for mine, theirs in zip(
        torch.autograd.grad(together.square().sum(), leaves),
        torch.autograd.grad(alone.square().sum(), leaves),
        strict=True,
    ):
        close(mine, theirs)


def test_a_value_is_computed_once() -> None:
    network = Counted()
    (value,) = deferred(network, 1)
    assert value.pending and value.shape == (4, 2)
    assert force(value) is force(value)
    assert not value.pending and network.calls == 1


@pytest.mark.parametrize("wanted", [True, False])
def test_a_value_has_the_graph_of_where_it_was_deferred(wanted: bool) -> None:
    """Samplers force it with gradients off; the density that is taken later needs them."""
    with torch.set_grad_enabled(wanted):
        (value,) = deferred(Counted(), 1)
    with torch.set_grad_enabled(not wanted):
        assert force(value).requires_grad == wanted


def test_tensors_are_forced_and_stacked_as_they_are() -> None:
    x, y = randn(2), randn(2, seed=1)
    assert force(x) is x
    assert torch.equal(stack([x, y]), torch.stack([x, y]))


def test_what_cannot_be_stacked_together_is_computed_one_by_one() -> None:
    a, b = Counted(), Counted()
    two_networks: list[Tensor | Lazy] = [*deferred(a, 2), *deferred(b, 1)]
    with_a_tensor: list[Tensor | Lazy] = [*deferred(a, 2), randn(4, 2)]
    partly_computed: list[Tensor | Lazy] = [*deferred(a, 3)]
    force(partly_computed[1])
    for values in (two_networks, with_a_tensor, partly_computed):
        close(stack(values), torch.stack([force(value) for value in values]))


def test_inputs_that_gain_particles_broadcast() -> None:
    network = Counted()
    values = [
        Deferred(network, (randn(4, 3), ()), (4, 2)),
        Deferred(network, (randn(5, 4, 3, seed=1), ()), (5, 4, 2)),
    ]
    together = stack(values)
    close(together[0], force(values[0]).expand(5, 4, 2))
    close(together[1], force(values[1]))


@pytest.mark.parametrize("particles", [(), (5,)])
def test_numbers_may_lack_particles_as_vectors_may(particles: tuple[int, ...]) -> None:
    """Inputs and results without a dimension of their own, such as counts and log-odds."""

    def network(h: Tensor, number: Tensor) -> Tensor:
        return h.sum(-1) * number

    values = [
        Deferred(
            network,
            (randn(*particles, 4, 3, seed=t), randn(4, seed=t + 9)),
            (*particles, 4),
            event_dim=0,
            events=(1, 0),
        )
        for t in range(6)
    ]
    close(stack(values), torch.stack([force(value) for value in values]))


@pytest.mark.parametrize("particles", [(), (5,)])
@pytest.mark.parametrize("event_dim", [1, 3])
def test_maps_and_vectors_keep_their_dimensions(
    event_dim: int, particles: tuple[int, ...]
) -> None:
    """Whichever of them have particles, and whatever the result is."""

    def network(h: Tensor, c: tuple[Tensor, ...]) -> Tensor:
        return h * c[0][..., None, None] if event_dim == 3 else h.sum((-2, -1)) * c[0]

    shape = (*particles, 4, 3, 2, 2)[: -2 if event_dim == 1 else None]
    for h_lead, c_lead in ((particles, ()), ((), particles)):
        values = [
            Deferred(
                network,
                (randn(*h_lead, 4, 3, 2, 2, seed=t), (randn(*c_lead, 4, 3, seed=t + 9),)),
                shape,
                event_dim,
                (3, (1,)),
            )
            for t in range(5)
        ]
        together = stack(values)
        close(together, torch.stack([force(value) for value in values]))


def test_frames_are_stacked_before_the_features() -> None:
    frames = [randn(4, 3, seed=t) for t in range(5)]
    assert torch.equal(stack_frames(frames), torch.stack(frames, 1))
    particles = [frames[0], *(x.expand(2, 4, 3) for x in frames[1:])]
    assert torch.equal(stack_frames(particles), torch.stack(frames, 1).expand(2, 4, 5, 3))
