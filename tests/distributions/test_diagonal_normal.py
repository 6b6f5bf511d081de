"""The packed diagonal Gaussian beyond the contract."""

import pytest
import torch
import torch.distributions as td

from pyrovp.distributions import DiagonalNormal, normal_kl
from pyrovp.lazy import Deferred
from tests.oracles.tiny import close, randn

MAP = (2, 2)
PLACES = pytest.mark.parametrize("place", [(), MAP], ids=["vectors", "maps"])


def parameters(*batch: int, seed: int = 0, place: tuple[int, ...] = ()) -> torch.Tensor:
    mean, raw = (randn(*batch, 3, *place, seed=seed + i) for i in range(2))
    return torch.cat((mean, raw.exp()), -1 - len(place))


@PLACES
def test_packing(place: tuple[int, ...]) -> None:
    mean, std = randn(4, 3, *place), randn(4, 3, *place, seed=1).exp()
    d = DiagonalNormal.of(mean, std, 1 + len(place))
    assert torch.equal(d.parameters, torch.cat((mean, std), 1))
    assert torch.equal(d.mean, mean)
    assert torch.equal(d.stddev, std)
    close(d.variance, std**2)


@PLACES
def test_entropy_is_torchs(place: tuple[int, ...]) -> None:
    d = DiagonalNormal(parameters(4, place=place), 1 + len(place))
    close(d.entropy(), td.Independent(td.Normal(d.mean, d.stddev), d.event_dim).entropy())


@PLACES
def test_a_draw_is_mean_and_std_times_noise(place: tuple[int, ...]) -> None:
    p = parameters(4, place=place)
    torch.manual_seed(1)
    z = DiagonalNormal(p, 1 + len(place)).rsample()
    torch.manual_seed(1)
    noise = torch.randn(4, *place, 3, dtype=torch.float64).movedim(-1, 1)
    close(z, p[:, :3] + p[:, 3:] * noise)


def test_a_drawn_map_is_stored_as_its_mean() -> None:
    """Channels last where networks leave them so: what reads it need not turn it again."""
    p = parameters(4, place=MAP).contiguous(memory_format=torch.channels_last)
    d = DiagonalNormal(p, 3)
    assert d.mean.stride() == (24, 1, 12, 6)
    for z in (d.rsample(), d.sample()):
        assert z.is_contiguous(memory_format=torch.channels_last)


def test_kl_by_hand() -> None:
    """N(1, 2²) against N(0, 1): (4 + 1 - 1) / 2 - log 2."""
    q = torch.tensor([1.0, 2.0], dtype=torch.float64)
    p = torch.tensor([0.0, 1.0], dtype=torch.float64)
    close(normal_kl(q, p), 2 - torch.tensor(2.0, dtype=torch.float64).log())


@PLACES
def test_kl_broadcasts_over_particles(place: tuple[int, ...]) -> None:
    q, p = parameters(5, 4, place=place), parameters(4, seed=7, place=place)
    events = 1 + len(place)
    expected = torch.stack([normal_kl(one, p, events) for one in q])
    close(normal_kl(q, p, events), expected)
    assert expected.shape == (5, 4)


def test_kl_of_maps_is_that_of_all_their_values() -> None:
    q, p = parameters(4, place=MAP), parameters(4, seed=7, place=MAP)
    a, b = (torch.cat([half.flatten(1) for half in x.chunk(2, 1)], 1) for x in (q, p))
    close(normal_kl(q, p, 3), normal_kl(a, b))


@PLACES
def test_parameters_to_be_are_computed_when_they_are_read(place: tuple[int, ...]) -> None:
    calls = []

    def prior(h: torch.Tensor) -> torch.Tensor:
        calls.append(h)
        return h * 2

    h = parameters(4, place=place)
    d = DiagonalNormal(Deferred(prior, (h,), (4, 6, *place)), 1 + len(place))
    assert (d.batch_shape, d.event_shape) == ((4,), (3, *place))
    d.expand((4,))
    assert not calls, "a plate asks for the shape only"
    assert torch.equal(d.parameters, 2 * h)
    d.log_prob(d.rsample())
    assert len(calls) == 1
