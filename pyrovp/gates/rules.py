r"""Rules by which a guide infers a gate from what the level believes.

    KLComparison   e = 1  iff  KL[q ‖ change] < KL[q ‖ static]
    VaDE           q(e = 0) = σ(KL[q ‖ change] - KL[q ‖ static] + logit p(e = 0))

The smaller divergence wins. Neither comparison carries a gradient.
"""

import abc
from dataclasses import dataclass

import pyro.distributions as dist
import torch
from torch import Tensor

from pyrovp.distributions import Decided, NestedBernoulli, normal_kl
from pyrovp.lazy import Lazy, force

__all__ = ["KLComparison", "Rule", "VaDE"]


class Rule(abc.ABC):
    """How a guide infers the gate from the beliefs."""

    @abc.abstractmethod
    def infer(
        self, q: Tensor, change: Tensor, static: Tensor, logit: Tensor | Lazy, open: Tensor | None
    ) -> dist.TorchDistribution:
        """The posterior of e.

        Args:
            q, change, static: Packed posterior, change prior and held belief, [..., 2Z].
            logit: Prior log-odds of a change [...].
            open: Where the level may change [...]; None: everywhere.
        """


@dataclass(frozen=True)
class KLComparison(Rule):
    """The component under which the posterior is more likely, taken with certainty.

    Reference:
        Long-Horizon Video Prediction Using a Dynamic Latent Hierarchy (Zakharov, Guo, Fountas,
        2022), Eq. 4 and 21.

    Example:
        >>> seen, change, static = torch.tensor([[1.0, 0.1], [1.0, 0.1], [0.0, 0.1]])
        >>> KLComparison().infer(seen, change, static, logit=torch.zeros(()), open=None).mean
        tensor(1.)
    """

    def infer(
        self, q: Tensor, change: Tensor, static: Tensor, logit: Tensor | Lazy, open: Tensor | None
    ) -> dist.TorchDistribution:
        """A point mass on 1 where KL[q ‖ change] < KL[q ‖ static] and the level is open."""
        moved, stayed = _divergences(q, change, static)
        e = moved < stayed
        return Decided((e if open is None else e & open).to(q.dtype))


@dataclass(frozen=True)
class VaDE(Rule):
    """The soft assignment of a Gaussian-mixture VAE; the structure follows a draw from it.

    The analytic bound weighs the two KLs by q(e) (Eq. 9). The paper found it worse.

    Reference:
        As above, Eq. 34.

    Example:
        >>> seen, change, static = torch.tensor([[1.0, 0.5], [1.0, 0.5], [0.0, 0.5]])
        >>> e = VaDE().infer(seen, change, static, logit=torch.zeros(()), open=None)
        >>> e.logit, round(e.mean.item(), 3)  # KL[q ‖ static] is (1 / 0.5)² / 2
        (tensor(2.), 0.881)
    """

    def infer(
        self, q: Tensor, change: Tensor, static: Tensor, logit: Tensor | Lazy, open: Tensor | None
    ) -> dist.TorchDistribution:
        """Bernoulli with log-odds KL[q ‖ static] - KL[q ‖ change] + logit p(e = 1)."""
        moved, stayed = _divergences(q, change, static)
        return NestedBernoulli((stayed - moved + force(logit)).detach(), open)


def _divergences(q: Tensor, change: Tensor, static: Tensor) -> tuple[Tensor, Tensor]:
    both = torch.stack(torch.broadcast_tensors(change, static))
    moved, stayed = normal_kl(q.detach(), both.detach()).unbind()
    return moved, stayed
