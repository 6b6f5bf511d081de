r"""Evidence: what levels see of the frames.

A frame's features are one vector, or a pyramid of maps, one for each resolution. From a vector a
guide makes a ladder; of a pyramid every level takes the map of its own resolution:

    f^1 = encoder(x),  f^{n+1} = lift_n(f^n)      a ladder
    f^n = encoder(x)[resolution of level n]       a pyramid

    evidence^n_i = Σ_{t in window i} f^n_t        the frames from a tick to the level's next

A clip that ends inside a window is padded with zeros *after* the lift, so a partial window sums
the frames that are there. Where more frames are to come (a context to be continued), a tick whose
window leaves the given frames has no evidence. A memory that reads frames sees f_{t-1} at t.

Reference:
    Clockwork Variational Autoencoders (Saxena, Ba, Hafner, 2021), Section 2, "Inference";
    Improved Conditional VRNNs (Castrejon, Ballas, Courville, 2019), Section 4.2.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from pyrovp.nets.convolution import channels_last
from pyrovp.nets.lowered import lowered
from pyrovp.nets.remade import apart, at_once, joined, remade
from pyrovp.sizes import Map, Size

__all__ = [
    "Features",
    "Ladder",
    "PastFrame",
    "before",
    "encode",
    "features_of",
    "first",
    "seen_size",
    "tap",
    "whole_windows",
    "windows",
]

Features = Tensor | dict[int, Tensor]
"""[B, T, X], or by resolution [B, T, C, r, r]."""


@dataclass(frozen=True)
class PastFrame:
    """A memory that reads the frame before.

    Args:
        resolution: Of the map it takes from a pyramid of features; None: the level's own.

    Example:
        >>> PastFrame(resolution=1)  # SVG's vector of a frame
        PastFrame(resolution=1)
    """

    resolution: int | None = None


class Ladder(nn.Module):
    """Features of each level, each made from those of the level below.

    Args:
        lifts: The networks from level 1 to 2, from 2 to 3, and so on.

    Shapes:
        features: [B, T, X]
        returns: one [B, T, X_n] for each level

    Example:
        >>> import torch
        >>> ladder = Ladder([nn.Linear(8, 4), nn.Linear(4, 2)])
        >>> [rung.shape[-1] for rung in ladder(torch.ones(1, 5, 8))]
        [8, 4, 2]
    """

    def __init__(self, lifts: Sequence[nn.Module]) -> None:
        super().__init__()
        self.lifts = nn.ModuleList(lifts)

    def forward(self, features: Tensor) -> list[Tensor]:
        """The ladder's features, from level 1 upwards."""
        rungs = [features]
        for lift in self.lifts:
            rungs.append(lift(rungs[-1]))
        return rungs


def encode(encoder: nn.Module, video: Tensor) -> Features:
    """The encoder's features of all frames at once, [B, T, C, H, W] -> `Features`.

    Those of a pyramid are stored time-major and channels last, so that one frame's maps are dense.

    Raises:
        ValueError: If the video is of another floating-point type than the encoder.
    """
    weight = next(encoder.parameters(), None)
    if weight is not None and weight.dtype != video.dtype:
        raise ValueError(
            f"the video is {video.dtype}, but the encoder's weights are {weight.dtype}; use "
            f"video.to({weight.dtype}), or .to({video.dtype}) of model and guide"
        )
    batch, length = video.shape[:2]
    if not isinstance(getattr(encoder, "features", None), dict):
        features = lowered(_vectors)(encoder, video.flatten(0, 1))
        return features.unflatten(0, (batch, length))
    frames = channels_last(video.transpose(0, 1).flatten(0, 1))
    pyramid = lowered(_pyramid)(encoder, frames, length)
    return {r: f.unflatten(0, (length, batch)).transpose(0, 1) for r, f in pyramid.items()}


def _vectors(encoder: nn.Module, frames: Tensor) -> Tensor:
    """Features of frames [N, C, H, W]."""
    return joined([remade(encoder, part) for part in apart(frames, at_once(len(frames)))])


def _pyramid(encoder: nn.Module, frames: Tensor, steps: int) -> dict[int, Tensor]:
    """Maps of frames [T B, C, H, W] of so many time steps."""
    batch = len(frames) // steps
    parts = [
        remade(encoder, part, steps=len(part) // batch)
        for part in apart(frames, batch * at_once(steps, batch))
    ]
    return {r: joined([part[r] for part in parts]) for r in parts[0]}


def features_of(encoder: nn.Module) -> int | dict[int, int]:
    """What an encoder says of its features: X of a vector, or {r: C} of maps by resolution.

    Raises:
        ValueError: If it says neither.
    """
    features: Any = getattr(encoder, "features", None)
    if isinstance(features, int | dict):
        return features
    raise ValueError(
        "an encoder has an attribute `features`, the size of its vector or its maps' channels by "
        f"resolution, {{8: 512, 1: 512}}; this {type(encoder).__name__}'s is {features!r}"
    )


def seen_size(encoder: nn.Module, resolution: int, vector: bool) -> Size:
    """The size of what `tap` gives.

    Args:
        encoder: Whose features they are.
        resolution, vector: As for `tap`.

    Raises:
        ValueError: If the encoder has no such map.
    """
    features = features_of(encoder)
    if not isinstance(features, dict):
        if not vector:
            raise ValueError(
                "a memory of maps reads maps, but this encoder makes one vector of a frame; use "
                "an encoder with features by resolution, such as ResidualEncoder"
            )
        return features
    if resolution not in features:
        raise ValueError(
            f"the encoder has no features at {resolution} pixels; it has {sorted(features)}"
        )
    channels = features[resolution]
    return channels * resolution**2 if vector else Map(channels, resolution)


def tap(features: Features, resolution: int, vector: bool) -> Tensor:
    """A level's share of the features: [B, T, C, r, r], or as vectors [B, T, X].

    Args:
        features: Of all frames.
        resolution: r, of the map that is taken from a pyramid.
        vector: Whether the level knows vectors only.
    """
    if not isinstance(features, dict):
        return features
    maps = features[resolution]
    return maps.flatten(-3) if vector else maps


def first(features: Features, count: int) -> Features:
    """Those of the first frames, [B, count, ...]."""
    return _sliced(features, slice(0, count))


def before(features: Features, frames: range) -> Features:
    """Those of the frames before consecutive ones, [B, len(frames), ...]."""
    return _sliced(features, slice(frames[0] - 1, frames[-1]))


def _sliced(features: Features, frames: slice) -> Features:
    if isinstance(features, dict):
        return {resolution: maps[:, frames] for resolution, maps in features.items()}
    return features[:, frames]


def windows(features: Tensor, period: int) -> Tensor:
    """Sums over consecutive windows, the last one padded with zeros.

    Shapes:
        features: [B, T, ...]
        returns: [B, ceil(T / period), ...]

    Example:
        >>> import torch
        >>> windows(torch.ones(1, 5, 1), period=2).flatten()  # the last window is half there
        tensor([2., 2., 1.])
    """
    if period == 1:
        return features
    missing = -features.shape[1] % period
    if missing:
        features = F.pad(features, (*[0, 0] * (features.dim() - 2), 0, missing))
    return features.unflatten(1, (-1, period)).sum(2)


def whole_windows(frames: int, period: int) -> int:
    """How many of the windows lie wholly inside the given frames.

    Example:
        >>> whole_windows(36, period=6), whole_windows(36, period=64)
        (6, 0)
    """
    return frames // period
