"""Arrays of bytes in the idx format, that of the MNIST files.

    two zero bytes | 08: unsigned bytes | number of dimensions n | n sizes | the bytes, row by row

Sizes are 32-bit and big-endian. So the first four bytes of a file of images are 00 00 08 03, those
of a file of labels 00 00 08 01, and the header says how long the file must be.
"""

import math
import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pyrovp.data.errors import DamagedFile

__all__ = ["read_idx"]

_AGAIN = "delete it and get it again"


def read_idx(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Reads an array whose shape is known beforehand.

    Args:
        path: The file, unpacked.
        shape: The sizes that its header must name.

    Shapes:
        returns: `shape`, read-only

    Raises:
        DamagedFile: If the file cannot be read, is of another kind or shape, or is shorter or
            longer than its header says.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DamagedFile(
            path, f"an unreadable file ({error.strerror})", "a file", "check its permissions"
        ) from error
    start = 4 + 4 * len(shape)
    kind = bytes([0, 0, 8, len(shape)])
    if content[:4] != kind:
        raise DamagedFile(
            f"{path}, first 4 bytes",
            content[:4].hex(" ") or "nothing",
            f"{kind.hex(' ')} (an idx file of unsigned bytes with {_dimensions(len(shape))})",
            "unpack it if it is still packed (gunzip), otherwise " + _AGAIN,
        )
    if len(content) < start:
        raise DamagedFile(path, f"{len(content)} bytes", f"a header of {start}", _AGAIN)
    sizes = struct.unpack(f">{len(shape)}I", content[4:start])
    if sizes != shape:
        raise DamagedFile(f"{path}, header", _sizes(sizes), _sizes(shape), _AGAIN)
    if len(content) != start + math.prod(shape):
        raise DamagedFile(
            path, f"{len(content)} bytes", f"{start + math.prod(shape)} as its header says", _AGAIN
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def _dimensions(count: int) -> str:
    return "one dimension" if count == 1 else f"{count} dimensions"


def _sizes(sizes: tuple[int, ...]) -> str:
    """(60000, 28, 28) as `60000 x 28 x 28` bytes."""
    return " x ".join(map(str, sizes)) + " bytes"
