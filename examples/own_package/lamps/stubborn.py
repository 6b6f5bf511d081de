"""A gate's rule: a level changes only where that explains the frames better by some nats.

e = 1  iff  KL[q ‖ static] - KL[q ‖ change] > nats
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from pyrovp.distributions import Decided, normal_kl
from pyrovp.gates import Rule
from pyrovp.lazy import Lazy

__all__ = ["Stubborn"]


@dataclass(frozen=True)
class Stubborn(Rule):
    """pyrovp's KLComparison with a margin.

    Args:
        nats: The margin; at 0 the two are the same.

    Raises:
        ValueError: If it is negative.
    """

    nats: float = 1.0

    def __post_init__(self) -> None:
        if self.nats < 0:
            raise ValueError(f"the margin is a number of nats of at least 0, got {self.nats}")

    def infer(
        self, q: Tensor, change: Tensor, static: Tensor, logit: Tensor | Lazy, open: Tensor | None
    ) -> Decided:
        with torch.no_grad():  # a hard comparison carries no gradient
            e = normal_kl(q, static) - normal_kl(q, change) > self.nats
        return Decided((e if open is None else e & open).to(q.dtype))
