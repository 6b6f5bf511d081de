"""Likelihoods: which distribution they build, their own parameters, and what they refuse."""

import math
from typing import Any

import pytest
import torch
import torch.distributions as td
from torch import Tensor, nn

from pyrovp.emission.likelihood import (
    BernoulliLikelihood,
    GaussianLikelihood,
    LaplaceLikelihood,
    LearnedStd,
    Likelihood,
)
from tests.oracles.tiny import close, randn

SHAPE = (3, 2, 4, 5)  # T, C, H, W

LIKELIHOODS: dict[str, Likelihood] = {
    "gaussian": GaussianLikelihood(0.4),
    "gaussian, learned": GaussianLikelihood(LearnedStd(0.4)),
    "laplace": LaplaceLikelihood(0.4),
    "bernoulli": BernoulliLikelihood(),
}


@pytest.fixture(params=LIKELIHOODS)
def likelihood(request: pytest.FixtureRequest) -> Likelihood:
    return LIKELIHOODS[request.param]


@pytest.mark.parametrize("batch", [(), (2,), (6, 2)])
def test_shapes(likelihood: Likelihood, batch: tuple[int, ...]) -> None:
    frames = likelihood.build().double()(randn(*batch, *SHAPE))
    assert (frames.batch_shape, frames.event_shape) == (batch, SHAPE)
    assert frames.mean.shape == frames.sample().shape == (*batch, *SHAPE)
    assert frames.log_prob(torch.zeros(*SHAPE, dtype=torch.float64)).shape == batch


def test_its_distribution_is_torchs(likelihood: Likelihood) -> None:
    location, video = randn(2, *SHAPE), (randn(2, *SHAPE, seed=1) > 0).double()
    frames = likelihood.build().double()(location)
    pixels: Any = {
        GaussianLikelihood: td.Normal(location, 0.4),
        LaplaceLikelihood: td.Laplace(location, 0.4),
        BernoulliLikelihood: td.Bernoulli(logits=location),
    }[type(likelihood)]
    # A learned 0.4 is rounded to float32 where it starts a parameter.
    close(frames.log_prob(video), td.Independent(pixels, 4).log_prob(video), rtol=1e-6)
    close(frames.mean, pixels.mean)
    close(frames.variance, pixels.variance, rtol=1e-6)


def test_who_takes_logits(likelihood: Likelihood) -> None:
    """Said by the description and by what it builds; the mean lies in [0, 1] then."""
    built = likelihood.build()
    assert built.takes_logits is likelihood.takes_logits
    assert built.takes_logits is isinstance(likelihood, BernoulliLikelihood)
    wild = 100 * randn(2, *SHAPE)
    inside = built(wild).mean.clamp(0, 1).equal(built(wild).mean)
    assert inside is built.takes_logits


def test_hvrnns_l2_is_the_sum_of_squares() -> None:
    """σ² = ½: no factor ½ at the squares, as the authors sum them."""
    location, video = randn(2, *SHAPE), randn(2, *SHAPE, seed=1)
    squares = (location - video).square().sum((1, 2, 3, 4))
    constant = math.prod(SHAPE) * 0.5 * math.log(math.pi)
    close(GaussianLikelihood(2**-0.5).build()(location).log_prob(video), -squares - constant)


def test_hvrnns_l1_is_the_sum_of_errors() -> None:
    location, video = randn(2, *SHAPE), randn(2, *SHAPE, seed=1)
    errors = (location - video).abs().sum((1, 2, 3, 4))
    constant = math.prod(SHAPE) * math.log(2)
    close(LaplaceLikelihood().build()(location).log_prob(video), -errors - constant)


def test_only_a_learned_std_is_a_parameter() -> None:
    sizes = {name: sum(1 for _ in made.build().parameters()) for name, made in LIKELIHOODS.items()}
    assert sizes == {"gaussian": 0, "gaussian, learned": 1, "laplace": 0, "bernoulli": 0}


def test_a_learned_std_has_its_gradient() -> None:
    """d/d log σ of -Σ e² / 2σ² - n log σ is Σ e² / σ² - n."""
    built = GaussianLikelihood(LearnedStd(0.5)).build().double()
    location, video = randn(2, *SHAPE), randn(2, *SHAPE, seed=1)
    (slope,) = torch.autograd.grad(built(location).log_prob(video).sum(), list(built.parameters()))
    squares = (location - video).square().sum()
    close(slope, squares / 0.25 - location.numel(), rtol=1e-6)  # log 0.5 is rounded to float32


def test_gradients_reach_the_decoder(likelihood: Likelihood) -> None:
    decoder = nn.Linear(4, 2 * 3 * 3).double()
    location: Tensor = decoder(randn(5, 4)).view(5, 1, 2, 3, 3)
    built = likelihood.build().double()
    built(location).log_prob(torch.zeros_like(location)).sum().backward()
    assert decoder.weight.grad is not None and bool((decoder.weight.grad != 0).all())


@pytest.mark.parametrize("wrong", [0, -0.1, float("nan"), float("inf"), "1.0", None, True])
def test_refuses_a_scale_that_is_no_positive_number(wrong: Any) -> None:
    for make in (GaussianLikelihood, LearnedStd):
        with pytest.raises(ValueError, match="standard deviation has to be a positive number"):
            make(wrong)
    with pytest.raises(ValueError, match="scale has to be a positive number, got .* usual"):
        LaplaceLikelihood(wrong)
