"""The distribution of a whole video: independent pixels with one standard deviation."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from pyro.distributions import TorchDistribution
from torch import Size, Tensor
from torch.distributions import constraints

from pyrovp.distributions.shapes import same_shape

__all__ = ["IsotropicFrames"]


class IsotropicFrames(TorchDistribution):
    """N(mean, σ²) for each pixel, σ one number for all.

    Equal to `Normal(mean, std).to_event(4)`, in two passes over the pixels instead of six.

    Args:
        mean: Means of the pixels.
        std: σ, a scalar.

    Shapes:
        mean: [..., T, C, H, W]
        batch_shape: [...]
        event_shape: [T, C, H, W]
    """

    has_rsample = True
    arg_constraints: dict[str, constraints.Constraint] = {}

    def __init__(
        self, mean: Tensor, std: Tensor | float, validate_args: bool | None = None
    ) -> None:
        self._mean = mean
        self.std = std
        self._batch_shape = mean.shape[:-4]
        self._event_shape = mean.shape[-4:]
        self._validate_args = False

    @property
    def support(self) -> Any:
        """All real pixel values."""
        return constraints.independent(constraints.real, 4)

    @property
    def mean(self) -> Tensor:
        """Means [..., T, C, H, W]."""
        return self._mean

    @property
    def variance(self) -> Tensor:
        """σ² for each pixel [..., T, C, H, W]."""
        std = torch.as_tensor(self.std, dtype=self._mean.dtype, device=self._mean.device)
        return std.square().expand(self._mean.shape)

    def rsample(self, sample_shape: Any = Size()) -> Tensor:  # noqa: B008
        """Frames with pixel noise."""
        shape = Size(sample_shape) + self._mean.shape
        noise = torch.randn(shape, dtype=self._mean.dtype, device=self._mean.device)
        return self._mean + self.std * noise

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-density of each video in nats, pixels and frames summed, constants kept; [...]."""
        mean, value = torch.broadcast_tensors(self._mean, value)
        squares = F.mse_loss(mean, value, reduction="none").flatten(-4).sum(-1)
        log_std = self.std.log() if isinstance(self.std, Tensor) else math.log(self.std)
        pixels = math.prod(self._event_shape)
        return -0.5 * squares / self.std**2 - pixels * (log_std + 0.5 * math.log(2 * math.pi))

    def expand(self, batch_shape: Any, _instance: Any = None) -> "IsotropicFrames":
        """The same distribution over a larger batch."""
        if same_shape(batch_shape, self._batch_shape):
            return self
        return IsotropicFrames(
            self._mean.expand(Size(batch_shape) + self._mean.shape[-4:]), self.std
        )
