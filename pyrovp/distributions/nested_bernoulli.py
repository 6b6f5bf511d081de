"""The gate's distribution: a Bernoulli that is only there where the level below changed."""

from typing import Any

import torch
import torch.nn.functional as F
from pyro.distributions import TorchDistribution
from torch import Size, Tensor
from torch.distributions import constraints, register_kl

from pyrovp.lazy import Lazy, force
from pyrovp.shapes import common_shape, same_shape

__all__ = ["NestedBernoulli"]


class NestedBernoulli(TorchDistribution):
    """p(e | below): Bernoulli(logit) where open, e = 0 with certainty where closed.

    Reference:
        Long-Horizon Video Prediction Using a Dynamic Latent Hierarchy (Zakharov, Guo, Fountas,
        2022), Section 2.3, Eq. 5: q(e^{n+1} = 1 | e^n = 0) = 0.

    Args:
        logit: Log-odds of a change, or how to compute them.
        open: Where the level may change; None: everywhere.
        score_closed: False (nested model): a closed gate scores 0, as p(e = 0 | closed) = 1.
            True: log p(e = 0) counts there too, as Eq. 8c is written; not normalised then.

    Shapes:
        logit: [...]
        open: bool [...]
        batch_shape: [...]
        event_shape: []

    Example:
        >>> gate = NestedBernoulli(torch.zeros(2), open=torch.tensor([True, False]))
        >>> gate.mean, gate.log_prob(torch.zeros(2)).exp()
        (tensor([0.5000, 0.0000]), tensor([0.5000, 1.0000]))
    """

    support = constraints.boolean
    arg_constraints: dict[str, constraints.Constraint] = {}

    def __init__(
        self,
        logit: Tensor | Lazy,
        open: Tensor | None = None,
        score_closed: bool = False,
        validate_args: bool | None = None,
    ) -> None:
        self.raw = logit
        self.open = open
        self.score_closed = score_closed
        self._batch_shape = logit.shape if open is None else common_shape(logit.shape, open.shape)
        self._event_shape = Size()
        self._validate_args = False

    @property
    def logit(self) -> Tensor:
        """Log-odds of a change [...]."""
        return force(self.raw)

    @property
    def mean(self) -> Tensor:
        """Probability of a change [...]: 0 where closed."""
        probability = self.logit.sigmoid()
        return probability if self.open is None else probability * self.open

    @property
    def variance(self) -> Tensor:
        """p (1 - p), [...]."""
        return self.mean * (1 - self.mean)

    def sample(self, sample_shape: Any = Size()) -> Tensor:  # noqa: B008
        """A draw of e as a float 0 or 1, [*sample_shape, ...]."""
        with torch.no_grad():
            mean = self.mean
            return torch.bernoulli(mean.expand(Size(sample_shape) + mean.shape))

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-probability of e in nats, [...]; -inf for a change where closed."""
        changed = value > 0
        logit = self.logit
        score = -F.softplus(torch.where(changed, -logit, logit))
        if self.open is None:
            return score
        closed = score if self.score_closed else torch.zeros_like(score)
        return torch.where(self.open, score, torch.where(changed, -torch.inf, closed))

    def expand(self, batch_shape: Any, _instance: Any = None) -> "NestedBernoulli":
        """The same distribution over a larger batch."""
        opened = self.raw.shape if self.open is None else self.open.shape
        if same_shape(batch_shape, self.raw.shape, opened):
            return self
        batch_shape = Size(batch_shape)
        return NestedBernoulli(
            self.logit.expand(batch_shape),
            None if self.open is None else self.open.expand(batch_shape),
            self.score_closed,
        )


@register_kl(NestedBernoulli, NestedBernoulli)
def _kl_bernoulli_bernoulli(q: NestedBernoulli, p: NestedBernoulli) -> Tensor:
    ours, theirs = q.logit, p.logit
    # log(1 - q) - log(1 - p) = softplus(theirs) - softplus(ours)
    kl = ours.sigmoid() * (ours - theirs) + F.softplus(theirs) - F.softplus(ours)
    if q.open is None:
        return kl
    # Where closed, e = 0 with certainty: what is left is log q(0) - log p(0), as each scores it.
    closed = torch.zeros_like(kl)
    if p.score_closed:
        closed = closed + F.softplus(theirs)
    if q.score_closed:
        closed = closed - F.softplus(ours)
    return torch.where(q.open, kl, closed)
