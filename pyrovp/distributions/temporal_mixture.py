r"""The temporal mixture: a level's state either stays where it was believed to be or moves on.

p(z_t | e_t) = p(z_{t-1} belief)       if e_t = 0   (static component)
               p(z_t | z_{<t}, c_t)    if e_t = 1   (change component)
"""

from typing import Any

import torch
from pyro.distributions import TorchDistribution
from torch import Size, Tensor
from torch.distributions import constraints, register_kl

from pyrovp.distributions.diagonal_normal import DiagonalNormal, normal_kl
from pyrovp.lazy import Lazy, force
from pyrovp.shapes import common_shape, over, same_shape

__all__ = ["TemporalMixture"]


class TemporalMixture(TorchDistribution):
    """p(z_t | e_t) of a two-component temporal mixture, given the component indicator.

    Given e the density is the chosen component's, so it samples, scores and has KLs like a
    `DiagonalNormal`. Both components stay at hand: a bound that averages over q(e) needs them.

    Reference:
        Long-Horizon Video Prediction Using a Dynamic Latent Hierarchy (Zakharov, Guo, Fountas,
        2022), Eq. 2 and 9.

    Args:
        e: 1 (or True) where the level changes.
        static: Packed parameters of the belief held so far.
        change: Packed parameters of the predicted state, or how to compute them.
        event_dim: 1 for vectors, 3 for maps.

    Shapes:
        e: [...]
        static, change: [..., 2Z], or [..., 2C, r, r]
        batch_shape: [...]
        event_shape: [Z], or [C, r, r]

    Example:
        >>> static, change = torch.tensor([[0.0, 0.1]]), torch.tensor([[1.0, 0.2]])  # mean, std
        >>> TemporalMixture(torch.tensor([0.0]), static, change).mean
        tensor([[0.]])
        >>> TemporalMixture(torch.tensor([1.0]), static, change).mean
        tensor([[1.]])
    """

    has_rsample = True
    arg_constraints: dict[str, constraints.Constraint] = {}

    def __init__(
        self,
        e: Tensor,
        static: Tensor,
        change: Tensor | Lazy,
        event_dim: int = 1,
        validate_args: bool | None = None,
    ) -> None:
        self.e = e if e.dtype is torch.bool else e > 0
        self.static = static
        self.raw = change
        self._chosen: Tensor | None = None
        packed = static.shape[static.dim() - event_dim :]
        batches = static.shape[:-event_dim], change.shape[:-event_dim]
        self._batch_shape = common_shape(e.shape, *batches)
        self._event_shape = Size((packed[0] // 2, *packed[1:]))
        self._validate_args = False

    @property
    def support(self) -> Any:
        """All real values."""
        return self.component.support

    @property
    def change(self) -> Tensor:
        """Packed parameters of the predicted state [..., 2Z]."""
        return force(self.raw)

    @property
    def parameters(self) -> Tensor:
        """Packed parameters of the chosen component [..., 2Z]."""
        if self._chosen is None:
            self._chosen = torch.where(over(self.e, self.event_dim), self.change, self.static)
        return self._chosen

    def choose(self) -> Tensor:
        """`parameters`, as a function: for whoever may not need them."""
        return self.parameters

    @property
    def component(self) -> DiagonalNormal:
        """The chosen component."""
        return DiagonalNormal(self.parameters, self.event_dim)

    @property
    def mean(self) -> Tensor:
        """Means of the chosen component [..., Z]."""
        return self.component.mean

    @property
    def variance(self) -> Tensor:
        """Variances of the chosen component [..., Z]."""
        return self.component.variance

    def rsample(self, sample_shape: Any = Size()) -> Tensor:  # noqa: B008
        """A draw from the chosen component, [*sample_shape, ..., Z]."""
        return self.component.rsample(sample_shape)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-density under the chosen component in nats, [...]."""
        return self.component.log_prob(value)

    def expand(self, batch_shape: Any, _instance: Any = None) -> "TemporalMixture":
        """The same mixture over a larger batch."""
        events = self.event_dim
        parts = (self.e.shape, self.static.shape[:-events], self.raw.shape[:-events])
        if same_shape(batch_shape, *parts):
            return self
        batch_shape = Size(batch_shape)
        packed = batch_shape + self.static.shape[-events:]
        return TemporalMixture(
            self.e.expand(batch_shape),
            self.static.expand(packed),
            self.change.expand(packed),
            events,
        )


@register_kl(DiagonalNormal, TemporalMixture)
def _kl_normal_mixture(q: DiagonalNormal, p: TemporalMixture) -> Tensor:
    return normal_kl(q.parameters, p.parameters, p.event_dim)


@register_kl(TemporalMixture, TemporalMixture)
def _kl_mixture_mixture(q: TemporalMixture, p: TemporalMixture) -> Tensor:
    return normal_kl(q.parameters, p.parameters, p.event_dim)
