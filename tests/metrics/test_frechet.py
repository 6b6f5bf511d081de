"""The Fréchet distance against closed forms, for samples whose moments are exact."""

import math

import pytest
import torch
from torch import Tensor

from pyrovp.metrics import frechet_distance


def covariance(size: int) -> Tensor:
    """A random covariance that commutes with no other one here."""
    root = torch.randn(size, size, dtype=torch.float64)
    return root @ root.T + 0.1 * torch.eye(size, dtype=torch.float64)


def power(matrix: Tensor, exponent: float) -> Tensor:
    values, vectors = torch.linalg.eigh(matrix)
    return vectors @ torch.diag(values.clamp(min=0) ** exponent) @ vectors.T


def samples(count: int, mean: Tensor, cov: Tensor) -> Tensor:
    """[count, D] whose sample mean and covariance (N - 1) are the given ones, not only nearly."""
    draws = torch.randn(count, len(mean), dtype=torch.float64)
    draws -= draws.mean(0)
    draws = draws @ power(torch.cov(draws.T).view(2 * cov.shape[:1]), -0.5) @ power(cov, 0.5)
    return draws + mean


def test_samples_have_their_moments() -> None:
    mean, cov = torch.randn(4, dtype=torch.float64), covariance(4)
    drawn = samples(9, mean, cov)
    torch.testing.assert_close(drawn.mean(0), mean)
    torch.testing.assert_close(torch.cov(drawn.T), cov)


@pytest.mark.parametrize(("size", "n", "m"), [(1, 5, 3), (3, 4, 50), (6, 20, 7)])
def test_closed_form(size: int, n: int, m: int) -> None:
    """|m|^2 + tr(S_a + S_b - 2 (S_a^1/2 S_b S_a^1/2)^1/2), by eigenvalues."""
    a, b = covariance(size), covariance(size)
    mean = torch.randn(2, size, dtype=torch.float64)
    cross = power(power(a, 0.5) @ b @ power(a, 0.5), 0.5)
    expected = (mean[0] - mean[1]).square().sum() + torch.trace(a + b - 2 * cross)
    found = frechet_distance(samples(n, mean[0], a), samples(m, mean[1], b))
    assert found.shape == () and found.dtype == torch.float64
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)


def test_two_dimensions_by_hand() -> None:
    """The root's trace of a 2 x 2 product P is sqrt(tr P + 2 sqrt(det P))."""
    a = torch.tensor([[2.0, 1], [1, 2]], dtype=torch.float64)
    b = torch.tensor([[1.0, 0], [0, 4]], dtype=torch.float64)  # P = [[2, 4], [1, 8]]
    mean = torch.tensor([3.0, -4], dtype=torch.float64)
    found = frechet_distance(samples(8, mean, a), samples(6, 0 * mean, b))
    expected = 25 + 4 + 5 - 2 * math.sqrt(10 + 2 * math.sqrt(12))
    assert found.item() == pytest.approx(expected, rel=1e-10)


def test_commuting_covariances_by_hand() -> None:
    """Diagonal ones: the sum of squared differences of standard deviations."""
    mean = torch.zeros(3, dtype=torch.float64)
    a, b = (torch.diag(torch.tensor(v, dtype=torch.float64)) for v in ([1, 4, 9], [4, 4, 1]))
    found = frechet_distance(samples(9, mean, a), samples(9, mean, b))
    assert found.item() == pytest.approx(1 + 0 + 4, rel=1e-10)


def test_a_shift_alone() -> None:
    drawn = torch.randn(7, 20, dtype=torch.float64)
    shift = torch.randn(20, dtype=torch.float64)
    expected = shift.square().sum()
    torch.testing.assert_close(frechet_distance(drawn, drawn + shift), expected)


@pytest.mark.parametrize(("n", "m"), [(4, 6), (40, 6), (2, 2), (50, 60)])
def test_laws(n: int, m: int) -> None:
    """0 for equal sets, symmetric, at least 0, blind to order; for N < D too (D = 30)."""
    a = 3 + 5 * torch.randn(n, 30, dtype=torch.float64)
    b = torch.randn(m, 30, dtype=torch.float64)
    scale = a.square().sum().item()
    assert 0 <= frechet_distance(a, a).item() < 1e-12 * scale
    assert 0 <= frechet_distance(a, a.flip(0)).item() < 1e-12 * scale
    forth, back = frechet_distance(a, b), frechet_distance(b, a)
    assert forth > 1
    torch.testing.assert_close(forth, back)


def test_rounding_makes_nothing_negative() -> None:
    """Of 40 equal sets in another order about a quarter would come out below 0 by 1e-15."""
    sets = [torch.randn(12, 5, dtype=torch.float64) for _ in range(40)]
    distances = [frechet_distance(drawn, drawn.flip(0)).item() for drawn in sets]
    assert min(distances) == 0 and max(distances) < 1e-12


def test_fewer_samples_than_dimensions_by_hand() -> None:
    """Two pairs on orthogonal axes of 100: no shared direction, so the variances add up."""
    a, b = torch.zeros(2, 100), torch.zeros(2, 100)
    a[:, 3] = torch.tensor([-1.0, 1])  # variance 2
    b[:, 7] = torch.tensor([-3.0, 3])  # variance 18
    assert frechet_distance(a, b).item() == pytest.approx(20)
    b[:, 3], b[:, 7] = b[:, 7], 0.0  # the same axis: (sqrt 18 - sqrt 2)^2
    assert frechet_distance(a, b).item() == pytest.approx(8)


def test_float32_features_are_compared_in_float64() -> None:
    """Far from the origin squares of float32 would have lost the variances."""
    a = (1e4 + torch.randn(50, 8)).float()
    b = (1e4 + 2 * torch.randn(50, 8)).float()
    expected = frechet_distance(a.double() - 1e4, b.double() - 1e4)
    torch.testing.assert_close(frechet_distance(a, b), expected, rtol=1e-6, atol=1e-9)


def test_bias_at_few_samples() -> None:
    """One distribution, two sets: far from 0, and less so with more samples."""
    few, many = (
        frechet_distance(torch.randn(n, 20), torch.randn(n, 20)).item() for n in (30, 1000)
    )
    assert few > 10 * many > 0


def test_refusals() -> None:
    with pytest.raises(ValueError, match="at least 2 samples"):
        frechet_distance(torch.rand(1, 4), torch.rand(5, 4))
    with pytest.raises(ValueError, match=r"features b .*\[5\]"):
        frechet_distance(torch.rand(5, 4), torch.rand(5))
    with pytest.raises(ValueError, match="4 and of 3 dimensions"):
        frechet_distance(torch.rand(5, 4), torch.rand(5, 3))
    broken = torch.rand(5, 4)
    broken[2, 1] = torch.inf
    with pytest.raises(ValueError, match=r"samples \[2\]"):
        frechet_distance(torch.rand(5, 4), broken)
