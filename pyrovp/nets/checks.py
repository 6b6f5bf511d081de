"""Checks of what the frame networks are given, and the sizes that they share."""

from numbers import Real

from torch import Tensor, nn

from pyrovp.checks import check_frame_shape

__all__ = [
    "check_frames",
    "check_module",
    "check_output",
    "check_vectors",
    "halvings",
    "scaled",
]

RESOLUTIONS = (16, 32, 64, 128)


def halvings(resolution: int) -> int:
    """How often a frame is halved down to a map of 4 pixels.

    Raises:
        ValueError: If the side is not 16, 32, 64 or 128 pixels.

    Example:
        >>> [halvings(resolution) for resolution in (16, 32, 64, 128)]
        [2, 3, 4, 5]
    """
    if not isinstance(resolution, int) or resolution not in RESOLUTIONS:
        raise ValueError(
            f"frames must be {', '.join(map(str, RESOLUTIONS[:-1]))} or {RESOLUTIONS[-1]} pixels "
            f"high and wide, got resolution={resolution!r}; resize them, or use another network"
        )
    return resolution.bit_length() - 3


def scaled(channels: int, width: float) -> int:
    """So many channels times the width, at least one.

    Raises:
        ValueError: For a width that is not positive.
    """
    if not isinstance(width, Real) or not width > 0:
        raise ValueError(f"width multiplies channels and must be a positive number, got {width!r}")
    return max(1, round(channels * width))


def check_module(name: str, module: nn.Module | None) -> None:
    """Refuses what frames are to go through and is not a module."""
    if module is not None and not isinstance(module, nn.Module):
        raise TypeError(
            f"{name} must be a module such as nn.Tanh() or nn.Identity(), got {module!r}"
        )


def check_output(output: nn.Module | None) -> None:
    """Refuses an activation of the frames that is not a module."""
    check_module("output", output)


def check_frames(x: Tensor, channels: int, resolution: int) -> None:
    """Refuses what is not a batch of frames [N, channels, resolution, resolution]."""
    if x.dim() != 4:
        raise ValueError(
            f"this encoder takes frames [N, {channels}, {resolution}, {resolution}], got "
            f"{list(x.shape)}; flatten a video's batch and time into N"
        )
    check_frame_shape(x.shape[1:], (channels, resolution, resolution))


def check_vectors(z: Tensor, inputs: int) -> None:
    """Refuses what is not a batch of vectors [N, inputs]."""
    if z.dim() != 2 or z.shape[1] != inputs:
        raise ValueError(
            f"this decoder takes features [N, {inputs}], got {list(z.shape)}; flatten batch and "
            f"time first"
        )
