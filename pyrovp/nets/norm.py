r"""Group normalisation of maps, for any number of channels.

    y = γ (x - mean) / √(var + ε) + β        mean, var over the pixels of a group of channels

Papers give a number of groups for their width, and narrower models have channels that it does not
divide. On a map of one pixel a channel is a single value, so that a group needs several channels.
"""

from torch import nn

__all__ = ["groups", "map_norm"]


def groups(channels: int, at_most: int, resolution: int | None = None) -> int:
    """The largest divisor of `channels` that is not above `at_most`.

    Args:
        channels: Of the map.
        at_most: The number of groups of the published width.
        resolution: Of the map. At one pixel a group has two channels or more: a lone value,
            normalised, is always zero.

    Raises:
        ValueError: If a number is below 1.

    Example:
        >>> groups(512, 16), groups(24, 16), groups(7, 4), groups(16, 16, resolution=1)
        (16, 12, 1, 8)
    """
    if channels < 1 or at_most < 1:
        raise ValueError(
            f"groups of channels need at least one of both, got channels={channels} and "
            f"at_most={at_most}"
        )
    most = min(channels, at_most) if resolution != 1 else min(max(1, channels // 2), at_most)
    return next(n for n in range(most, 0, -1) if channels % n == 0)


def map_norm(channels: int, at_most: int, resolution: int) -> nn.GroupNorm:
    """A group norm of at most so many groups; of one group on maps of one pixel.

    Args:
        channels: Of the map.
        at_most: Groups, where the channels are divisible by it.
        resolution: Of the map.

    Shapes:
        x: [N, channels, resolution, resolution]
    """
    return nn.GroupNorm(1 if resolution == 1 else groups(channels, at_most), channels)
