"""A frame at the resolution that is kept.

    cut        the whole frame, or the square in its middle
    colour     as it is, or gray: 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601 luma)
    size       R x R px, each a mean of the pixels around it, weighted by a triangle (bilinear)
               that is as much wider as the frame becomes smaller, so that no pixel is skipped

A frame that is R x R px already passes as it is.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pyrovp.data.checks import one_of

__all__ = ["Crop", "fit"]

Crop = Literal["whole", "centre"]


def fit(
    frame: NDArray[np.uint8], resolution: int, channels: int, crop: Crop = "whole"
) -> NDArray[np.uint8]:
    """Brings a frame to a resolution and a number of channels.

    Args:
        frame: In colour or gray.
        resolution: Height and width R in px.
        channels: C, 1 for gray or 3 for colour; a gray frame in colour has three equal channels.
        crop: "whole" squeezes the frame into a square, "centre" takes the largest square in its
            middle.

    Shapes:
        frame: [H, W, 3] or [H, W, 1]
        returns: [R, R, C]

    Raises:
        ValueError: If an argument is none of these.

    Example:
        >>> fit(np.full((48, 64, 3), 7, np.uint8), 16, 1).shape
        (16, 16, 1)
    """
    if frame.ndim != 3 or frame.shape[2] not in (1, 3) or frame.dtype != np.uint8:
        raise ValueError(
            "a frame is [H, W, 3], or gray [H, W, 1], of uint8, got "
            f"{list(frame.shape)} {frame.dtype}"
        )
    if channels not in (1, 3):
        raise ValueError(f"channels must be 1 (gray) or 3 (colour), got {channels}")
    if one_of("crop", crop, ["whole", "centre"]) == "centre":
        frame = _centre(frame)
    size = (resolution, resolution)
    gray = frame.shape[2] == 1
    if frame.shape[:2] == size and frame.shape[2] == channels:
        return frame
    image = Image.fromarray(frame[..., 0] if gray else frame)
    if channels == 1:
        image = image.convert("L")  # before resizing: a third of the work
    if image.size != size:
        image = image.resize(size, Image.Resampling.BILINEAR)
    result = np.asarray(image).reshape(*size, -1)
    return result if result.shape[2] == channels else result.repeat(channels, axis=2)


def _centre(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The largest square in the middle; of an odd rest the larger part is below or right."""
    height, width = frame.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return frame[top : top + side, left : left + side]
