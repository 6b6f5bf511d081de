"""The Fréchet distance between two sets of features, each taken for a Gaussian.

    d^2 = |m_a - m_b|^2 + tr(S_a) + tr(S_b) - 2 tr((S_a S_b)^(1/2))

with the sample means m and covariances S (N - 1). No root of a product of covariances is taken,
which is where other programs get complex and negative numbers. With the centred features divided
by sqrt(N - 1) as the rows of A and B, S_a = A'A and S_b = B'B, so

    tr(S_a) = |A|^2,        tr((S_a S_b)^(1/2)) = sum of the singular values of A B',

since the eigenvalues of A'A B'B are those of (A B')(A B')'. A product by an orthogonal matrix
changes no singular value: A = Q R is replaced by R, so the cost is that of min(N, D) rows.
It works for fewer features than dimensions, N < D.

The distance between finite samples of the *same* distribution is far from 0, the more so the
fewer they are. So a distance is quoted with N, and next to the distance of two halves of the
real features.

Reference:
    The Fréchet distance between multivariate normal distributions (Dowson, Landau, 1982),
    https://doi.org/10.1016/0047-259X(82)90077-X
"""

__all__ = ["frechet_distance"]

import torch
from torch import Tensor


def frechet_distance(a: Tensor, b: Tensor) -> Tensor:
    """Squared Fréchet distance between Gaussians with the moments of two sets of features.

    Args:
        a: Features, one row a sample.
        b: Others of the same size; their number may differ.

    Shapes:
        a: [N, D]
        b: [M, D]
        returns: [], float64, at least 0

    Raises:
        ValueError: If a set has fewer than 2 rows, the sizes differ, or a feature is not finite.

    Example:
        >>> a = torch.tensor([[0.0], [2.0]])  # mean 1, variance 2
        >>> b = torch.tensor([[-2.0], [2.0]])  # mean 0, variance 8
        >>> round(frechet_distance(a, b).item(), 6)  # 1 + 2 + 8 - 2 sqrt(16)
        3.0
    """
    for name, features in (("a", a), ("b", b)):
        if features.ndim != 2 or len(features) < 2 or features.shape[1] < 1:
            raise ValueError(
                f"features {name} must be [N, D] of at least 2 samples, since a covariance is "
                f"taken; got the shape {list(features.shape)}"
            )
        if not features.isfinite().all():
            rows = (~features.isfinite()).any(1).nonzero().flatten().tolist()
            raise ValueError(
                f"features {name} must be finite; those of the samples {rows[:10]} (first ten) "
                "are not; look at these samples' videos"
            )
    if a.shape[1] != b.shape[1]:
        raise ValueError(
            f"features of {a.shape[1]} and of {b.shape[1]} dimensions cannot be compared; take "
            "both from the same network"
        )
    a, b = a.double(), b.double()
    root_a, root_b = _root(a), _root(b)
    shared = torch.linalg.svdvals(root_a @ root_b.T).sum()
    moved = (a.mean(0) - b.mean(0)).square().sum()
    spread = root_a.square().sum() + root_b.square().sum()
    # Never negative but for rounding, which is what equal sets leave.
    return (moved + spread - 2 * shared).clamp(min=0)


def _root(features: Tensor) -> Tensor:
    """R of [min(N, D), D] with R'R the sample covariance of float64 features [N, D]."""
    centred = (features - features.mean(0)) / (len(features) - 1) ** 0.5
    return torch.linalg.qr(centred, mode="r").R
