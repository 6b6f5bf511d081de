r"""A linear-Gaussian model, whose evidence is known, as Pyro programs over the library's sites.

- The exact posterior's log-ratio log p(x, z) - log q(z) is the evidence on *every* draw.
- With KLs in closed form only the mean over draws is. All terms of the bound are quadratic in the
  guide's noise, so the mean over the 2n points ±√n e_i of an n-dimensional noise is the mean over
  all noise, exactly: no test here is statistical.
- The filtering guide stays below the evidence by its closed-form gap.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.infer import Trace_ELBO, TraceMeanField_ELBO
from pyro.poutine.messenger import Messenger
from torch import Tensor, nn

from pyrovp import GRU, Filtering, Gaussian, GaussianFrames, Hierarchy, LatentDynamics, Level
from pyrovp.distributions import DiagonalNormal, IsotropicFrames
from pyrovp.infer import HierarchyELBO
from pyrovp.posteriors import PosteriorHead
from pyrovp.programs import PLATE
from pyrovp.sites import FRAMES, STATE, parse, site
from pyrovp.sizes import Size
from pyrovp.state import Context
from pyrovp.wiring import Dynamics, Wiring
from tests.oracles import linear_gaussian as lg
from tests.oracles.tiny import close, randn

T, X, STD = 5, 3, 0.7
Family = Callable[[Tensor, Tensor], dist.TorchDistribution]
Program = Callable[[Tensor], Any]


class Cubature(Messenger):
    """Draws the states of 2n sequences from the points ±√n e_i of the n-dimensional noise."""

    def __init__(self, size: int) -> None:
        super().__init__()
        n = T * size
        points = torch.cat((torch.eye(n), -torch.eye(n))).double() * n**0.5
        self.noise = points.reshape(2 * n, T, size)

    def _pyro_sample(self, msg: dict) -> None:
        where = parse(msg["name"])
        if where is not None and msg["value"] is None:
            fn, noise = msg["fn"], self.noise[:, where.t]
            if isinstance(fn, dist.MultivariateNormal):
                msg["value"] = fn.loc + (fn.scale_tril @ noise.unsqueeze(-1)).squeeze(-1)
            else:
                msg["value"] = fn.mean + fn.stddev * noise
            msg["done"] = True


def diagonal(mean: Tensor, covariance: Tensor) -> dist.TorchDistribution:
    """The level's own belief; for diagonal covariances."""
    return DiagonalNormal.of(mean, covariance.diagonal().sqrt().expand(mean.shape))


def full(mean: Tensor, covariance: Tensor) -> dist.TorchDistribution:
    """Has no closed-form KL against a `DiagonalNormal`."""
    return dist.MultivariateNormal(mean, covariance.expand(*mean.shape[:-1], -1, -1))


def problem(size: int) -> tuple[lg.LinearGaussian, Tensor]:
    """A system with isotropic frame noise, and a sequence x [T, X]."""
    system = lg.random_system(state=size, observed=X, seed=4)
    return replace(system, R=STD**2 * torch.eye(X).double()), randn(T, X, seed=5)


def as_video(x: Tensor, batch: int) -> Tensor:
    """[T, X] -> `batch` copies [B, T, 1, 1, X]."""
    return x[:, None, None].expand(batch, T, 1, 1, X)


def draw(t: int, belief: dist.TorchDistribution) -> Tensor:
    return pyro.sample(site(STATE, 1, t), belief)


def model_of(system: lg.LinearGaussian, family: Family) -> Program:
    def model(video: Tensor) -> None:
        states: list[Tensor] = []
        with pyro.plate(PLATE, video.shape[0], dim=-1):
            for t in range(T):
                if t == 0:
                    belief = family(system.m.expand(video.shape[0], -1), system.P)
                else:
                    belief = family(states[-1] @ system.F.T + system.f, system.Q)
                states.append(draw(t, belief))
            means = torch.stack(states, -2) @ system.H.T + system.g
            frames = IsotropicFrames(means[..., None, None, :], STD)
            pyro.sample(FRAMES, frames, obs=video)

    return model


def forward_in_time(guide: lg.Guide, family: Family) -> Program:
    """q(z_0) q(z_1 | z_0) q(z_2 | z_1) ..."""

    def program(video: Tensor) -> None:
        z = torch.zeros(video.shape[0], guide.b.shape[1]).double()
        with pyro.plate(PLATE, video.shape[0], dim=-1):
            for t in range(T):
                z = draw(t, family(z @ guide.A[t].T + guide.b[t], guide.C[t]))

    return program


def backward_in_time(guide: lg.Guide, family: Family) -> Program:
    """The same joint, drawn the other way: q(z_T) q(z_{T-1} | z_T) ...

    What the model had drawn before a state, this guide draws after it.
    """
    mean, cov = [guide.b[0]], [guide.C[0]]
    for t in range(1, T):
        mean.append(guide.A[t] @ mean[-1] + guide.b[t])
        cov.append(guide.A[t] @ cov[-1] @ guide.A[t].T + guide.C[t])

    def program(video: Tensor) -> None:
        z = mean[-1].expand(video.shape[0], -1)
        with pyro.plate(PLATE, video.shape[0], dim=-1):
            z = draw(T - 1, family(z, cov[-1]))
            for t in reversed(range(T - 1)):
                gain = torch.linalg.solve(cov[t + 1], guide.A[t + 1] @ cov[t]).T
                belief = family(
                    mean[t] + (z - mean[t + 1]) @ gain.T, cov[t] - gain @ guide.A[t + 1] @ cov[t]
                )
                z = draw(t, belief)

    return program


def arbitrary_guide(system: lg.LinearGaussian, x: Tensor) -> lg.Guide:
    """Neither posterior nor filter."""
    A, b, C = lg.smoothing_guide(system, x)
    return lg.Guide(0.7 * A, b + 0.2, 1.5 * C)


# Families of prior and posterior, and the size of the state.
PAIRS: dict[str, tuple[Family, Family, int]] = {
    "closed form": (diagonal, diagonal, 1),
    "closed form, one by one": (full, full, 2),
    "sampled": (diagonal, full, 2),
}


@pytest.mark.parametrize("order", [forward_in_time, backward_in_time])
def test_exact_posterior_gives_the_evidence_on_every_draw(
    order: Callable[[lg.Guide, Family], Program],
) -> None:
    system, x = problem(2)
    model, guide = model_of(system, diagonal), order(lg.smoothing_guide(system, x), full)
    bound = HierarchyELBO().bound(model, guide, as_video(x, 20))
    assert float(bound.likelihood.std()) > 0.1, "the draws must differ"
    evidence = lg.evidence_kalman(system, x)
    close(bound.likelihood - bound.kl["z", 1], evidence.expand(20), atol=1e-9)


@pytest.mark.parametrize("order", [forward_in_time, backward_in_time])
@pytest.mark.parametrize("of", [lg.smoothing_guide, lg.filtering_guide, arbitrary_guide])
@pytest.mark.parametrize("pair", PAIRS)
def test_bound_in_mean(
    pair: str,
    of: Callable[[lg.LinearGaussian, Tensor], lg.Guide],
    order: Callable[[lg.Guide, Family], Program],
) -> None:
    prior, posterior, size = PAIRS[pair]
    system, x = problem(size)
    model, guide = model_of(system, prior), order(of(system, x), posterior)
    evidence = lg.evidence_kalman(system, x)
    if of is lg.smoothing_guide:
        expected = evidence
    elif of is lg.filtering_guide:
        expected = lg.filtering_elbo(system, x)
        assert expected < evidence - 0.1
    else:
        expected = lg.expected_elbo(system, of(system, x), x)
    bounds: list[Any] = [HierarchyELBO(), Trace_ELBO()]
    if order is forward_in_time:  # Pyro asks for the same order in both programs
        bounds.append(TraceMeanField_ELBO())
    batch = 2 * T * size
    for bound in bounds:
        with Cubature(size):
            loss = bound.differentiable_loss(model, guide, as_video(x, batch))
        close(-loss / batch, expected, atol=1e-9)


# The same model as a hierarchy of one level, with a wiring and a posterior head of its own.


class Frames(nn.Module):
    """Pixels as features."""

    features = X

    def forward(self, frames: Tensor) -> Tensor:
        return frames.flatten(1)


class LinearMean(nn.Module):
    """H z + g as frames."""

    def __init__(self, system: lg.LinearGaussian) -> None:
        super().__init__()
        self.system = system

    def forward(self, z: Tensor) -> Tensor:
        return (z @ self.system.H.T + self.system.g)[:, None, None]


class LinearWiring(Wiring):
    """The memory is the last state, and the prior is linear in it."""

    def __init__(self, system: lg.LinearGaussian) -> None:
        self.system = system

    def dynamics(self, level: Level, above: Dynamics | None, seen: Size | None = None) -> Dynamics:
        return LinearDynamics(self.system, level)


class LinearDynamics(Dynamics):
    def __init__(self, system: lg.LinearGaussian, level: Level) -> None:
        super().__init__()
        size = level.state.size
        self.receives: tuple[Size, ...] = ()
        self.hands_down = self.shows = self.knows = (size,)
        self.head = level.state.head(size)  # for posteriors that share the prior's; unused
        self.cell = level.memory.cell(size)  # says what the memory is; never steps
        self.F = nn.Parameter(system.F)
        self.system = system

    def advance(self, h: Tensor, z: Tensor) -> Tensor:
        return z

    def prior(self, h: Tensor, c: Context) -> Tensor:
        return packed(h @ self.F.T + self.system.f, self.system.Q)

    def shown(self, h: Tensor, c: Context) -> tuple[Tensor, ...]:
        return (h,)

    def known(self, h: Tensor, z: Tensor) -> tuple[Tensor, ...]:
        return (h,)

    def context(self, z: Tensor, h: Tensor, c: Context) -> Context:
        return (z,)


class OneStepPosterior(PosteriorHead, nn.Module):
    """p(z_t | z_{t-1}, x_t): the Kalman update of one step."""

    def __init__(self, system: lg.LinearGaussian) -> None:
        nn.Module.__init__(self)
        self.system = system
        S = system.H @ system.Q @ system.H.T + system.R
        self.gain = torch.linalg.solve(S, system.H @ system.Q).T

    def build(
        self, level: Level, shown: tuple[Size, ...], evidence: Size, given: int
    ) -> nn.Module:
        return self

    def early(self, evidence: Tensor, given: Tensor | None = None) -> Tensor:
        return (evidence - self.system.g) @ self.gain.T

    def forward(self, h: Tensor, early: Tensor, trunk: nn.Module) -> Tensor:
        keep = torch.eye(h.shape[-1]).double() - self.gain @ self.system.H
        predicted = h @ self.system.F.T + self.system.f
        return packed(predicted @ keep.T + early, keep @ self.system.Q)


class Smoothing:
    """The exact posterior as what stands in for the hierarchy's priors."""

    def __init__(self, guide: lg.Guide) -> None:
        self.guide = guide

    def belief(self, n: int, t: int, shown: tuple[Tensor, ...], trunk: nn.Module) -> Tensor:
        return packed(shown[0] @ self.guide.A[t].T + self.guide.b[t], self.guide.C[t])


def packed(mean: Tensor, covariance: Tensor) -> Tensor:
    return torch.cat((mean, covariance.diagonal().sqrt().expand(mean.shape)), -1)


@pytest.mark.parametrize("memo", [True, False])
@pytest.mark.parametrize("exact", [True, False], ids=["smoothing", "filtering"])
def test_hierarchy_of_one_level_meets_the_closed_form(exact: bool, memo: bool) -> None:
    """Two independent states, so that beliefs are diagonal; the memory before frame 0 is zero."""
    system, x = problem(2)
    H = torch.zeros(X, 2).double()
    H[0, 0], H[1, 1] = 1.2, -0.7
    F = torch.diag(system.F.diagonal() + 0.5)
    system = replace(system, F=F, H=H, m=system.f, P=system.Q)
    hierarchy = Hierarchy(
        [Level(memory=GRU(2), state=Gaussian(2))],
        LinearWiring(system),
        Frames(),
        GaussianFrames(lambda inputs: LinearMean(system), STD),
    )
    model, filtering = (
        LatentDynamics(hierarchy),
        Filtering(hierarchy, posterior=OneStepPosterior(system)),
    )

    def smoothing(video: Tensor) -> None:
        posterior: Any = Smoothing(lg.smoothing_guide(system, x))
        with pyro.plate(PLATE, video.shape[0], dim=-1):
            state = hierarchy.initial(video.shape[0])
            for t in range(T):
                state = hierarchy.step(t, state, posterior)

    evidence, batch = lg.evidence_kalman(system, x), 4 * T
    with Cubature(2):
        guide: Program = smoothing if exact else filtering
        loss = HierarchyELBO(memo=memo).differentiable_loss(model, guide, as_video(x, batch))
    expected = evidence if exact else lg.filtering_elbo(system, x)
    assert exact or expected < evidence - 0.05
    close(-loss / batch, expected, atol=1e-9)
