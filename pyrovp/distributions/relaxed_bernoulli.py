"""A relaxed Bernoulli in logit space, and the straight-through step that makes a gate of it."""

from typing import Any

import pyro.distributions as dist
import torch
import torch.nn.functional as F
from pyro.distributions.torch_distribution import TorchDistributionMixin
from torch import Tensor
from torch.distributions.relaxed_bernoulli import LogitRelaxedBernoulli as _LogitRelaxedBernoulli

from pyrovp.distributions.shapes import same_shape

__all__ = ["LogitRelaxedBernoulli", "straight_through"]


class LogitRelaxedBernoulli(_LogitRelaxedBernoulli, TorchDistributionMixin):
    """The concrete distribution of log-odds, before the sigmoid.

        y = (logits + noise) / τ              noise logistic
        log p(y) = log τ + d - 2 log(1 + e^d)  with d = logits - τ y

    torch's own class draws reparametrised samples but says `has_rsample = False`, whereupon
    Pyro draws without gradient and says nothing. It also draws by way of probabilities, which
    clips log-odds beyond 16 in float32, and scores e^d, which overflows beyond 88; here both are
    exact. Densities in logit space stay finite at low temperatures, where those of the relaxed
    value in (0, 1) do not.

    Reference:
        The Concrete Distribution (Maddison, Mnih, Teh, 2017), Appendix B.

    Args:
        temperature: τ > 0.
        logits: Log-odds of 1.

    Shapes:
        logits: [...]
    """

    has_rsample = True

    def __init__(
        self, temperature: Tensor, logits: Tensor, validate_args: bool | None = None
    ) -> None:
        super().__init__(temperature, logits=logits, validate_args=validate_args)

    def rsample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: B008
        """(logits + logistic noise) / τ, noise from the ambient generator."""
        shape = self._extended_shape(sample_shape)
        uniform = torch.rand(shape, dtype=self.logits.dtype, device=self.logits.device)
        eps = torch.finfo(uniform.dtype).eps
        noise = torch.logit(uniform.clamp(eps, 1 - eps))
        return (self.logits + noise) / self.temperature

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-density in nats, [...]."""
        difference = self.logits - value * self.temperature
        return self.temperature.log() + difference - 2 * F.softplus(difference)

    def expand(self, batch_shape: Any, _instance: Any = None) -> "LogitRelaxedBernoulli":
        """The same distribution over a larger batch."""
        if same_shape(batch_shape, self.batch_shape):
            return self
        return LogitRelaxedBernoulli(
            self.temperature, self.logits.expand(torch.Size(batch_shape)), validate_args=False
        )

    def mask(self, mask: Any) -> "dist.MaskedDistribution":
        """Scores only where `mask`."""
        return dist.MaskedDistribution(self, mask)


def straight_through(logit: Tensor) -> Tensor:
    """The hard gate 1[logit > 0], with the gradient of sigmoid(logit).

    Shapes:
        logit: [...]
        returns: [...], exactly 0 or 1
    """
    soft = logit.sigmoid()
    return (logit > 0).to(soft.dtype) + (soft - soft.detach())
