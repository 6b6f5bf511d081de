r"""Long clips in little memory: activations of encoder and decoder made again for the gradient.

    memory of a step  =  what recurrence, features and frames take, ~ B T
                         + activations of the frame networks: ~ `frames` in place of ~ B T

Encoder and decoder run forward twice. The gradient is the same but for the order of sums. See
`pyrovp.nets.remade`.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from pyrovp.nets.batch_norm import StepBatchNorm2d
from pyrovp.nets.remade import remaking
from pyrovp.nets.skip_decoder import SkipDecoder

__all__ = ["recompute"]


def recompute(objective: nn.Module, *, frames: int) -> AbstractContextManager[None]:
    """A context for the evaluation of a loss that is to be differentiated.

    Networks that go through a clip step by step (those with BatchNorms of each step's statistics,
    decoders with a memory) take as many whole steps as make up so many frames, at least one.
    Weights, their names and the running statistics of BatchNorms are what they are without it.

    Args:
        objective: Of a model with a `hierarchy`.
        frames: Frames, of all sequences together, whose activations are held at a time.

    Raises:
        ValueError: For fewer than 1 frame, or networks whose BatchNorms pool their statistics
            over time: taken in parts, these would be another function.

    Example:
        >>> import torch
        >>> from pyrovp import Objective, guides, models
        >>> model = models.cwvae(resolution=16, width=0.1)
        >>> objective = Objective(model, guides.cwvae(model))
        >>> with recompute(objective, frames=64):
        ...     loss = objective(torch.rand(2, 100, 1, 16, 16)).loss
        >>> loss.backward()
    """
    for network in _networks(objective):
        pooled = [name for name, part in network.named_modules() if _pools(network, part)]
        if pooled:
            raise ValueError(
                f"the frames of a {type(network).__name__} cannot be taken in parts: its "
                f"BatchNorms ({pooled[0]}, ...) take their statistics over all frames at once; "
                "use train.recompute=0, or fewer sequences at a time (train.accumulate)"
            )
    return remaking(frames)


def _networks(objective: nn.Module) -> Iterator[nn.Module]:
    """Encoder and decoder."""
    hierarchy: Any = getattr(getattr(objective, "model", None), "hierarchy", None)
    encoder, emission = (getattr(hierarchy, name, None) for name in ("encoder", "emission"))
    for network in (encoder, getattr(emission, "decoder", emission)):
        if isinstance(network, nn.Module):
            yield network


def _pools(network: nn.Module, part: nn.Module) -> bool:
    """Whether a part of a network takes statistics over more than one time step."""
    if not isinstance(part, _BatchNorm):
        return False
    by_step = isinstance(getattr(network, "features", None), dict)  # called with its steps
    each = isinstance(part, StepBatchNorm2d) and part.statistics == "each"
    return not (each and (by_step or isinstance(network, SkipDecoder)))
