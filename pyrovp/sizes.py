"""Sizes of what travels between the parts: vectors, and maps with a place."""

from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Map", "Size", "batch_of", "channels", "dims", "pooled"]


class Map(NamedTuple):
    """The size of a square map [..., C, r, r].

    Args:
        channels: C.
        resolution: r, in pixels of the map.
    """

    channels: int
    resolution: int


Size = int | Map
"""A vector's length, or a map's channels and resolution."""


def dims(size: Size) -> tuple[int, ...]:
    """The dimensions that a value of this size has.

    Example:
        >>> dims(20), dims(Map(channels=512, resolution=8))
        ((20,), (512, 8, 8))
    """
    if isinstance(size, Map):
        return (size.channels, size.resolution, size.resolution)
    return (size,)


def batch_of(value: Tensor, size: Size) -> torch.Size:
    """The leading dimensions of a value of this size."""
    return value.shape[: value.dim() - len(dims(size))]


def channels(size: Size) -> int:
    """A vector's length, or a map's channels: what is left of it without its place."""
    return dims(size)[0]


def pooled(value: Tensor, size: Size) -> Tensor:
    """A vector [..., channels(size)] of a value of this size: the mean over a map's place."""
    return value.mean((-2, -1)) if isinstance(size, Map) else value
