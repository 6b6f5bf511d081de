r"""The precision that frame networks run in, and where it ends.

    y = float32(network(bf16(x)))

Nearly all arithmetic of a training step lies in the networks of frames and maps, and these bear
eight bits; small recurrent memories, distributions and sums over pixels do not. So inside
`lowering(...)` what is called through `lowered(network)` runs under autocast and hands float32 on,
and everything else stays as it is. Weights and their gradients are float32 throughout.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor

__all__ = ["lowered", "lowering"]

R = TypeVar("R")


class _Place(NamedTuple):
    """Where, and in what, networks run."""

    device: str
    dtype: torch.dtype


_place: ContextVar[_Place | None] = ContextVar("pyrovp_lowered", default=None)


@contextmanager
def lowering(device: torch.device, dtype: torch.dtype) -> Iterator[None]:
    """Networks that are called through `lowered` run in this type.

    Args:
        device: Of their tensors.
        dtype: A floating-point type that autocast knows, such as `torch.bfloat16`.
    """
    token = _place.set(_Place(device.type, dtype))
    try:
        yield
    finally:
        _place.reset(token)


def lowered(network: Callable[..., R]) -> Callable[..., R]:
    """`network`, inside `lowering` in its type, with results in float32; elsewhere itself.

    Args:
        network: A module, or a method of one, that makes tensors, alone or in tuples or
            dictionaries.

    Example:
        >>> layer, x = torch.nn.Linear(3, 2), torch.zeros(5, 3)
        >>> with lowering(torch.device("cpu"), torch.bfloat16):
        ...     lowered(lambda x: print(layer(x).dtype) or layer(x))(x).dtype
        torch.bfloat16
        torch.float32
    """
    place = _place.get()
    return network if place is None else partial(_run, place, network)


def _run(place: _Place, network: Callable[..., R], *args: Any, **kwargs: Any) -> R:
    # What the network is made of hands on to it: only the outermost border is one.
    token = _place.set(None)
    try:
        with torch.autocast(place.device, place.dtype):
            result = network(*args, **kwargs)
    finally:
        _place.reset(token)
    return _raised(result, place.dtype)


def _raised(result: Any, dtype: torch.dtype) -> Any:
    """The result with tensors of this type in float32."""
    if isinstance(result, Tensor):
        return result.float() if result.dtype is dtype else result
    if isinstance(result, dict):
        return {key: _raised(value, dtype) for key, value in result.items()}
    if isinstance(result, tuple):
        return tuple(_raised(value, dtype) for value in result)
    return result
