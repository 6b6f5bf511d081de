"""A gate whose value a guide has decided with certainty."""

from typing import Any

import torch
from pyro.distributions import TorchDistribution
from torch import Size, Tensor
from torch.distributions import constraints, register_kl

from pyrovp.distributions.nested_bernoulli import NestedBernoulli
from pyrovp.shapes import same_shape

__all__ = ["Decided"]


class Decided(TorchDistribution):
    """All probability on one decision; takes no gradient.

    Args:
        e: The decision, 0 or 1.

    Shapes:
        e: [...]
        batch_shape: [...]
        event_shape: []

    Example:
        >>> Decided(torch.tensor([1.0, 0.0])).log_prob(torch.ones(2))
        tensor([0., -inf])
    """

    support = constraints.boolean
    has_rsample = True  # nothing random is left, so no score function is needed
    arg_constraints: dict[str, constraints.Constraint] = {}

    def __init__(self, e: Tensor, validate_args: bool | None = None) -> None:
        self.e = e
        self._batch_shape = e.shape
        self._event_shape = Size()
        self._validate_args = False

    @property
    def mean(self) -> Tensor:
        """The decision."""
        return self.e

    @property
    def variance(self) -> Tensor:
        """Zeros."""
        return torch.zeros_like(self.e)

    def rsample(self, sample_shape: Any = Size()) -> Tensor:  # noqa: B008
        """The decision, [*sample_shape, ...]."""
        return self.e.expand(Size(sample_shape) + self.e.shape) if sample_shape else self.e

    def log_prob(self, value: Tensor) -> Tensor:
        """0 for the decision, -inf for the other; [...]."""
        return torch.where(value == self.e, 0.0, -torch.inf).to(self.e.dtype)

    def expand(self, batch_shape: Any, _instance: Any = None) -> "Decided":
        """The same decisions for a larger batch."""
        if same_shape(batch_shape, self._batch_shape):
            return self
        return Decided(self.e.expand(Size(batch_shape)))


@register_kl(Decided, NestedBernoulli)
def _kl_decided_bernoulli(q: Decided, p: NestedBernoulli) -> Tensor:
    return -p.log_prob(q.e)


@register_kl(Decided, Decided)
def _kl_decided_decided(q: Decided, p: Decided) -> Tensor:
    return -p.log_prob(q.e)
