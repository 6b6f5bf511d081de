"""Importance-weighted evidence: exact where the evidence is known, Pyro's own bounds elsewhere."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from pyro.infer import RenyiELBO, Trace_ELBO
from torch import Tensor

from pyrovp import guides, models
from pyrovp.emission import BernoulliLikelihood
from pyrovp.infer import importance_weighted_evidence
from pyrovp.infer.evidence import bits_per_dimension, particles
from tests.oracles import linear_gaussian as lg
from tests.oracles.tiny import close
from tests.systems import clip, tiny_cwvae, tiny_dlh, tiny_mixed
from tests.test_linear_gaussian import (
    Cubature,
    arbitrary_guide,
    as_video,
    backward_in_time,
    diagonal,
    forward_in_time,
    full,
    model_of,
    problem,
)

X = 3


@pytest.mark.parametrize("order", [forward_in_time, backward_in_time])
@pytest.mark.parametrize(("count", "chunk"), [(1, 1), (5, 2), (4, 9)])
def test_the_exact_posterior_gives_the_evidence_with_any_particles(
    order: Callable[..., Any], count: int, chunk: int
) -> None:
    system, x = problem(2)
    model, guide = model_of(system, diagonal), order(lg.smoothing_guide(system, x), full)
    found = importance_weighted_evidence(model, guide, as_video(x, 4), count, chunk)
    evidence = lg.evidence_kalman(system, x).expand(4)
    close(found.nats, evidence, atol=1e-9)
    close(found.elbo, evidence, atol=1e-9)
    close(found.effective, torch.full((4,), float(count)).double(), atol=1e-9)
    assert found.bits_per_dimension is not None
    close(found.bits_per_dimension, 8 - evidence / len(x) / X / math.log(2), atol=1e-9)


def test_one_particle_is_the_elbo_in_mean() -> None:
    """A mean over the 2n points of `Cubature` is one over all noise, exactly."""
    system, x = problem(2)
    q = arbitrary_guide(system, x)
    model, guide = model_of(system, diagonal), forward_in_time(q, full)
    with Cubature(2):
        found = importance_weighted_evidence(model, guide, as_video(x, 4 * len(x)), 1)
    expected = lg.expected_elbo(system, q, x)
    assert expected < lg.evidence_kalman(system, x) - 1
    close(found.nats.mean(), expected, atol=1e-9)
    close(found.elbo, found.nats, atol=1e-12)
    assert (found.nats > expected).any(), "the draws must differ"


def test_more_particles_come_closer_from_below() -> None:
    """In mean over 1500 draws; a step is ten standard errors or more, a false alarm out of sight.

    With 1024 particles each, the bound is within 0.02 nats of the evidence.
    """
    system, x = problem(1)
    guide = forward_in_time(lg.filtering_guide(system, x), full)
    model, evidence = model_of(system, diagonal), lg.evidence_kalman(system, x)
    found = [
        importance_weighted_evidence(model, guide, as_video(x, 1500), count).nats
        for count in (1, 4, 16)
    ]
    for fewer, more in zip(found, found[1:], strict=False):
        error = ((fewer.var() + more.var()) / 1500).sqrt()
        assert more.mean() - fewer.mean() > 5 * error
    assert found[-1].mean() < evidence
    many = importance_weighted_evidence(model, guide, as_video(x, 100), 1024, 256)
    assert abs(many.nats.mean() - evidence) < 0.02
    assert (many.effective > 1).all() and (many.effective < 1024).all()


SYSTEMS: dict[str, Callable[[], tuple[Any, Any]]] = {
    "cwvae": tiny_cwvae,
    "dlh": tiny_dlh,
    "mixed": tiny_mixed,
}


@pytest.mark.parametrize("system", SYSTEMS)
def test_weights_are_those_of_pyros_own_bounds(system: str) -> None:
    """Three particles with the same noise: of two clips by `Trace_ELBO`, of one by `RenyiELBO`."""
    model, guide = SYSTEMS[system]()
    video = clip(8)
    parallel = {"num_particles": 3, "vectorize_particles": True, "max_plate_nesting": 1}
    torch.manual_seed(3)
    found = importance_weighted_evidence(model, guide, video, 3, 3)
    torch.manual_seed(3)
    with torch.no_grad():
        loss = Trace_ELBO(**parallel).loss(model, guide, video)
    close(found.elbo.sum(), torch.tensor(-loss, dtype=torch.float64), atol=1e-6)
    assert (found.nats >= found.elbo).all()
    torch.manual_seed(4)
    one = importance_weighted_evidence(model, guide, video[:1], 3, 3)
    torch.manual_seed(4)
    with torch.no_grad():
        loss = RenyiELBO(alpha=0, **parallel).loss(model, guide, video[:1])
    close(one.nats[0], torch.tensor(-loss, dtype=torch.float64), atol=1e-6)


def test_chunks_add_up() -> None:
    """Seven particles in chunks of three, beside all their weights at once."""
    model, guide = tiny_cwvae()
    video = clip(4)
    torch.manual_seed(2)
    drawn = list(particles(model, guide, video, 7, 3))
    assert [len(some.log_weight) for some in drawn] == [3, 3, 1]
    weights = torch.cat([some.log_weight for some in drawn])
    torch.manual_seed(2)
    found = importance_weighted_evidence(model, guide, video, 7, 3)
    close(found.nats, weights.logsumexp(0) - math.log(7), atol=1e-9)
    close(found.elbo, weights.mean(0), atol=1e-9)
    normalised = weights.softmax(0)
    close(found.effective, 1 / normalised.square().sum(0), atol=1e-9)
    assert drawn[0].values == 4 * 16 * 16
    assert not found.nats.requires_grad


def test_given_frames_are_not_counted() -> None:
    torch.manual_seed(0)
    model: Any = models.svg_lp(
        state=2, memory=3, features=4, context=2, resolution=16, width=1 / 64
    ).double()
    guide = guides.svg_lp(model).double().eval()
    model.eval()
    (some,) = particles(model, guide, clip(6).sigmoid(), 2, 2)
    assert some.values == len(model.scored(6)) * 16 * 16 < 6 * 16 * 16


def test_pixels_that_have_no_density_have_no_bits() -> None:
    model, guide = tiny_cwvae()
    emission: Any = model.hierarchy.emission
    emission.likelihood = BernoulliLikelihood().build()
    found = importance_weighted_evidence(model, guide, clip(4).sigmoid(), 2)
    assert found.bits_per_dimension is None and found.nats.isfinite().all()


def test_a_model_that_knows_nothing_takes_eight_bits() -> None:
    """Density 1 on [0, 1]; a density of 2 on half of it takes 7."""
    nats = torch.tensor([0.0, 100 * math.log(2.0)])
    close(bits_per_dimension(nats, 100), torch.tensor([8.0, 7.0]), atol=1e-6)


@pytest.mark.parametrize("counts", [(0, 1), (3, 0), (2.5, 1)])
def test_refuses_what_is_no_number_of_particles(counts: tuple[Any, Any]) -> None:
    with pytest.raises(ValueError, match="is a whole number from 1"):
        importance_weighted_evidence(*tiny_cwvae(), clip(4), *counts)


def test_refuses_programs_that_do_not_belong_together() -> None:
    model, _ = tiny_cwvae()
    _, guide = tiny_cwvae()
    with pytest.raises(ValueError, match="this guide belongs to another model"):
        importance_weighted_evidence(model, guide, clip(4))
    system, x = problem(1)

    def silent(video: Tensor) -> None:
        pass

    with pytest.raises(ValueError, match="only one of them draws z_1_0, z_1_1"):
        importance_weighted_evidence(model_of(system, diagonal), silent, as_video(x, 2))
    with pytest.raises(ValueError, match="the model observes nothing"):
        importance_weighted_evidence(silent, silent, as_video(x, 2))
