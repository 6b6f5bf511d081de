r"""A video of Laplace pixels: absolute errors instead of squares.

log p(x) = -Σ |x - mean| / b - n log 2b        over n pixels
"""

import math
from typing import Any

import torch
from torch import Size, Tensor

from pyrovp.distributions.frames import PIXELS, Frames

__all__ = ["LaplaceFrames"]


class LaplaceFrames(Frames):
    """Laplace(mean, b) for each pixel, b one number for all.

    Equal to `Laplace(mean, scale).to_event(4)`.

    Args:
        mean: Means of the pixels, which are their medians too.
        scale: b, the mean absolute error.

    Shapes:
        mean: [..., T, C, H, W]
        batch_shape: [...]
        event_shape: [T, C, H, W]

    Example:
        >>> frames = LaplaceFrames(torch.zeros(1, 2, 1, 1, 1), scale=0.5)  # 2b = 1
        >>> frames.log_prob(torch.ones(1, 2, 1, 1, 1))  # two errors of 1 by b
        tensor([-4.])
    """

    has_rsample = True

    def __init__(self, mean: Tensor, scale: float, validate_args: bool | None = None) -> None:
        super().__init__(mean)
        self.scale = scale

    def moved(self, location: Tensor) -> "LaplaceFrames":
        """The same scale around other means."""
        return LaplaceFrames(location, self.scale)

    @property
    def mean(self) -> Tensor:
        """Means [..., T, C, H, W]."""
        return self.location

    @property
    def variance(self) -> Tensor:
        """2b² for each pixel [..., T, C, H, W]."""
        return self.mean.new_full((), 2 * self.scale**2).expand(self.mean.shape)

    def rsample(self, sample_shape: Any = Size()) -> Tensor:  # noqa: B008
        """Frames with pixel noise: b times the difference of two exponential variables."""
        shape = Size(sample_shape) + self.mean.shape
        up, down = torch.empty(
            (2, *shape), dtype=self.mean.dtype, device=self.mean.device
        ).exponential_()
        return self.mean + self.scale * (up - down)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-density of each video in nats, pixels and frames summed, constants kept; [...]."""
        errors = (self.mean - value).abs().sum(PIXELS)
        return -errors / self.scale - self.pixels * math.log(2 * self.scale)
