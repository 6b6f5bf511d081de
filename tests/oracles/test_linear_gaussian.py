"""The linear-Gaussian oracle: two ways to the evidence, and what the two guides reach of it."""

import math

import pytest
import torch
import torch.distributions as td
from torch import Tensor

from tests.oracles import linear_gaussian as lg
from tests.oracles.tiny import close, randn

SYSTEMS = [(1, 1, True), (2, 1, True), (2, 3, False), (3, 2, False)]


@pytest.mark.parametrize(("state", "observed", "diagonal"), SYSTEMS)
@pytest.mark.parametrize("frames", [1, 2, 6])
def test_identities(state: int, observed: int, diagonal: bool, frames: int) -> None:
    system = lg.random_system(state=state, observed=observed, seed=4, diagonal=diagonal)
    x = randn(frames, observed, seed=5)
    evidence = lg.evidence_kalman(system, x)
    close(evidence, lg.evidence_joint(system, x))
    smoothing = lg.expected_elbo(system, lg.smoothing_guide(system, x), x)
    close(smoothing, evidence)
    filtering = lg.expected_elbo(system, lg.filtering_guide(system, x), x)
    close(filtering, lg.filtering_elbo(system, x))
    if frames == 1:
        close(filtering, evidence)
    else:
        assert filtering < evidence - 1e-3


def test_elbo_matches_its_monte_carlo_estimate() -> None:
    """10 000 samples; fails by chance once in 16 000 (4 standard errors)."""
    system = lg.random_system(state=2, observed=1, seed=4)
    x, samples = randn(5, 1, seed=5), 10_000
    guide = lg.filtering_guide(system, x)

    def normal(mean: Tensor, cov: Tensor) -> td.MultivariateNormal:
        return td.MultivariateNormal(mean, cov)

    log_ratio, z = torch.zeros(samples).double(), torch.zeros(samples, 2).double()
    for t in range(5):
        q = normal(z @ guide.A[t].T + guide.b[t], guide.C[t])
        z_next = q.sample()
        prior = normal(z @ system.F.T + system.f, system.Q) if t else normal(system.m, system.P)
        frame = normal(z_next @ system.H.T + system.g, system.R)
        log_ratio += frame.log_prob(x[t]) + prior.log_prob(z_next) - q.log_prob(z_next)
        z = z_next
    error = float(log_ratio.std()) / math.sqrt(samples)
    exact = lg.filtering_elbo(system, x)
    assert abs(float(log_ratio.mean() - exact)) < 4 * error
