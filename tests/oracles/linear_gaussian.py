"""A linear-Gaussian state space model, where evidence, posterior and ELBO are known exactly.

    z_1 ~ N(m, P)    z_t = F z_{t-1} + f + N(0, Q)    x_t = H z_t + g + N(0, R)

A guide q(z_1) = N(b_1, C_1), q(z_t | z_{t-1}) = N(A_t z_{t-1} + b_t, C_t) has a Gaussian joint, so
that its ELBO is a sum of expected log densities of Gaussians:

    E log N(y; 0, V) = -1/2 [ dim y log 2 pi + log|V| + tr(V^-1 (Cov y + E y E y')) ]

- The smoothing guide is the posterior itself, q(z_t | z_{t-1}) = p(z_t | z_{t-1}, x_{1:T}): its
  ELBO is log p(x).
- The filtering guide q(z_t | z_{t-1}) = p(z_t | z_{t-1}, x_t) sees no future frame. As
  p(x_t | z_t) p(z_t | z_{t-1}) / q(z_t | z_{t-1}) = p(x_t | z_{t-1}) whatever z_t is, its ELBO is
  sum_t E_q log p(x_t | z_{t-1}). It stays below log p(x) by the gap
  `evidence_kalman(...) - filtering_elbo(...)`, which is exact.

One sequence at a time: x is [T, X]. Everything is float64.
"""

__all__ = [
    "Guide",
    "LinearGaussian",
    "evidence_joint",
    "evidence_kalman",
    "expected_elbo",
    "filtering_elbo",
    "filtering_guide",
    "random_system",
    "smoothing_guide",
]

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor


@dataclass(frozen=True)
class LinearGaussian:
    """The system's constants; P, Q and R are covariances.

    Shapes:
        m, f: [S]
        P, F, Q: [S, S]
        H: [X, S]
        g: [X]
        R: [X, X]
    """

    m: Tensor
    P: Tensor
    F: Tensor
    f: Tensor
    Q: Tensor
    H: Tensor
    g: Tensor
    R: Tensor


class Guide(NamedTuple):
    """q(z_t | z_{t-1}) = N(A_t z_{t-1} + b_t, C_t), with A_1 = 0.

    Shapes:
        A, C: [T, S, S]
        b: [T, S]
    """

    A: Tensor
    b: Tensor
    C: Tensor


def random_system(
    *, state: int, observed: int, seed: int = 0, diagonal: bool = True
) -> LinearGaussian:
    """A stable random system; `diagonal` makes P, Q and R diagonal, as in most neural models."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, dtype=torch.float64, generator=generator)

    def covariance(size: int) -> Tensor:
        root = normal(size, size) * (0.0 if diagonal else 0.4)
        return root @ root.T + torch.diag(0.3 + normal(size).abs())

    F = normal(state, state)
    F = 0.9 * F / torch.linalg.matrix_norm(F, 2)
    return LinearGaussian(
        m=normal(state),
        P=covariance(state),
        F=F,
        f=0.3 * normal(state),
        Q=covariance(state),
        H=normal(observed, state),
        g=normal(observed),
        R=covariance(observed),
    )


def _expected_log_normal(mean: Tensor, cov: Tensor, variance: Tensor) -> Tensor:
    """E log N(y; 0, V) for y with the given mean and covariance."""
    size = mean.shape[0]
    second = cov + torch.outer(mean, mean)
    trace = torch.trace(torch.linalg.solve(variance, second))
    return -0.5 * (size * math.log(2 * math.pi) + torch.logdet(variance) + trace)


def _joint(system: LinearGaussian, frames: int) -> tuple[Tensor, Tensor]:
    """Mean [T S] and covariance [T S, T S] of (z_1, ..., z_T)."""
    S = system.m.shape[0]
    mean = torch.zeros(frames, S, dtype=torch.float64)
    cov = torch.zeros(frames, S, frames, S, dtype=torch.float64)
    mean[0], cov[0, :, 0] = system.m, system.P
    for t in range(1, frames):
        mean[t] = system.F @ mean[t - 1] + system.f
        cov[t, :, t] = system.F @ cov[t - 1, :, t - 1] @ system.F.T + system.Q
        for s in range(t):
            cov[t, :, s] = system.F @ cov[t - 1, :, s]
            cov[s, :, t] = cov[t, :, s].T
    return mean.flatten(), cov.reshape(frames * S, frames * S)


def _observed(system: LinearGaussian, frames: int) -> tuple[Tensor, Tensor, Tensor]:
    """x = M z + M0 + noise for the whole sequence: M [T X, T S], M0 [T X], noise covariance."""
    eye = torch.eye(frames, dtype=torch.float64)
    return torch.kron(eye, system.H), system.g.repeat(frames), torch.kron(eye, system.R)


def evidence_joint(system: LinearGaussian, x: Tensor) -> Tensor:
    """log p(x) from the joint Gaussian of all frames."""
    mean, cov = _joint(system, x.shape[0])
    M, M0, noise = _observed(system, x.shape[0])
    joint = torch.distributions.MultivariateNormal(M @ mean + M0, M @ cov @ M.T + noise)
    return joint.log_prob(x.flatten())


def evidence_kalman(system: LinearGaussian, x: Tensor) -> Tensor:
    """log p(x) = sum_t log p(x_t | x_{1:t-1}) by the Kalman filter."""
    mean, cov = system.m, system.P
    total = torch.zeros((), dtype=torch.float64)
    for t in range(x.shape[0]):
        if t > 0:
            mean = system.F @ mean + system.f
            cov = system.F @ cov @ system.F.T + system.Q
        innovation = x[t] - system.H @ mean - system.g
        variance = system.H @ cov @ system.H.T + system.R
        total = total + _expected_log_normal(innovation, torch.zeros_like(variance), variance)
        gain = torch.linalg.solve(variance, system.H @ cov).T
        mean = mean + gain @ innovation
        cov = cov - gain @ system.H @ cov
    return total


def smoothing_guide(system: LinearGaussian, x: Tensor) -> Guide:
    """p(z_t | z_{t-1}, x_{1:T}) for every t, from the joint posterior of all states."""
    T, S = x.shape[0], system.m.shape[0]
    mean, cov = _joint(system, T)
    M, M0, noise = _observed(system, T)
    gain = torch.linalg.solve(M @ cov @ M.T + noise, M @ cov).T
    mean = (mean + gain @ (x.flatten() - M @ mean - M0)).reshape(T, S)
    cov = (cov - gain @ M @ cov).reshape(T, S, T, S)
    A, b, C = [torch.zeros_like(system.P)], [mean[0]], [cov[0, :, 0]]
    for t in range(1, T):
        A_t = torch.linalg.solve(cov[t - 1, :, t - 1], cov[t - 1, :, t]).T
        A.append(A_t)
        b.append(mean[t] - A_t @ mean[t - 1])
        C.append(cov[t, :, t] - A_t @ cov[t - 1, :, t])
    return Guide(torch.stack(A), torch.stack(b), torch.stack(C))


def filtering_guide(system: LinearGaussian, x: Tensor) -> Guide:
    """p(z_t | z_{t-1}, x_t) for every t: the one-step posterior, blind to later frames."""
    S = system.m.shape[0]
    A, b, C = [], [], []
    for t in range(x.shape[0]):
        transition = system.F if t > 0 else torch.zeros_like(system.P)
        offset, cov = (system.f, system.Q) if t > 0 else (system.m, system.P)
        gain = torch.linalg.solve(system.H @ cov @ system.H.T + system.R, system.H @ cov).T
        keep = torch.eye(S, dtype=torch.float64) - gain @ system.H
        A.append(keep @ transition)
        b.append(keep @ offset + gain @ (x[t] - system.g))
        C.append(keep @ cov)
    return Guide(torch.stack(A), torch.stack(b), torch.stack(C))


def expected_elbo(system: LinearGaussian, guide: Guide, x: Tensor) -> Tensor:
    """E_q [log p(x, z) - log q(z)] in closed form, for any guide of the family."""
    S = system.m.shape[0]
    mean = torch.zeros(S, dtype=torch.float64)
    cov = torch.zeros(S, S, dtype=torch.float64)
    total = torch.zeros((), dtype=torch.float64)
    for t in range(x.shape[0]):
        A, b, C = guide.A[t], guide.b[t], guide.C[t]
        transition = system.F if t > 0 else torch.zeros_like(system.P)
        offset, variance = (system.f, system.Q) if t > 0 else (system.m, system.P)
        # z_t - (F z_{t-1} + f) = (A - F) z_{t-1} + (b - f) + N(0, C)
        slope = A - transition
        residual = slope @ mean + b - offset
        total = total + _expected_log_normal(residual, slope @ cov @ slope.T + C, variance)
        total = total + 0.5 * (S * math.log(2 * math.pi * math.e) + torch.logdet(C))
        mean, cov = A @ mean + b, A @ cov @ A.T + C
        error = x[t] - system.H @ mean - system.g
        total = total + _expected_log_normal(error, system.H @ cov @ system.H.T, system.R)
    return total


def filtering_elbo(system: LinearGaussian, x: Tensor) -> Tensor:
    """sum_t E_q log p(x_t | z_{t-1}) under the filtering guide's own joint."""
    guide = filtering_guide(system, x)
    predicted = system.H @ system.m + system.g
    variance = system.H @ system.P @ system.H.T + system.R
    nothing = torch.zeros_like(variance)
    total = _expected_log_normal(x[0] - predicted, nothing, variance)
    mean, cov = guide.b[0], guide.C[0]
    variance = system.H @ system.Q @ system.H.T + system.R
    HF = system.H @ system.F
    for t in range(1, x.shape[0]):
        error = x[t] - HF @ mean - system.H @ system.f - system.g
        total = total + _expected_log_normal(error, HF @ cov @ HF.T, variance)
        A, b, C = guide.A[t], guide.b[t], guide.C[t]
        mean, cov = A @ mean + b, A @ cov @ A.T + C
    return total
