"""The diagonal Gaussian belief of a level, held as one packed tensor [mean, std]."""

import math
from typing import Any

import torch
from pyro.distributions import TorchDistribution
from torch import Size, Tensor
from torch.distributions import constraints, register_kl

from pyrovp.distributions.shapes import same_shape
from pyrovp.lazy import Lazy, force

__all__ = ["DiagonalNormal", "normal_kl"]

_HALF_LOG_TWO_PI = 0.5 * math.log(2 * math.pi)


class DiagonalNormal(TorchDistribution):
    r"""N(mean, diag(std²)) over the last dimension.

    Equal to `Normal(mean, std).to_event(1)`. The two parameters travel as one tensor, so that
    holding a belief, stacking the beliefs of all ticks and sending one through a trace are one
    operation each.

    Args:
        parameters: mean and std, concatenated on the last dimension, or how to compute them.

    Shapes:
        parameters: [..., 2Z]
        batch_shape: [...]
        event_shape: [Z]
    """

    support = constraints.real_vector
    has_rsample = True
    arg_constraints: dict[str, constraints.Constraint] = {}

    def __init__(self, parameters: Tensor | Lazy, validate_args: bool | None = None) -> None:
        self.raw = parameters
        self._batch_shape = parameters.shape[:-1]
        self._event_shape = Size((parameters.shape[-1] // 2,))
        # Distribution.__init__ would check constraints that the heads guarantee, at each tick.
        self._validate_args = False

    @property
    def parameters(self) -> Tensor:
        """mean and std, packed [..., 2Z]."""
        return force(self.raw)

    @classmethod
    def of(cls, mean: Tensor, std: Tensor) -> "DiagonalNormal":
        """The distribution with these means and standard deviations [..., Z]."""
        return cls(torch.cat((mean, std), -1))

    @property
    def mean(self) -> Tensor:
        """Means [..., Z]."""
        return self.parameters.narrow(-1, 0, self._event_shape[0])

    @property
    def stddev(self) -> Tensor:
        """Standard deviations [..., Z]."""
        return self.parameters.narrow(-1, self._event_shape[0], self._event_shape[0])

    @property
    def variance(self) -> Tensor:
        """Variances [..., Z]."""
        return self.stddev.square()

    def rsample(self, sample_shape: Any = Size()) -> Tensor:  # noqa: B008
        """mean + std · noise, noise from the ambient generator; [*sample_shape, ..., Z]."""
        mean, std = self.parameters.chunk(2, -1)
        shape = mean.shape if not sample_shape else Size(sample_shape) + mean.shape
        noise = torch.randn(shape, dtype=mean.dtype, device=mean.device)
        return torch.addcmul(mean, std, noise)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-density in nats, [...]."""
        mean, std = self.parameters.chunk(2, -1)
        standard = (value - mean) / std
        return -(0.5 * standard.square() + std.log() + _HALF_LOG_TWO_PI).sum(-1)

    def entropy(self) -> Tensor:
        """Entropy in nats, [...]."""
        return (self.stddev.log() + (0.5 + _HALF_LOG_TWO_PI)).sum(-1)

    def expand(self, batch_shape: Any, _instance: Any = None) -> "DiagonalNormal":
        """The same distribution over a larger batch."""
        if same_shape(batch_shape, self._batch_shape):
            return self
        return DiagonalNormal(
            self.parameters.expand(Size(batch_shape) + self.parameters.shape[-1:])
        )


def normal_kl(q: Tensor, p: Tensor) -> Tensor:
    """KL[q ‖ p] of two packed diagonal Gaussians, in nats.

    Shapes:
        q, p: [..., 2Z]
        returns: [...]
    """
    q_mean, q_std = q.chunk(2, -1)
    p_mean, p_std = p.chunk(2, -1)
    ratio = q_std / p_std
    shift = (q_mean - p_mean) / p_std
    terms = 0.5 * (ratio.square() + shift.square() - 1) - ratio.log()
    return terms.sum(-1)


@register_kl(DiagonalNormal, DiagonalNormal)
def _kl_normal_normal(q: DiagonalNormal, p: DiagonalNormal) -> Tensor:
    return normal_kl(q.parameters, p.parameters)
