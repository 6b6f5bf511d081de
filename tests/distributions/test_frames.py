"""The frames' distribution against `Normal(mean, std).to_event(4)`."""

import pyro.distributions as dist
import pytest
import torch
from torch import Tensor

from pyrovp.distributions import IsotropicFrames
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


def test_one_video_is_scored_by_every_particle() -> None:
    mean, video = randn(6, 2, *SHAPE), randn(2, *SHAPE, seed=1)
    close(
        IsotropicFrames(mean, 0.4).log_prob(video),
        torch.stack([IsotropicFrames(one, 0.4).log_prob(video) for one in mean]),
    )


def test_the_mean_is_what_prediction_shows() -> None:
    mean = randn(2, *SHAPE)
    assert IsotropicFrames(mean, 0.4).mean is mean


def test_a_draw_has_pixel_noise() -> None:
    mean = randn(2, *SHAPE)
    torch.manual_seed(1)
    drawn = IsotropicFrames(mean, 0.4).rsample()
    torch.manual_seed(1)
    close(drawn, mean + 0.4 * torch.randn(2, *SHAPE, dtype=torch.float64))


def test_log_prob_of_long_videos_keeps_float32_precision() -> None:
    """Half a million squares summed; torch's sum is pairwise, so 1e-6 is relative rounding."""
    mean, video = torch.zeros(1, 128, 1, 64, 64), torch.rand(1, 128, 1, 64, 64)
    exact = IsotropicFrames(mean.double(), 0.1).log_prob(video.double())
    close(IsotropicFrames(mean, 0.1).log_prob(video).double(), exact, rtol=1e-6)
