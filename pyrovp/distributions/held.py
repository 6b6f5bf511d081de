"""A state that is drawn where its level is open and keeps its value where it is closed."""

from typing import Any

import torch
from pyro.distributions import TorchDistribution
from torch import Size, Tensor
from torch.distributions import constraints, kl_divergence, register_kl

from pyrovp.distributions.shapes import common_shape, same_shape

__all__ = ["Held"]


class Held(TorchDistribution):
    """`base` where open; the point `held` with density 0 (in logs) where closed.

    A closed level makes no choice, so it adds nothing to a bound, and its value, unlike that
    under a mere mask, is the true one: the state of the tick before. The mask is a matter of
    structure and takes no gradient.

    Args:
        base: Distribution of a state with event_shape [Z].
        held: The value kept where closed.
        open: Where the level draws anew.

    Shapes:
        base: batch_shape [...], event_shape [Z]
        held: [..., Z]
        open: bool [...]
        batch_shape: what the three broadcast to
    """

    support = constraints.real_vector
    arg_constraints: dict[str, constraints.Constraint] = {}

    def __init__(
        self,
        base: TorchDistribution,
        held: Tensor,
        open: Tensor,
        validate_args: bool | None = None,
    ) -> None:
        batch = common_shape(base.batch_shape, open.shape, held.shape[:-1])
        self.base = base if base.batch_shape == batch else base.expand(batch)
        self.held = held
        opened = open if open.dtype is torch.bool else open.detach() > 0
        self.open = opened if opened.shape == batch else opened.expand(batch)
        self._batch_shape = batch
        self._event_shape = base.event_shape
        self._validate_args = False

    @property
    def has_rsample(self) -> bool:
        """Whether the base is reparametrised."""
        return bool(self.base.has_rsample)

    def rsample(self, sample_shape: Any = Size()) -> Tensor:  # noqa: B008
        """A draw from the base where open, the held value elsewhere."""
        return torch.where(self.open.unsqueeze(-1), self.base.rsample(sample_shape), self.held)

    def sample(self, sample_shape: Any = Size()) -> Tensor:  # noqa: B008
        """As `rsample`, without gradient."""
        with torch.no_grad():
            drawn = self.base.sample(sample_shape)
            return torch.where(self.open.unsqueeze(-1), drawn, self.held)

    def log_prob(self, value: Tensor) -> Tensor:
        """The base's log-density where open, 0 elsewhere; nats, [...].

        Where closed the base is scored at its own mean rather than at the held value: an
        infinite or undefined density there would turn the gradient of a masked term into NaN.
        """
        inside = torch.where(self.open.unsqueeze(-1), value, self.base.mean)
        return torch.where(self.open, self.base.log_prob(inside), 0.0)

    def expand(self, batch_shape: Any, _instance: Any = None) -> "Held":
        """The same distribution over a larger batch."""
        if same_shape(batch_shape, self._batch_shape):
            return self
        batch_shape = Size(batch_shape)
        return Held(
            self.base.expand(batch_shape),
            self.held.expand(batch_shape + self.event_shape),
            self.open.expand(batch_shape),
        )


@register_kl(Held, Held)
def _kl_held_held(q: Held, p: Held) -> Tensor:
    return torch.where(q.open, kl_divergence(q.base, p.base), 0.0)
