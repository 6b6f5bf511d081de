"""The frames of a video file, by PyAV (FFmpeg): AVI, MP4, MOV, WebM, GIF and more.

A decoder conceals what it can and stops without a word where the data stops. So a file passes
only if

    it is as long as its container says (`pyrovp.data.readers.container`),
    every frame that its index lists is there, and
    no part of it is marked as corrupt and none is refused by the decoder.

An AVI's header counts frames too, but its count goes beyond the frames where a camera dropped
some, so it counts only where nothing else tells the length. What lossy formats cannot tell, a
changed bit in the middle of a frame, passes as it does in every player.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyrovp.data.errors import DamagedFile
from pyrovp.data.readers.container import check_uncut
from pyrovp.data.readers.extra import extra

__all__ = ["read_video"]

_ADVICE = "it is damaged or cut short; get the file again"

# Containers whose index lists every frame; elsewhere it lists some to jump to.
_INDEXED = {"avi", "mov,mp4,m4a,3gp,3g2,mj2"}


def read_video(path: Path) -> Iterator[NDArray[np.uint8]]:
    """The frames of a file's main video stream, as they are meant to be seen.

    Frames come as they are stored, one after another: times between them do not count. Stored
    quarter turns are applied, pixels that are not square are not.

    Args:
        path: The file.

    Returns:
        Frames [H, W, 3], red, green and blue.

    Raises:
        DamagedFile: If the file has no video, cannot be decoded, or was cut short; some frames
            may have come before.
        DataError: If the package av is not installed.
    """
    av = extra("av", "reading videos")
    length_known = check_uncut(path)
    count = 0
    try:
        # An absolute path is never taken for an address.
        with av.open(str(path.resolve())) as container:
            convert = av.video.reformatter.VideoReformatter()  # one for all: it keeps its tables
            for frame in _decode(container, path, length_known):
                image = convert.reformat(frame, format="rgb24", threads=1).to_ndarray()
                yield _upright(image, frame.rotation)
                count += 1
    except av.FFmpegError as error:
        found = f"data that cannot be decoded ({error.strerror}) after {count} frames"
        raise DamagedFile(path, found, "a whole video", _ADVICE) from error


def _decode(container: Any, path: Path, length_known: bool) -> Iterator[Any]:
    """The frames as PyAV has them; raises DamagedFile after the last one if some are missing."""
    stream = container.streams.best("video")
    if stream is None:
        raise DamagedFile(path, "no video stream", "one", "use a video file")
    promised = len(stream.index_entries) if container.format.name in _INDEXED else 0
    if not length_known:
        promised = max(promised, stream.frames)
    packets, size = 0, None
    for packet in container.demux(stream):
        packets += packet.size > 0  # the last one is empty: it asks for the remaining frames
        for frame in packet.decode():
            size = size or (frame.width, frame.height)
            if packet.is_corrupt or frame.is_corrupt:
                raise DamagedFile(path, "a corrupt frame", "a whole video", _ADVICE)
            if (frame.width, frame.height) != size:
                found = f"{frame.width}x{frame.height} px after {size[0]}x{size[1]} px"
                raise DamagedFile(path, found, "frames of one size", "convert it to one size")
            yield frame
    if size is None or packets < promised:
        raise DamagedFile(path, f"{packets} frames", f"{promised or 'at least one'}", _ADVICE)


def _upright(image: NDArray[np.uint8], degrees: float) -> NDArray[np.uint8]:
    """Turns a frame counterclockwise by the nearest quarter turns."""
    quarters = round(degrees / 90) % 4
    return np.ascontiguousarray(np.rot90(image, quarters)) if quarters else image
