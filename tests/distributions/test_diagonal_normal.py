"""The packed diagonal Gaussian beyond the contract."""

import torch
import torch.distributions as td

from pyrovp.distributions import DiagonalNormal, normal_kl
from pyrovp.lazy import Deferred
from tests.oracles.tiny import close, randn


def parameters(*batch: int, seed: int = 0) -> torch.Tensor:
    return torch.cat((randn(*batch, 3, seed=seed), randn(*batch, 3, seed=seed + 1).exp()), -1)


def test_packing() -> None:
    mean, std = randn(4, 3), randn(4, 3, seed=1).exp()
    d = DiagonalNormal.of(mean, std)
    assert torch.equal(d.parameters, torch.cat((mean, std), -1))
    assert torch.equal(d.mean, mean)
    assert torch.equal(d.stddev, std)
    close(d.variance, std**2)


def test_entropy_is_torchs() -> None:
    d = DiagonalNormal(parameters(4))
    close(d.entropy(), td.Independent(td.Normal(d.mean, d.stddev), 1).entropy())


def test_a_draw_is_mean_and_std_times_noise() -> None:
    p = parameters(4)
    torch.manual_seed(1)
    z = DiagonalNormal(p).rsample()
    torch.manual_seed(1)
    noise = torch.randn(4, 3, dtype=torch.float64)
    close(z, p[:, :3] + p[:, 3:] * noise)


def test_kl_by_hand() -> None:
    """N(1, 2²) against N(0, 1): (4 + 1 - 1) / 2 - log 2."""
    q = torch.tensor([1.0, 2.0], dtype=torch.float64)
    p = torch.tensor([0.0, 1.0], dtype=torch.float64)
    close(normal_kl(q, p), 2 - torch.tensor(2.0, dtype=torch.float64).log())


def test_kl_broadcasts_over_particles() -> None:
    q, p = parameters(5, 4), parameters(4, seed=7)
    close(normal_kl(q, p), torch.stack([normal_kl(one, p) for one in q]))


def test_parameters_to_be_are_computed_when_they_are_read() -> None:
    calls = []

    def prior(h: torch.Tensor) -> torch.Tensor:
        calls.append(h)
        return h * 2

    h = parameters(4)
    d = DiagonalNormal(Deferred(prior, (h,), (4, 6)))
    assert (d.batch_shape, d.event_shape) == ((4,), (3,))
    d.expand((4,))
    assert not calls, "a plate asks for the shape only"
    assert torch.equal(d.parameters, 2 * h)
    d.log_prob(d.rsample())
    assert len(calls) == 1
