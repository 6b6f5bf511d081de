"""The frames' distributions against torch's, pixel by pixel."""

from collections.abc import Callable
from typing import Any

import pyro.distributions as dist
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from pyrovp.distributions import BernoulliFrames, IsotropicFrames, LaplaceFrames
from tests.oracles.tiny import close, randn

SHAPE = (3, 2, 4, 5)  # T, C, H, W


@pytest.mark.parametrize("std", [0.1, 1.0, torch.tensor(0.4, dtype=torch.float64)])
@pytest.mark.parametrize("batch", [(), (2,), (6, 2)])
def test_equals_independent_normals(batch: tuple[int, ...], std: float | Tensor) -> None:
    mean, video = randn(*batch, *SHAPE).requires_grad_(), randn(*batch, *SHAPE, seed=1)
    mine, theirs = IsotropicFrames(mean, std), dist.Normal(mean, std).to_event(4)
    assert (mine.batch_shape, mine.event_shape) == (theirs.batch_shape, theirs.event_shape)
    actual, expected = mine.log_prob(video), theirs.log_prob(video)
    close(actual, expected)
    close(mine.variance, theirs.variance)
    for a, b in zip(
        torch.autograd.grad(actual.sum(), [mean]),
        torch.autograd.grad(expected.sum(), [mean]),
        strict=True,
    ):
        close(a, b)


KINDS: dict[str, Callable[[Tensor], Any]] = {
    "gaussian": lambda location: IsotropicFrames(location, 0.4),
    "laplace": lambda location: LaplaceFrames(location, 0.4),
    "bernoulli": BernoulliFrames,
}


@pytest.mark.parametrize("scale", [0.3, 1.0])
@pytest.mark.parametrize("batch", [(), (2,), (6, 2)])
def test_equals_independent_laplaces(batch: tuple[int, ...], scale: float) -> None:
    mean, video = randn(*batch, *SHAPE).requires_grad_(), randn(*batch, *SHAPE, seed=1)
    mine, theirs = LaplaceFrames(mean, scale), dist.Laplace(mean, scale).to_event(4)
    assert (mine.batch_shape, mine.event_shape) == (theirs.batch_shape, theirs.event_shape)
    check_against(mine, theirs.log_prob(video), video, mean)
    close(mine.variance, theirs.variance)


@pytest.mark.parametrize("extreme", [1.0, 30.0, 1000.0])
@pytest.mark.parametrize("batch", [(), (2,), (6, 2)])
def test_grey_pixels_score_their_cross_entropy(batch: tuple[int, ...], extreme: float) -> None:
    logits = (extreme * randn(*batch, *SHAPE)).requires_grad_()
    video = randn(*batch, *SHAPE, seed=1).sigmoid()
    each = F.binary_cross_entropy_with_logits(logits, video, reduction="none")
    check_against(BernoulliFrames(logits), -each.sum((-4, -3, -2, -1)), video, logits)


def check_against(mine: Any, expected: Tensor, video: Tensor, location: Tensor) -> None:
    """The same density and gradient."""
    actual = mine.log_prob(video)
    close(actual, expected)
    close(
        torch.autograd.grad(actual.sum(), location)[0],
        torch.autograd.grad(expected.sum(), location)[0],
    )


def test_black_and_white_pixels_of_certain_logits() -> None:
    """-log(1 + e^-l) where the pixel is as expected, that minus l where it is not."""
    logits = torch.tensor([50.0, 50.0, -50.0, -50.0], dtype=torch.float64).view(4, 1, 1, 1, 1)
    video = torch.tensor([1.0, 0.0, 1.0, 0.0], dtype=torch.float64).view(4, 1, 1, 1, 1)
    expected = torch.tensor([0.0, -50.0, -50.0, 0.0], dtype=torch.float64)
    close(BernoulliFrames(logits).log_prob(video), expected)
    drawn = BernoulliFrames(logits).sample()
    assert drawn.flatten().tolist() == [1.0, 1.0, 0.0, 0.0]


@pytest.mark.parametrize("kind", KINDS)
def test_one_video_is_scored_by_every_particle(kind: str) -> None:
    locations, video = randn(6, 2, *SHAPE), randn(2, *SHAPE, seed=1).sigmoid()
    expected = torch.stack([KINDS[kind](one).log_prob(video) for one in locations])
    close(KINDS[kind](locations).log_prob(video), expected)


@pytest.mark.parametrize("kind", KINDS)
def test_where_frames_lie_in_memory_does_not_matter(kind: str) -> None:
    """Time first, channels last, as decoders of whole sequences leave them."""
    location, video = randn(2, *SHAPE), randn(2, *SHAPE, seed=1).sigmoid()
    frames = location.transpose(0, 1).flatten(0, 1)
    frames = frames.contiguous(memory_format=torch.channels_last)
    laid = frames.unflatten(0, (SHAPE[0], 2)).transpose(0, 1)
    assert laid.stride() != location.stride()
    close(KINDS[kind](laid).log_prob(video), KINDS[kind](location).log_prob(video))


def test_the_mean_is_what_prediction_shows() -> None:
    location = randn(2, *SHAPE)
    assert IsotropicFrames(location, 0.4).mean is location
    assert LaplaceFrames(location, 0.4).mean is location
    close(BernoulliFrames(location).mean, location.sigmoid())


@pytest.mark.parametrize("kind", KINDS)
def test_the_support_is_where_the_pixels_are(kind: str) -> None:
    d = KINDS[kind](randn(2, *SHAPE))
    grey, outside = torch.full(SHAPE, 0.5), torch.full(SHAPE, 2.0)
    assert bool(d.support.check(d.sample()).all()) and bool(d.support.check(grey))
    assert bool(d.support.check(outside)) is (kind != "bernoulli")


def test_a_draw_has_pixel_noise() -> None:
    mean = randn(2, *SHAPE)
    torch.manual_seed(1)
    drawn = IsotropicFrames(mean, 0.4).rsample()
    torch.manual_seed(1)
    close(drawn, mean + 0.4 * torch.randn(2, *SHAPE, dtype=torch.float64))


@pytest.mark.parametrize("kind", KINDS)
def test_a_map_in_half_precision_is_scored_in_the_videos(kind: str) -> None:
    """As decoders under autocast leave it; 1e-6 is rounding in float32, bfloat16's is 4e-3."""
    location, video = randn(2, *SHAPE).bfloat16(), torch.rand(2, *SHAPE)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        score = KINDS[kind](location).log_prob(video)
    assert score.dtype is torch.float32
    close(score, KINDS[kind](location.float()).log_prob(video), rtol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_log_prob_of_long_videos_keeps_float32_precision(kind: str) -> None:
    """Half a million terms summed; torch's sum is pairwise, so 1e-6 is relative rounding."""
    location, video = torch.zeros(1, 128, 1, 64, 64), torch.rand(1, 128, 1, 64, 64)
    exact = KINDS[kind](location.double()).log_prob(video.double())
    close(KINDS[kind](location).log_prob(video).double(), exact, rtol=1e-6)
