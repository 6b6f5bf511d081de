"""Frames as pixels: from tensors in [0, 1] to enlarged, bordered tiles of 8-bit colour.

A tile is one frame, enlarged by a whole factor without smoothing (every pixel of the video stays
a square) inside a border whose colour tells given frames from predicted ones. Images are arrays
`[..., H, W, 3]` of uint8 here, in the order that Pillow uses.
"""

__all__ = [
    "BORDER",
    "CONTEXT",
    "PAPER",
    "PREDICTED",
    "TEXT",
    "absolute_error",
    "enlargement",
    "error_rgb",
    "tiles",
    "to_rgb",
]

from functools import cache

import matplotlib
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

# Blue and vermilion of the palette of Okabe and Ito, which colour-blind readers can tell apart.
CONTEXT = (0, 114, 178)
"""Colour of everything that belongs to given frames."""
PREDICTED = (213, 94, 0)
"""Colour of everything that belongs to predicted frames."""
TEXT = (34, 34, 34)
"""Colour of words."""
PAPER = (255, 255, 255)
"""Colour of what lies around the tiles."""
BORDER = 3
"""Width of a tile's border in pixels."""

_SIDE = 128  # pixels that an enlarged frame should have along its longer side


def enlargement(height: int, width: int) -> int:
    """The whole factor that brings the longer side nearest to 128 pixels; at least 1."""
    return max(1, round(_SIDE / max(height, width)))


def to_rgb(frames: Tensor) -> NDArray[np.uint8]:
    """Frames as 8-bit colours, clipped to [0, 1]; gray is repeated, what is no number is black.

    Shapes:
        frames: [..., C, H, W] with C 1 or 3
        returns: [..., H, W, 3]

    Raises:
        ValueError: If the frames are neither gray nor RGB.
    """
    if frames.ndim < 3 or frames.shape[-3] not in (1, 3):
        raise ValueError(
            "frames [..., C, H, W] with one channel (gray) or three (RGB) can be drawn, "
            f"got the shape {list(frames.shape)}"
        )
    levels = frames.detach().float().nan_to_num().clamp(0, 1).mul(255).round()
    colours = levels.byte().cpu().movedim(-3, -1).expand(*levels.shape[:-3], -1, -1, 3)
    return colours.numpy()


def error_rgb(prediction: Tensor, truth: Tensor, scale: float) -> NDArray[np.uint8]:
    """The absolute error, mean over channels, from black (0) to bright yellow (`scale`).

    Shapes:
        prediction, truth: [..., C, H, W]
        returns: [..., H, W, 3]
    """
    error = absolute_error(prediction, truth).div(scale).mul(255).round().byte()
    return _heat()[error.cpu().numpy()]


def absolute_error(prediction: Tensor, truth: Tensor) -> Tensor:
    """|prediction - truth| of what is shown (clipped to [0, 1]), mean over channels.

    Shapes:
        prediction, truth: [..., C, H, W]
        returns: [..., H, W] in [0, 1]
    """
    shown = prediction.detach().float().nan_to_num().clamp(0, 1)
    return (shown - truth.detach().to(shown)).abs().mean(-3).clamp(0, 1)


@cache
def _heat() -> NDArray[np.uint8]:
    colours = matplotlib.colormaps["inferno"](np.arange(256), bytes=True)
    return np.ascontiguousarray(colours[:, :3])


def tiles(
    images: NDArray[np.uint8], factor: int, colour: tuple[int, int, int]
) -> NDArray[np.uint8]:
    """Enlarges images by a whole factor and puts a border round each.

    Shapes:
        images: [..., H, W, 3]
        returns: [..., factor H + 2 BORDER, factor W + 2 BORDER, 3]
    """
    large = images.repeat(factor, axis=-3).repeat(factor, axis=-2)
    *leading, height, width, _ = large.shape
    bordered = np.empty((*leading, height + 2 * BORDER, width + 2 * BORDER, 3), np.uint8)
    bordered[...] = colour
    bordered[..., BORDER:-BORDER, BORDER:-BORDER, :] = large
    return bordered
