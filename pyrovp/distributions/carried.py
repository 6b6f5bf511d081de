"""A value that travels with a trace: the belief channel."""

from typing import Any

import torch
from pyro.distributions import TorchDistribution
from torch import Size, Tensor
from torch.distributions import constraints, register_kl

from pyrovp.lazy import Lazy, force
from pyrovp.shapes import same_shape

__all__ = ["Carried"]


class Carried(TorchDistribution):
    """Draws a given value and scores 0, whatever the value.

    It puts a computed value into a trace under an address, so that a model replayed against a
    guide's trace sees the guide's value there, and its own when it generates. Like a masked
    `Delta`, but a value that nobody reads, because it was replayed, is never computed.

    Args:
        value: The value, or how to compute it.
        event_dim: 1 for vectors, 3 for maps.

    Shapes:
        value: [..., K], or [..., K, r, r]
        batch_shape: [...]
        event_shape: [K], or [K, r, r]

    Example:
        >>> belief = Carried(torch.tensor([[0.3, 1.0]]))
        >>> belief.sample(), belief.log_prob(torch.zeros(1, 2))
        (tensor([[0.3000, 1.0000]]), tensor([0.]))
    """

    has_rsample = True
    arg_constraints: dict[str, constraints.Constraint] = {}

    def __init__(
        self, value: Tensor | Lazy, event_dim: int = 1, validate_args: bool | None = None
    ) -> None:
        self.raw = value
        self._batch_shape = value.shape[:-event_dim]
        self._event_shape = value.shape[-event_dim:]
        self._validate_args = False

    @property
    def support(self) -> Any:
        """All real values."""
        return constraints.independent(constraints.real, self.event_dim)

    @property
    def mean(self) -> Tensor:
        """The value."""
        return force(self.raw)

    @property
    def variance(self) -> Tensor:
        """Zeros."""
        return torch.zeros_like(self.mean)

    def rsample(self, sample_shape: Any = Size()) -> Tensor:  # noqa: B008
        """The value, [*sample_shape, ..., K]."""
        return self.mean.expand(Size(sample_shape) + self.raw.shape) if sample_shape else self.mean

    def log_prob(self, value: Tensor) -> Tensor:
        """0, [...]."""
        return value.new_zeros(
            torch.broadcast_shapes(value.shape[: -self.event_dim], self._batch_shape)
        )

    def expand(self, batch_shape: Any, _instance: Any = None) -> "Carried":
        """The same value for a larger batch."""
        if same_shape(batch_shape, self._batch_shape):
            return self
        return Carried(self.mean.expand(Size(batch_shape) + self._event_shape), self.event_dim)


@register_kl(Carried, Carried)
def _kl_carried_carried(q: Carried, p: Carried) -> Tensor:
    return torch.zeros(q.batch_shape)
