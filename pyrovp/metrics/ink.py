r"""Where a frame shows something: ink on a black ground.

    brightness    the brightest channel of a pixel, clipped to [0, 1]
    ink           max(0, brightness - 0.1)
    centre        Σ (x, y) · ink / Σ ink, px

A predicted black is no exact black: without the 0.1, the haze of a thousand such pixels would pull
the centre towards the middle of the frame. Pixels are counted by their centres, the upper left one
being (0, 0), so a box of D px whose corner is p has its centre at p + (D - 1) / 2.

A frame with hardly any ink shows nothing, and its centre is not a number.
"""

__all__ = ["HAZE", "brightness", "centre_of_ink", "crops", "ink"]

import torch
import torch.nn.functional as F
from torch import Tensor

from pyrovp.metrics.checks import check_frames

HAZE = 0.1
"""Brightness up to which a pixel counts as black."""


def brightness(frames: Tensor) -> Tensor:
    """The brightest channel of every pixel, in [0, 1].

    Shapes:
        frames: [..., C, H, W]
        returns: [..., H, W]

    Raises:
        ValueError: If the tensor is no stack of frames.
    """
    check_frames(frames, "frames")
    return frames.amax(-3).clamp(0, 1)


def ink(bright: Tensor) -> Tensor:
    """What of the brightness is more than haze, [..., H, W]."""
    return (bright - HAZE).clamp(min=0)


def centre_of_ink(marks: Tensor, least: float) -> Tensor:
    """Centre of mass of a frame's ink in px, (x to the right, y down).

    Args:
        marks: Ink of each pixel.
        least: Ink of a whole frame below which it shows nothing: its centre is nan.

    Shapes:
        marks: [..., H, W]
        returns: [..., 2]

    Example:
        >>> dot = torch.zeros(4, 6)
        >>> dot[3, 1] = 1.0
        >>> centre_of_ink(dot, least=0.5)
        tensor([1., 3.])
    """
    across, down = marks.sum(-2), marks.sum(-1)  # [..., W], [..., H]
    total = across.sum(-1)
    moments = [
        (part * torch.arange(part.shape[-1], dtype=part.dtype, device=part.device)).sum(-1)
        for part in (across, down)
    ]
    shown = total >= least
    return torch.where(
        shown[..., None], torch.stack(moments, -1) / total.where(shown, 1.0)[..., None], torch.nan
    )


def crops(bright: Tensor, corner: Tensor, size: int) -> Tensor:
    """Boxes cut out of frames at the nearest whole pixel; black where they leave the frame.

    Args:
        bright: Brightness.
        corner: Upper left corners (x, y) in px; those that are nan are taken as 0.
        size: Width and height D in px.

    Shapes:
        bright: [N, H, W]
        corner: [N, 2]
        returns: [N, D, D]
    """
    height, width = bright.shape[-2:]
    padded = F.pad(bright, (size, size, size, size))
    x, y = corner.nan_to_num(0.0).round().long().unbind(-1)
    step = torch.arange(size, device=bright.device)
    # A box that lies wholly outside is as black as one that has just left.
    rows = y.clamp(-size, height)[:, None] + size + step  # [N, D]
    columns = x.clamp(-size, width)[:, None] + size + step
    which = torch.arange(len(bright), device=bright.device)[:, None, None]
    return padded[which, rows[:, :, None], columns[:, None, :]]
