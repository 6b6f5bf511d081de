r"""Activations that are made again for the gradient instead of being kept.

    forward     y_i = network(x_i)       part after part of the frames; x_i and y_i are kept
    backward    from the last part: its activations once more, then their gradient

Inside `remaking(frames)` a network's activations are held for so many frames at a time, at the
price of running it forward twice. Random numbers are the same both times, and the running
statistics of BatchNorms move in the first one only.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd
from torch.utils.checkpoint import checkpoint

from pyrovp.nets.batch_norm import running_kept

__all__ = ["apart", "at_once", "joined", "remade", "remaking"]

R = TypeVar("R")

_frames: ContextVar[int | None] = ContextVar("pyrovp_remade", default=None)


@contextmanager
def remaking(frames: int) -> Iterator[None]:
    """Networks of frames keep the activations of so many at a time.

    Args:
        frames: At least 1.

    Raises:
        ValueError: For fewer.
    """
    if frames < 1:
        raise ValueError(
            f"activations are kept for 1 frame at a time or more, got frames={frames}"
        )
    token = _frames.set(frames)
    try:
        yield
    finally:
        _frames.reset(token)


def at_once(count: int, each: int = 1) -> int:
    """How many of `count` steps, of `each` frames, a network takes at once: all, or fewer.

    Example:
        >>> at_once(100, each=8)
        100
        >>> with remaking(64):
        ...     at_once(100, each=8), at_once(100, each=80)
        (8, 1)
    """
    frames = _remade()
    return count if frames is None else max(1, min(count, frames // each))


def remade(network: Callable[..., R], *args: Any, **kwargs: Any) -> R:
    """`network(*args, **kwargs)`; inside `remaking` its activations are not kept.

    Args:
        network: A module, or a method of one.
        args, kwargs: Its inputs.
    """
    if _remade() is None:
        return network(*args, **kwargs)
    module = getattr(network, "__self__", network)
    parts = list(module.modules()) if isinstance(module, nn.Module) else []

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), running_kept(*parts)

    return checkpoint(
        network,
        *args,
        use_reentrant=False,
        context_fn=contexts,
        # To read a GPU's generator makes the host wait for it.
        preserve_rng_state=any(isinstance(part, _DropoutNd) for part in parts),
        **kwargs,
    )


def apart(x: Tensor, size: int) -> Sequence[Tensor]:
    """Parts of so many along the first dimension."""
    return (x,) if len(x) <= size else x.split(size)


def joined(parts: Sequence[Tensor]) -> Tensor:
    """What a network made of the parts, in one."""
    return parts[0] if len(parts) == 1 else torch.cat(tuple(parts))


def _remade() -> int | None:
    """The frames at a time; None: nothing is made again, as without a gradient."""
    return _frames.get() if torch.is_grad_enabled() else None
