"""Emissions: shapes, the decoder's mean, and σ fixed or learned."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pyrovp.emission import (
    DecodedFrames,
    FrameModel,
    GaussianFrames,
    GaussianLikelihood,
    LearnedStd,
)
from pyrovp.nets import DCGANDecoder
from tests.oracles.tiny import close, randn

I = 5  # noqa: E741


def decoder(inputs: int) -> nn.Module:
    return nn.Sequential(nn.Linear(inputs, 12), nn.Unflatten(1, (3, 2, 2)))


def build(std: float | LearnedStd) -> FrameModel:
    return GaussianFrames(decoder, std=std).build((I,)).double()


@pytest.mark.parametrize("leading", [(), (3,), (2, 3)])
@pytest.mark.parametrize("std", [0.4, LearnedStd(0.4)])
def test_decodes_every_frame_of_any_batch(
    std: float | LearnedStd, leading: tuple[int, ...]
) -> None:
    frames = build(std)
    context = randn(*leading, 2, 4, I)
    distribution = frames((context,)).frames
    assert distribution.batch_shape == (*leading, 2)
    assert distribution.event_shape == (4, 3, 2, 2)
    decode: Any = frames.decoder
    expected = decode(context.reshape(-1, I)).reshape(*leading, 2, 4, 3, 2, 2)
    close(distribution.mean, expected)
    # 0.4 is rounded to float32 where it starts a parameter.
    close(distribution.stddev, torch.full_like(expected, 0.4), atol=1e-7)


def test_the_decoder_is_built_for_the_contexts_size() -> None:
    asked = []

    def build_decoder(inputs: int) -> nn.Module:
        asked.append(inputs)
        return decoder(inputs)

    GaussianFrames(build_decoder, std=1.0).build((7,))
    assert asked == [7]


def test_a_fixed_std_has_no_parameter_and_a_learned_one_a_gradient() -> None:
    assert not any("std" in name for name, _ in build(0.4).named_parameters())
    frames = build(LearnedStd(0.4))
    likelihood: Any = frames.likelihood
    parameter = likelihood.log_std
    assert any(p is parameter for p in frames.parameters())
    context, video = randn(2, 4, I), randn(2, 4, 3, 2, 2, seed=1)

    def score() -> Tensor:
        return frames((context,)).frames.log_prob(video).sum()

    (slope,) = torch.autograd.grad(score(), parameter)
    step = 1e-6
    with torch.no_grad():
        parameter += step
        up = score()
        parameter -= 2 * step
        down = score()
    # Central difference: an error of order step² and of rounding / step = 1e-9.
    close(slope, (up - down) / (2 * step), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("likelihood", ["laplace", 0.5, None, GaussianLikelihood])
def test_refuses_what_is_no_likelihood(likelihood: Any) -> None:
    with pytest.raises(ValueError, match=r"object such as LaplaceLikelihood\(\), .*, got"):
        DecodedFrames(decoder, likelihood)


@pytest.mark.parametrize(
    ("maker", "got"),
    [
        (DCGANDecoder(4, 1, 16, 0.05), "a DCGANDecoder that is already built"),
        (DCGANDecoder, "DCGANDecoder: missing a required argument: 'channels'"),
        ("dcgan", "'dcgan'"),
    ],
    ids=["built", "unfinished", "a name"],
)
def test_a_decoder_is_what_makes_one(maker: Any, got: str) -> None:
    message = rf"what makes one: partial\(DCGANDecoder, .*resolution=32\); got {got}"
    with pytest.raises(ValueError, match=message):
        GaussianFrames(maker, std=0.2)
    with pytest.raises(ValueError, match=message):
        DecodedFrames(maker, GaussianLikelihood(0.5))


@pytest.mark.parametrize("std", [0, -0.1, float("nan"), float("inf"), "1.0", None])
def test_refuses_a_std_that_is_no_positive_number(std: Any) -> None:
    with pytest.raises(ValueError, match="positive number"):
        GaussianFrames(decoder, std=std)
    with pytest.raises(ValueError, match="positive number"):
        LearnedStd(std)
