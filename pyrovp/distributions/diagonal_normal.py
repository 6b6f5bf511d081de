"""The diagonal Gaussian belief of a level, held as one packed tensor [mean, std]."""

import math
from typing import Any

import torch
from pyro.distributions import TorchDistribution
from torch import Size, Tensor
from torch.distributions import constraints, register_kl

from pyrovp.lazy import Lazy, force
from pyrovp.shapes import same_shape

__all__ = ["DiagonalNormal", "normal_kl"]

_HALF_LOG_TWO_PI = 0.5 * math.log(2 * math.pi)


class DiagonalNormal(TorchDistribution):
    r"""N(mean, diag(std²)) over the last dimensions.

    Equal to `Normal(mean, std).to_event(event_dim)`. The two parameters travel as one tensor, so
    that holding a belief, stacking the beliefs of all ticks and sending one through a trace are
    one operation each.

    Args:
        parameters: mean and std, concatenated on the first event dimension, or how to compute
            them.
        event_dim: 1 for vectors, 3 for maps.

    Shapes:
        parameters: [..., 2Z], or [..., 2C, r, r]
        batch_shape: [...]
        event_shape: [Z], or [C, r, r]

    Example:
        >>> belief = DiagonalNormal(torch.tensor([0.0, 1.0, 0.1, 0.2]))  # two means, two stds
        >>> belief.mean, belief.stddev
        (tensor([0., 1.]), tensor([0.1000, 0.2000]))
    """

    has_rsample = True
    arg_constraints: dict[str, constraints.Constraint] = {}

    def __init__(
        self,
        parameters: Tensor | Lazy,
        event_dim: int = 1,
        validate_args: bool | None = None,
    ) -> None:
        self.raw = parameters
        shape = parameters.shape
        self._batch_shape = shape[:-event_dim]
        self._event_shape = Size((shape[-event_dim] // 2, *shape[len(shape) - event_dim + 1 :]))
        # Distribution.__init__ would check constraints that the heads guarantee, at each tick.
        self._validate_args = False

    @property
    def support(self) -> Any:
        """All real values."""
        if len(self._event_shape) == 1:
            return constraints.real_vector
        return constraints.independent(constraints.real, len(self._event_shape))

    @property
    def parameters(self) -> Tensor:
        """mean and std, packed [..., 2Z]."""
        return force(self.raw)

    @classmethod
    def of(cls, mean: Tensor, std: Tensor, event_dim: int = 1) -> "DiagonalNormal":
        """The distribution with these means and standard deviations [..., Z]."""
        return cls(torch.cat((mean, std), -event_dim), event_dim)

    @property
    def mean(self) -> Tensor:
        """Means [..., Z]."""
        return self._half(0)

    @property
    def stddev(self) -> Tensor:
        """Standard deviations [..., Z]."""
        return self._half(self._event_shape[0])

    def _half(self, start: int) -> Tensor:
        return self.parameters.narrow(-len(self._event_shape), start, self._event_shape[0])

    @property
    def variance(self) -> Tensor:
        """Variances [..., Z]."""
        return self.stddev.square()

    def rsample(self, sample_shape: Any = Size()) -> Tensor:  # noqa: B008
        """mean + std · noise, noise from the ambient generator; [*sample_shape, ..., Z]."""
        # Not two narrow views: their gradients would be padded with zeros and added.
        mean, std = self.parameters.chunk(2, -len(self._event_shape))
        if sample_shape:
            mean = mean.expand(Size(sample_shape) + mean.shape)
        # Maps are channels last in memory, and torch draws numbers fast in a row only.
        rows = mean.movedim(-len(self._event_shape), -1)
        noise = torch.randn(rows.shape, dtype=mean.dtype, device=mean.device)
        return torch.addcmul(mean, std, noise.movedim(-1, -len(self._event_shape)))

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-density in nats, [...]."""
        std = self.stddev
        standard = (value - self.mean) / std
        return -self._summed(0.5 * standard.square() + std.log() + _HALF_LOG_TWO_PI)

    def entropy(self) -> Tensor:
        """Entropy in nats, [...]."""
        return self._summed(self.stddev.log() + (0.5 + _HALF_LOG_TWO_PI))

    def _summed(self, terms: Tensor) -> Tensor:
        return terms.sum(tuple(range(-len(self._event_shape), 0)))

    def expand(self, batch_shape: Any, _instance: Any = None) -> "DiagonalNormal":
        """The same distribution over a larger batch."""
        if same_shape(batch_shape, self._batch_shape):
            return self
        events = len(self._event_shape)
        packed = self.parameters.shape[-events:]
        return DiagonalNormal(self.parameters.expand(Size(batch_shape) + packed), events)


def normal_kl(q: Tensor, p: Tensor, event_dim: int = 1) -> Tensor:
    """KL[q ‖ p] of two packed diagonal Gaussians, in nats.

    Args:
        q, p: mean and std of each.
        event_dim: 1 for vectors, 3 for maps.

    Shapes:
        q, p: [..., 2Z], or [..., 2C, r, r] with event_dim 3
        returns: [...]

    Example:
        >>> normal_kl(torch.tensor([1.0, 1.0]), torch.tensor([0.0, 1.0]))  # (1 - 0)² / 2
        tensor(0.5000)
    """
    q_mean, q_std = q.chunk(2, -event_dim)
    p_mean, p_std = p.chunk(2, -event_dim)
    ratio = q_std / p_std
    shift = (q_mean - p_mean) / p_std
    terms = 0.5 * (ratio.square() + shift.square() - 1) - ratio.log()
    return terms.sum(tuple(range(-event_dim, 0)))


@register_kl(DiagonalNormal, DiagonalNormal)
def _kl_normal_normal(q: DiagonalNormal, p: DiagonalNormal) -> Tensor:
    return normal_kl(q.parameters, p.parameters, len(q.event_shape))
