"""A state that is drawn where its level is open and keeps its value where it is closed."""

from typing import Any

import torch
from pyro.distributions import TorchDistribution
from torch import Size, Tensor
from torch.distributions import constraints, kl_divergence, register_kl

from pyrovp.shapes import common_shape, over, same_shape

__all__ = ["Held"]


class Held(TorchDistribution):
    """`base` where open; the point `held` with density 0 (in logs) where closed.

    A closed level makes no choice, so it adds nothing to a bound, and its value, unlike that
    under a mere mask, is the true one: the state of the tick before. In scores and KLs the mask is
    a matter of structure and takes no gradient. A draw passes a straight-through gate's gradient
    on: z = m · drawn + (1 - m) · held.

    Args:
        base: Distribution of a state.
        held: The value kept where closed.
        open: Where the level draws anew: a mask, or a gate m of 0 and 1 that carries a gradient.

    Shapes:
        base: batch_shape [...], event_shape [Z] or [C, r, r]
        held: [..., Z] or [..., C, r, r]
        open: [...]
        batch_shape: what the three broadcast to

    Example:
        >>> from pyrovp.distributions import DiagonalNormal
        >>> base = DiagonalNormal.of(torch.ones(2, 1), torch.ones(2, 1))
        >>> state = Held(base, held=torch.zeros(2, 1), open=torch.tensor([True, False]))
        >>> state.log_prob(torch.zeros(2, 1)).exp()  # N(0; 1, 1); a closed level has no say
        tensor([0.2420, 1.0000])
    """

    arg_constraints: dict[str, constraints.Constraint] = {}

    def __init__(
        self,
        base: TorchDistribution,
        held: Tensor,
        open: Tensor,
        validate_args: bool | None = None,
    ) -> None:
        batch = common_shape(base.batch_shape, open.shape, held.shape[: -len(base.event_shape)])
        self.base = base if base.batch_shape == batch else base.expand(batch)
        self.held = held
        gate = open if open.shape == batch else open.expand(batch)
        self.open = gate if gate.dtype is torch.bool else gate.detach() > 0
        self.gate = gate if gate.requires_grad else None
        self._batch_shape = batch
        self._event_shape = base.event_shape
        self._validate_args = False

    @property
    def has_rsample(self) -> bool:
        """Whether the base is reparametrised."""
        return bool(self.base.has_rsample)

    @property
    def support(self) -> Any:
        """The base's."""
        return self.base.support

    def rsample(self, sample_shape: Any = Size()) -> Tensor:  # noqa: B008
        """A draw from the base where open, the held value elsewhere."""
        drawn, open = self.base.rsample(sample_shape), over(self.open, self.event_dim)
        value = torch.where(open, drawn, self.held)
        if self.gate is None:
            return value
        # Zero, with the gradient of m · drawn + (1 - m) · held in m.
        zero = over(self.gate - self.gate.detach(), self.event_dim)
        return value + zero * (drawn - self.held).detach()

    def sample(self, sample_shape: Any = Size()) -> Tensor:  # noqa: B008
        """As `rsample`, without gradient."""
        with torch.no_grad():
            drawn = self.base.sample(sample_shape)
            return torch.where(over(self.open, self.event_dim), drawn, self.held)

    def log_prob(self, value: Tensor) -> Tensor:
        """The base's log-density where open, 0 elsewhere; nats, [...].

        Where closed the base is scored at its own mean rather than at the held value: an
        infinite or undefined density there would turn the gradient of a masked term into NaN.
        """
        inside = torch.where(over(self.open, self.event_dim), value, self.base.mean)
        return torch.where(self.open, self.base.log_prob(inside), 0.0)

    def expand(self, batch_shape: Any, _instance: Any = None) -> "Held":
        """The same distribution over a larger batch."""
        if same_shape(batch_shape, self._batch_shape):
            return self
        batch_shape = Size(batch_shape)
        return Held(
            self.base.expand(batch_shape),
            self.held.expand(batch_shape + self.event_shape),
            (self.open if self.gate is None else self.gate).expand(batch_shape),
        )


@register_kl(Held, Held)
def _kl_held_held(q: Held, p: Held) -> Tensor:
    return torch.where(q.open, kl_divergence(q.base, p.base), 0.0)
