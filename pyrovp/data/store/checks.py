"""Whether what a source read can be stored."""

from collections.abc import Container

import numpy as np

from pyrovp.data.errors import DamagedFile, DataError
from pyrovp.data.sources.base import Footage, Original

__all__ = ["check_footage"]


def check_footage(
    footage: Footage,
    original: Original,
    frame: tuple[int, int, int],
    states: dict[str, list[int]] | None,
    names: Container[str],
) -> dict[str, list[int]]:
    """Refuses a video that does not fit to those before it.

    Args:
        footage: The video.
        original: Where it comes from, for the message.
        frame: Height, width and channels that frames must have.
        states: Shapes of what is known of a frame of the other videos; None if this is the first.
        names: Of the other videos.

    Returns:
        `states`, or this video's if it is the first.

    Raises:
        DamagedFile: If it has no frames, or other states than the videos before.
        DataError: If it is not what `Source.read` promises.
    """
    where, length = f"{original.name}: video {footage.name!r}", len(footage.frames)
    size = ", ".join(map(str, frame))
    found = f"{footage.frames.dtype} {list(footage.frames.shape)}"
    if footage.frames.dtype != np.uint8 or footage.frames.shape[1:] != frame:
        raise DataError(f"{where} has frames of {found}, but uint8 [T, {size}] are stored")
    if footage.name in names:
        raise DataError(f"{where} has the name of another one; each needs its own")
    if length == 0:
        raise DamagedFile(original.path, "no frames", "at least one", "get it again")
    for name, values in footage.states.items():
        fits = values.dtype == np.float32 and len(values) == length and values.size
        if not fits or not name.isidentifier():
            raise DataError(
                f"{where} has states {name!r} of {values.dtype} {list(values.shape)}, but float32 "
                f"[{length}, ...] under a name of letters are stored"
            )
    shapes = {name: list(footage.states[name].shape[1:]) for name in sorted(footage.states)}
    if states is not None and shapes != states:
        raise DamagedFile(
            original.path, f"states {shapes}", f"{states} as in the videos before", "get it again"
        )
    return shapes
