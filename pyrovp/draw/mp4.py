"""Films as MP4, in full colour and of any length, for whatever does not play a GIF.

H.264, or MPEG-4 where PyAV was built without an encoder for it, with half the resolution in
colour (yuv420p), which is what every player takes. Pages are encoded one by one.
"""

__all__ = ["write_mp4"]

import os
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pyrovp.data.readers.extra import extra
from pyrovp.draw.gif import DURATION
from pyrovp.files import atomic_write


def write_mp4(
    path: str | os.PathLike[str], pages: Iterable[Image.Image], milliseconds: int = DURATION
) -> None:
    """Writes a film, whole or not at all.

    Args:
        path: The file to write.
        pages: Pictures of one size, at least one.
        milliseconds: How long a page stands; the last one stands for a second longer.

    Raises:
        DataError: If the package av is not installed.
    """
    av = extra("av", "writing MP4 files")
    codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
    quality = {"crf": "16"} if codec == "libx264" else {"qmin": "1", "qmax": "3"}
    rate = round(1000 / milliseconds)
    with atomic_write(path) as temporary, av.open(str(temporary), "w") as container:
        stream: Any = container.add_stream(codec, rate=rate, options=quality)
        stream.pix_fmt = "yuv420p"
        for image in _held(pages, rate):
            if not stream.codec_context.is_open:
                stream.height, stream.width = image.shape[:2]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())


def _held(pages: Iterable[Image.Image], times: int) -> Iterator[NDArray[np.uint8]]:
    """Pages as arrays, the last one so many times more."""
    for page in pages:
        image = _even(np.asarray(page.convert("RGB")))
        yield image
    for _ in range(times):
        yield image


def _even(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """An odd last row or column once more: colours are stored for squares of two pixels."""
    height, width = image.shape[:2]
    return np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
