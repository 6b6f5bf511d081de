"""Peak signal-to-noise ratio of single frames.

    PSNR = 10 log10(1 / MSE)  [dB],   MSE = mean over the channels and pixels of one frame.

The peak is 1, the data range of the frames. Identical frames would score infinity and are capped
at 100 dB (MSE = 1e-10). A mean PSNR is the mean of these decibels, never the PSNR of a mean MSE:
by Jensen's inequality the latter is lower, and it is ruled by the worst frames.
"""

__all__ = ["CAP", "psnr"]

import torch
from torch import Tensor

from pyrovp.metrics.checks import check_pair

CAP = 100.0
"""The score of identical frames in dB."""


def psnr(prediction: Tensor, truth: Tensor) -> Tensor:
    """Peak signal-to-noise ratio of every frame in dB, at most 100.

    Args:
        prediction: Frames with intensities in [0, 1], clipped or not as the protocol says.
        truth: Frames of the same shape.

    Shapes:
        prediction, truth: [..., C, H, W]
        returns: [...], in the type of the prediction, at least float32

    Raises:
        ValueError: If the shapes differ or the tensors are no frames.

    Example:
        >>> psnr(torch.zeros(1, 2, 2), torch.full((1, 2, 2), 0.1)).item()
        20.0
    """
    check_pair(prediction, truth)
    dtype = torch.promote_types(prediction.dtype, torch.float32)
    error = (prediction.to(dtype) - truth.to(dtype)).square().mean((-3, -2, -1))
    return -10 * error.clamp(min=10 ** (-CAP / 10)).log10()
