"""Annealing: how the weight β of the KLs, or a relaxation's temperature τ, goes with the steps.

    linear         β(step) = start + (end - start) · step / steps     until step `steps`, then end
    exponential    τ(step) = floor + (start - floor) · rate^(step / every)

A schedule is a function of the step's number alone. β belongs to the objective; a module with a
quantity of its own to anneal has a method `set_step(step)`, which the objective calls.
"""

import math
from dataclasses import dataclass

from pyro.poutine.messenger import Messenger
from torch import Tensor

from pyrovp import sites

__all__ = ["Exponential", "Linear", "Tempered"]


@dataclass(frozen=True)
class Linear:
    """β from `start` to `end` over the first `steps` steps, then constant.

    Args:
        start: β at step 0. Just above 0 rather than 0: the stock bounds scale densities and
            refuse to scale by nothing.
        end: β from step `steps` on.
        steps: Length of the way; 0: β is `end` throughout.

    Raises:
        ValueError: For a negative number.

    Example:
        >>> beta = Linear(start=0.01, end=1.0, steps=100)
        >>> beta(0), beta(50), beta(1000)
        (0.01, 0.505, 1.0)
    """

    start: float = 0.01
    end: float = 1.0
    steps: int = 0

    def __post_init__(self) -> None:
        if self.steps < 0:
            raise ValueError(f"annealing takes 0 or more steps, got {self.steps}")
        if min(self.start, self.end) < 0:
            raise ValueError(f"β is not negative, got start {self.start} and end {self.end}")

    def __call__(self, step: int) -> float:
        """β at a step."""
        if step >= self.steps:
            return self.end
        return self.start + (self.end - self.start) * step / self.steps


@dataclass(frozen=True)
class Exponential:
    """From `start` towards `floor`, by the same factor every so many steps.

    Args:
        start: The value at step 0.
        rate: The factor by which the distance to the floor shrinks, above 0 and at most 1.
        floor: The value that is approached; 0 unless given.
        every: Steps that one factor takes.

    Raises:
        ValueError: If the rate lies outside (0, 1], `every` is not positive, or the floor is
            negative or above the start.

    Reference:
        Variational Temporal Abstraction (Kim, Ahn, Bengio, 2019), whose implementation takes
        τ = 0.9 · 0.999^(step / 100) + 0.1, as below.

    Example:
        >>> temperature = Exponential(start=1.0, rate=0.999, floor=0.1, every=100)
        >>> temperature(0), round(temperature(100), 4), round(temperature(10**9), 4)
        (1.0, 0.9991, 0.1)
    """

    start: float
    rate: float
    floor: float = 0.0
    every: float = 1

    def __post_init__(self) -> None:
        if not 0 < self.rate <= 1:
            raise ValueError(
                f"an exponential's rate lies above 0 and at most at 1, got {self.rate}"
            )
        if not self.every > 0:
            raise ValueError(f"one factor takes a positive number of steps, got {self.every}")
        if not (0 <= self.floor <= self.start and math.isfinite(self.start)):
            raise ValueError(
                f"a schedule falls from its start to its floor, neither of them negative, got "
                f"start {self.start} and floor {self.floor}"
            )

    def __call__(self, step: int) -> float:
        """The value at a step."""
        return self.floor + (self.start - self.floor) * self.rate ** (step / self.every)


class Tempered(Messenger):
    """Scales the latents' densities by β, for Pyro's own bounds.

    Used around model and guide alike, it turns `Trace_ELBO` and `TraceMeanField_ELBO` into their
    β-weighted forms.

    Args:
        beta: Positive: a number, or a tensor (scalar, or [L] for one per level).

    Raises:
        ValueError: If β is a number that is not positive, or there are fewer β than levels.

    Example:
        >>> import pyro
        >>> import pyro.distributions as dist
        >>> with pyro.poutine.trace() as trace, Tempered(0.5):
        ...     _ = pyro.sample("z_1_0", dist.Normal(0.0, 1.0))
        >>> trace.trace.nodes["z_1_0"]["scale"]
        0.5
    """

    def __init__(self, beta: float | Tensor) -> None:
        super().__init__()
        if not isinstance(beta, Tensor) and beta <= 0:
            raise ValueError(
                f"β has to be positive with Pyro's own bounds, got {beta}; "
                "let the schedule start just above 0, or use HierarchyELBO"
            )
        self.beta = beta

    def _pyro_sample(self, msg: dict) -> None:
        where = sites.parse(msg["name"])
        if where is None or msg["is_observed"]:
            return
        beta = self.beta
        if isinstance(beta, Tensor) and beta.dim() == 1:
            if where.level > len(beta):
                raise ValueError(f"there are {len(beta)} β, but {msg['name']} is of another level")
            beta = beta[where.level - 1]
        msg["scale"] = msg["scale"] * beta
