r"""BatchNorm of a clip's frames, with statistics of each time step.

    y_t = γ (x_t - mean_t) / √(var_t + ε) + β        mean_t, var_t over the B maps of step t

A recurrent model that calls its networks once per frame normalises a frame by that frame's batch.
Networks that run once over all T B maps must do the same to be the same function: statistics
pooled over time would let frames see the future, and shift with the length of a clip. Running
statistics move once per step, in the order of time:

    r <- (1 - m) r + m mean_t,        t = 1 ... T

In evaluation the running statistics stand for both, and steps play no part.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

__all__ = ["Statistics", "StepBatchNorm2d", "batch_statistics", "running_kept"]

Statistics = Literal["each", "pooled"]


class StepBatchNorm2d(nn.BatchNorm2d):
    """`nn.BatchNorm2d` as if each time step had been a call of its own.

    Args:
        channels: Of the maps.
        statistics: In training, those of `"each"` step, or `"pooled"` over all steps of a call,
            which is another function and somewhat faster.

    Shapes:
        x: [T B, channels, H, W], time in front
        returns: [T B, channels, H, W]

    Raises:
        ValueError: For other statistics; in a call, if the maps are not a whole number to a step,
            or if in training a statistic would be that of a single value.

    Example:
        >>> StepBatchNorm2d(3)(torch.rand(5 * 2, 3, 4, 4), steps=5).shape
        torch.Size([10, 3, 4, 4])
    """

    def __init__(self, channels: int, statistics: Statistics = "each") -> None:
        super().__init__(channels)
        if statistics not in ("each", "pooled"):
            raise ValueError(
                f"a BatchNorm's statistics are those of 'each' step or 'pooled' over all of them, "
                f"got {statistics!r}"
            )
        self.statistics = statistics

    def forward(self, x: Tensor, steps: int = 1) -> Tensor:
        """The normalised maps of so many time steps."""
        if steps < 1 or len(x) % steps:
            raise ValueError(
                f"{len(x)} maps cannot be those of {steps} time steps; put time in front and "
                f"flatten, [B, T, ...] -> [T B, ...], with steps=T"
            )
        if not self.training:
            return super().forward(x)
        parts = steps if self.statistics == "each" else 1
        if x.numel() == parts * x.shape[1]:
            raise ValueError(
                f"in training BatchNorm needs more than one value per channel and statistic, got "
                f"maps {list(x.shape)} of {steps} time steps; use a batch of at least 2 sequences"
            )
        if parts == 1:
            return super().forward(x)
        return torch.cat([super(StepBatchNorm2d, self).forward(step) for step in x.chunk(parts)])

    def extra_repr(self) -> str:
        """The layer's arguments, for printing."""
        return f"{super().extra_repr()}, statistics={self.statistics!r}"


@contextmanager
def batch_statistics(*modules: nn.Module) -> Iterator[None]:
    """Every BatchNorm inside uses its batch's statistics, and keeps its running ones as they are.

    What SVG's released code does at test time: it never leaves the training mode. A sequence's
    prediction then depends on the others of its batch.
    """
    norms = [part for m in modules for part in m.modules() if isinstance(part, _BatchNorm)]
    before = [(norm, norm.training) for norm in norms]
    with running_kept(*norms):
        try:
            for norm in norms:
                norm.train()
            yield
        finally:
            for norm, training in before:
                norm.train(training)


@contextmanager
def running_kept(*modules: nn.Module) -> Iterator[None]:
    """Those of these modules that are BatchNorms keep their running statistics as they are."""
    norms = [part for part in modules if isinstance(part, _BatchNorm)]
    before = [(norm, norm.momentum) for norm in norms]
    counts = [norm.num_batches_tracked for norm in norms]
    kept = [None if count is None else count.clone() for count in counts]
    try:
        for norm in norms:
            norm.momentum = 0.0
        yield
    finally:
        for norm, momentum in before:
            norm.momentum = momentum
        for count, value in zip(counts, kept, strict=True):
            if count is not None and value is not None:
                count.copy_(value)
