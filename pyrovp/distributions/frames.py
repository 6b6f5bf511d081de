r"""The distribution of a whole video: independent pixels around one map of locations.

    log p(x) = Σ_{t, c, h, w} log p(x_tchw | location_tchw)

in nats, constants kept. Pixels are many: a density is taken in two or three passes over them,
where torch's own distributions take six.
"""

import abc
import math
from typing import Any, Self

import torch
import torch.nn.functional as F
from pyro.distributions import TorchDistribution
from torch import Size, Tensor
from torch.distributions import constraints

from pyrovp.shapes import same_shape

__all__ = ["PIXELS", "Frames", "IsotropicFrames"]

PIXELS = (-4, -3, -2, -1)
"""The dimensions that a density sums over: by number, since the frames of all sequences may lie
time first, channels last in memory, where flattening them would copy them."""


class Frames(TorchDistribution, abc.ABC):
    """Independent pixels, each of which has its own location and shares all else.

    Args:
        location: What there is one of for each pixel: a mean, or a logit.

    Shapes:
        location: [..., T, C, H, W]
        batch_shape: [...]
        event_shape: [T, C, H, W]
    """

    arg_constraints: dict[str, constraints.Constraint] = {}

    def __init__(self, location: Tensor) -> None:
        self.location = location
        self._batch_shape = location.shape[:-4]
        self._event_shape = location.shape[-4:]
        self._validate_args = False

    @abc.abstractmethod
    def moved(self, location: Tensor) -> Self:
        """The same distribution around other locations."""

    @property
    def support(self) -> Any:
        """All real pixel values."""
        return constraints.independent(constraints.real, 4)

    @property
    def pixels(self) -> int:
        """How many values a video has."""
        return math.prod(self._event_shape)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Self:
        """The same distribution over a larger batch."""
        if same_shape(batch_shape, self._batch_shape):
            return self
        return self.moved(self.location.expand(Size(batch_shape) + self._event_shape))


class IsotropicFrames(Frames):
    """N(mean, σ²) for each pixel, σ one number for all.

    Equal to `Normal(mean, std).to_event(4)`.

    Args:
        mean: Means of the pixels.
        std: σ, a scalar.

    Shapes:
        mean: [..., T, C, H, W]
        batch_shape: [...]
        event_shape: [T, C, H, W]

    Example:
        >>> frames = IsotropicFrames(torch.zeros(8, 5, 1, 64, 64), std=0.2)
        >>> frames.batch_shape, frames.event_shape
        (torch.Size([8]), torch.Size([5, 1, 64, 64]))
    """

    has_rsample = True

    def __init__(
        self, mean: Tensor, std: Tensor | float, validate_args: bool | None = None
    ) -> None:
        super().__init__(mean)
        self.std = std

    def moved(self, location: Tensor) -> "IsotropicFrames":
        """The same σ around other means."""
        return IsotropicFrames(location, self.std)

    @property
    def mean(self) -> Tensor:
        """Means [..., T, C, H, W]."""
        return self.location

    @property
    def variance(self) -> Tensor:
        """σ² for each pixel [..., T, C, H, W]."""
        std = torch.as_tensor(self.std, dtype=self.mean.dtype, device=self.mean.device)
        return std.square().expand(self.mean.shape)

    def rsample(self, sample_shape: Any = Size()) -> Tensor:  # noqa: B008
        """Frames with pixel noise."""
        shape = Size(sample_shape) + self.mean.shape
        noise = torch.randn(shape, dtype=self.mean.dtype, device=self.mean.device)
        return self.mean + self.std * noise

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-density of each video in nats, pixels and frames summed, constants kept; [...]."""
        mean, value = torch.broadcast_tensors(self.mean, value)
        squares = F.mse_loss(mean, value, reduction="none").sum(PIXELS)
        log_std = self.std.log() if isinstance(self.std, Tensor) else math.log(self.std)
        constant = log_std + 0.5 * math.log(2 * math.pi)
        return -0.5 * squares / self.std**2 - self.pixels * constant
