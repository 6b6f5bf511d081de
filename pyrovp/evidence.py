r"""Evidence: what a guide's levels see of the frames.

    f^1 = encoder(x),  f^{n+1} = lift_n(f^n)      per frame, a ladder of features
    evidence^n_i = Σ_{t in window i} f^n_t        the frames from a tick to the level's next

A clip that ends inside a window is padded with zeros *after* the lift, so a partial window sums
the frames that are there. Where more frames are to come (a context to be continued), a tick whose
window leaves the given frames has no evidence.

Reference:
    Clockwork Variational Autoencoders (Saxena, Ba, Hafner, 2021), Section 2, "Inference".
"""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["Ladder", "encode", "whole_windows", "windows"]


class Ladder(nn.Module):
    """Features of each level, each made from those of the level below.

    Args:
        lifts: The networks from level 1 to 2, from 2 to 3, and so on.

    Shapes:
        features: [B, T, X]
        returns: one [B, T, X_n] for each level
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


def encode(encoder: nn.Module, video: Tensor) -> Tensor:
    """The encoder's features of all frames at once, [B, T, C, H, W] -> [B, T, X].

    Raises:
        ValueError: If the video is of another floating-point type than the encoder.
    """
    weight = next(encoder.parameters(), None)
    if weight is not None and weight.dtype != video.dtype:
        raise ValueError(
            f"the video is {video.dtype}, but the encoder's weights are {weight.dtype}; use "
            f"video.to({weight.dtype}), or .to({video.dtype}) of model and guide"
        )
    features = encoder(video.flatten(0, 1))
    return features.unflatten(0, video.shape[:2])


def windows(features: Tensor, period: int) -> Tensor:
    """Sums over consecutive windows, the last one padded with zeros.

    Shapes:
        features: [B, T, X]
        returns: [B, ceil(T / period), X]
    """
    if period == 1:
        return features
    missing = -features.shape[1] % period
    padded = F.pad(features, (0, 0, 0, missing)) if missing else features
    return padded.unflatten(1, (-1, period)).sum(2)


def whole_windows(frames: int, period: int) -> int:
    """How many of the windows lie wholly inside the given frames.

    Example:
        >>> whole_windows(36, period=6), whole_windows(36, period=64)
        (6, 0)
    """
    return frames // period
