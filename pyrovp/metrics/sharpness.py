"""Sharpness: how much edge a frame has, to tell a prediction from a grey blur.

With forward differences of neighbouring pixels, d_h to the one below and d_w to the one on the
right, on the (H-1) x (W-1) pixels that have both,

    sharpness = mean over channels and pixels of sqrt(d_h^2 + d_w^2)   [intensity per pixel].

A mean over possible futures keeps PSNR high and loses its edges: SSIM and PSNR reward it. Its
sharpness *relative to the truth's* falls far below 1. Noise, the other failure, rises above 1.
"""

__all__ = ["relative_sharpness", "sharpness"]

import torch
from torch import Tensor

from pyrovp.metrics.checks import check_frames, check_pair

# An intensity per pixel far below a visible edge: a flat truth gives 1 for a flat prediction
# instead of 0 / 0.
_FLAT = 1e-6


def sharpness(frames: Tensor) -> Tensor:
    """Mean gradient magnitude of every frame in intensity per pixel; 0 for a flat frame.

    Args:
        frames: Frames with intensities in [0, 1].

    Shapes:
        frames: [..., C, H, W]
        returns: [...], in the type of the frames, at least float32

    Raises:
        ValueError: If the tensor is no stack of frames of at least 2 x 2 pixels.
    """
    check_frames(frames, "frames")
    if min(frames.shape[-2:]) < 2:
        raise ValueError(
            f"a gradient needs frames of at least 2 x 2 pixels, got {list(frames.shape[-2:])}"
        )
    frames = frames.to(torch.promote_types(frames.dtype, torch.float32))
    corner = frames[..., :-1, :-1]
    below, right = frames[..., 1:, :-1] - corner, frames[..., :-1, 1:] - corner
    return torch.hypot(below, right).mean((-3, -2, -1))


def relative_sharpness(prediction: Tensor, truth: Tensor, unit: Tensor | None = None) -> Tensor:
    """Sharpness of every predicted frame over the mean sharpness of its true sequence.

    1 is as sharp as the truth, 0 is flat. The truth's mean over time is the unit, because a
    single true frame may be flat (an empty scene).

    Args:
        prediction: Predicted frames.
        truth: True frames of the same shape.
        unit: The mean sharpness of the whole true sequence, where these are a part of it; None:
            that of `truth`.

    Shapes:
        prediction, truth: [..., T, C, H, W]
        unit: [..., 1]
        returns: [..., T]

    Raises:
        ValueError: If the shapes differ or there is no time dimension.
    """
    check_pair(prediction, truth)
    if prediction.ndim < 4:
        raise ValueError(
            f"sequences [..., T, C, H, W] are needed, got the shape {list(prediction.shape)}"
        )
    if unit is None:
        unit = sharpness(truth).mean(-1, keepdim=True)
    return (sharpness(prediction) + _FLAT) / (unit + _FLAT)
