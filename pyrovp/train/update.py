r"""One update of the weights.

    g = (1/n) Σ_i ∇ loss(θ, videos_i)          over n equal parts of a batch
    g <- mean of g over the processes
    θ <- Adam(clip(g))

An update reads nothing back from its device: what it returns stays there. What else a step is
made of (noise, β, the learning rate) is set before, by the loop.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from pyrovp.processes import Processes

__all__ = ["Bound", "Outcome", "Update", "clip_gradient"]


class Bound(Protocol):
    """What an objective returns: a loss to differentiate and what it is made of."""

    @property
    def loss(self) -> Tensor:
        """Scalar."""

    @property
    def parts(self) -> dict[str, Tensor]:
        """Detached scalars by name."""


class Outcome(NamedTuple):
    """What an update has to say; scalars on its device, without a graph.

    Args:
        loss: Mean over the batch.
        norm: Of the gradient, before clipping.
        parts: Of the loss, by name; means over the batch.
    """

    loss: Tensor
    norm: Tensor
    parts: dict[str, Tensor]


class Update:
    """Loss, gradient, clipping and optimiser.

    Args:
        objective: `objective(video)` returns a `Bound`.
        optimizer: Of the objective's parameters.
        clip: Largest norm of the gradient over all parameters; None leaves it as it is.
        processes: That train together, each on its share of the batch.
        accumulate: Parts that a batch is taken in, one after the other: less memory, the
            same mean. Statistics of BatchNorms are those of a part.
        inside: Makes a context for all of it, such as a precision.

    Shapes:
        video: [B, T, C, H, W]

    Raises:
        ValueError: In a call, if the batch does not come apart into equal parts.
    """

    def __init__(
        self,
        objective: nn.Module,
        optimizer: torch.optim.Optimizer,
        *,
        clip: float | None = None,
        processes: Processes = Processes(),  # noqa: B008
        accumulate: int = 1,
        inside: Callable[[], AbstractContextManager[Any]] = nullcontext,
    ) -> None:
        self.objective = objective
        self.optimizer = optimizer
        self.clip = clip
        self.processes = processes
        self.accumulate = accumulate
        self.inside = inside
        self.parameters = [p for group in optimizer.param_groups for p in group["params"]]

    def __call__(self, video: Tensor) -> Outcome:
        """Takes one step."""
        self.optimizer.zero_grad()
        with self.inside():
            outcomes = [self._gradient(part) for part in self._parts(video)]
            self.processes.average(self.objective)
            norm = clip_gradient(self.parameters, self.clip)
            self.optimizer.step()
        return Outcome(
            torch.stack([loss for loss, _ in outcomes]).sum(0),
            norm.detach(),
            {
                name: torch.stack([parts[name] for _, parts in outcomes]).mean(0)
                for name in outcomes[0][1]
            },
        )

    def _parts(self, video: Tensor) -> Sequence[Tensor]:
        """The parts of a batch."""
        if len(video) % self.accumulate:
            raise ValueError(
                f"a batch of {len(video)} sequences does not come apart into "
                f"train.accumulate={self.accumulate} equal parts"
            )
        return video.chunk(self.accumulate)

    def _gradient(self, video: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Adds the gradient of a part's share of the mean."""
        bound: Bound = self.objective(video)
        loss = bound.loss / self.accumulate
        loss.backward()
        return loss.detach(), {name: part.detach() for name, part in bound.parts.items()}


def clip_gradient(parameters: Sequence[nn.Parameter], norm: float | None) -> Tensor:
    """Scales the gradient down to a norm over all parameters.

    Args:
        parameters: Those without a gradient are passed over.
        norm: The largest norm; None leaves the gradient as it is.

    Returns:
        The norm it had, [].
    """
    if norm is not None:
        return nn.utils.clip_grad_norm_(parameters, norm)
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    return nn.utils.get_total_norm(gradients)
