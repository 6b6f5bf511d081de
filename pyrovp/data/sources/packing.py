"""From the frames of a file to the array of a video: each one is made small as it comes.

A file's own frames are large (a frame of 1024 x 1024 px has the bytes of 256 of 64 x 64 px), so
one of them is held at a time.
"""

from collections.abc import Iterable
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pyrovp.data.errors import DamagedFile
from pyrovp.data.readers.resize import fit

__all__ = ["packed"]


def packed(
    frames: Iterable[NDArray[np.uint8]],
    resolution: int,
    channels: int,
    crop: Literal["whole", "centre"],
    where: object,
) -> NDArray[np.uint8]:
    """Frames at `resolution` px, one after another.

    Args:
        frames: Of one video, of any size.
        resolution: Height and width R in px.
        channels: 1 (gray) or 3.
        crop: The whole frame, squeezed to a square, or its centre square.
        where: The file, for messages.

    Shapes:
        frames: each [H, W, 3], or gray: [H, W, 1] or [H, W]
        returns: [T, R, R, channels]

    Raises:
        DamagedFile: If there are none, or one is something else.
    """
    data = bytearray()  # grows in place, so that a long video is not held twice
    for frame in frames:
        whole = frame[..., None] if frame.ndim == 2 else frame
        if whole.ndim != 3 or whole.shape[2] not in (1, 3) or whole.dtype != np.uint8:
            raise DamagedFile(
                where,
                f"a frame {list(frame.shape)} of {frame.dtype}",
                "[H, W, 3], or gray [H, W] or [H, W, 1], of uint8",
                "convert its frames to that",
            )
        data += fit(whole, resolution, channels, crop).tobytes()
    if not data:
        raise DamagedFile(where, "no frames", "at least one", "replace the file, or remove it")
    return np.frombuffer(data, np.uint8).reshape(-1, resolution, resolution, channels)
