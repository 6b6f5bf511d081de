"""A relaxed Bernoulli in logit space, and the straight-through step that makes a gate of it."""

from typing import Any

import torch
import torch.nn.functional as F
from pyro.distributions import TorchDistribution
from torch import Size, Tensor
from torch.distributions import constraints

from pyrovp.lazy import Lazy, force
from pyrovp.shapes import same_shape

__all__ = ["LogitRelaxedBernoulli", "straight_through"]


class LogitRelaxedBernoulli(TorchDistribution):
    """The concrete distribution of log-odds, before the sigmoid.

        y = (logits + noise) / τ              noise logistic
        log p(y) = log τ + d - 2 log(1 + e^d)  with d = logits - τ y

    torch's class of this name draws reparametrised samples but says `has_rsample = False`,
    whereupon Pyro draws without gradient and says nothing. It also draws by way of probabilities,
    which clips log-odds beyond 16 in float32, and scores e^d, which overflows beyond 88; here
    both are exact. Densities in logit space stay finite at low temperatures, where those of the
    relaxed value in (0, 1) do not.

    Reference:
        The Concrete Distribution (Maddison, Mnih, Teh, 2017), Appendix B.

    Args:
        temperature: τ > 0, a scalar.
        logits: Log-odds of 1, or how to compute them.

    Shapes:
        logits: [...]
        batch_shape: [...]
        event_shape: []

    Example:
        >>> gate = LogitRelaxedBernoulli(torch.tensor(0.5), torch.zeros(4))
        >>> gate.rsample().shape
        torch.Size([4])
    """

    has_rsample = True
    support = constraints.real
    arg_constraints: dict[str, constraints.Constraint] = {}

    def __init__(
        self, temperature: Tensor, logits: Tensor | Lazy, validate_args: bool | None = None
    ) -> None:
        self.temperature = temperature
        self.raw = logits
        self._batch_shape = logits.shape
        self._event_shape = Size()
        # Distribution.__init__ would check constraints that the gate guarantees, at each frame.
        self._validate_args = False

    @property
    def logits(self) -> Tensor:
        """Log-odds of 1, [...]."""
        return force(self.raw)

    def rsample(self, sample_shape: Any = Size()) -> Tensor:  # noqa: B008
        """(logits + logistic noise) / τ, noise from the ambient generator."""
        logits = self.logits
        uniform = torch.rand(
            Size(sample_shape) + logits.shape, dtype=logits.dtype, device=logits.device
        )
        noise = torch.logit(uniform, eps=torch.finfo(uniform.dtype).eps)
        return (logits + noise) / self.temperature

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-density in nats, [...]."""
        difference = self.logits - value * self.temperature
        return self.temperature.log() + difference - 2 * F.softplus(difference)

    def expand(self, batch_shape: Any, _instance: Any = None) -> "LogitRelaxedBernoulli":
        """The same distribution over a larger batch."""
        if same_shape(batch_shape, self._batch_shape):
            return self
        return LogitRelaxedBernoulli(self.temperature, self.logits.expand(Size(batch_shape)))


def straight_through(logit: Tensor) -> Tensor:
    """The hard gate 1[logit > 0], with the gradient of sigmoid(logit).

    Shapes:
        logit: [...]
        returns: [...], exactly 0 or 1

    Example:
        >>> logit = torch.tensor([-1.0, 2.0], requires_grad=True)
        >>> straight_through(logit).detach()
        tensor([0., 1.])
    """
    soft = logit.sigmoid()
    return (logit > 0).to(soft.dtype) + (soft - soft.detach())
