"""Still images, and the files of a folder or of a zip file alike.

A data set of single frames comes as a folder or as the zip file that was downloaded; `members` and
`read_member` see the same names and bytes in both, so nobody need unpack hundreds of gigabytes.
A zip file stores a checksum of each member, which is compared as it is read.
"""

import functools
import io
import os
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pyrovp.data.errors import DamagedFile, MissingFiles
from pyrovp.data.readers.damage import whole

__all__ = ["decode_image", "members", "read_member"]

_ADVICE = "get the file again"


def decode_image(data: bytes, where: str) -> NDArray[np.uint8]:
    """Decodes a PNG or JPEG image.

    Gray becomes three equal channels; transparency is left out.

    Args:
        data: The whole file.
        where: What to call it in an error.

    Returns:
        [H, W, 3]

    Raises:
        DamagedFile: If it is no such image, is cut short or damaged, or has more than 8 bits a
            channel in gray.
    """
    bomb = Image.DecompressionBombError
    with (
        whole(f"{where}, {len(data)} bytes", "a PNG or JPEG image", _ADVICE, bomb),
        Image.open(io.BytesIO(data), formats=("PNG", "JPEG")) as image,
    ):
        image.load()
        if image.mode[0] in "IF":  # Pillow would clip them to 255
            raise DamagedFile(where, "16-bit gray", "8 bits a channel", "convert it to 8 bits")
        image.info.pop("transparency", None)  # Pillow would warn that it is lost
        # Conversion copies even where there is nothing to convert.
        return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))


def members(path: Path) -> list[str]:
    """The names of all files in a folder or a zip file.

    Args:
        path: The folder, at any depth of which the files may lie, or the zip file.

    Returns:
        Names with forward slashes relative to `path`, sorted.

    Raises:
        MissingFiles: If there is neither.
        DamagedFile: If it is a file but no whole zip file.
    """
    if path.is_dir():
        # Links are followed, as parts of a large data set often lie on another disk.
        walk = os.walk(path, onerror=_stop, followlinks=True)
        found = (Path(root, name) for root, _, names in walk for name in names)
        return sorted(file.relative_to(path).as_posix() for file in found)
    archive = _archive(path)
    return sorted(entry.filename for entry in archive.infolist() if not entry.is_dir())


def read_member(path: Path, name: str) -> bytes:
    """The bytes of a file in a folder or a zip file.

    Args:
        path: The folder or the zip file.
        name: One of `members(path)`.

    Raises:
        MissingFiles: If there is no such member.
        DamagedFile: If the zip file or the member in it is damaged.
    """
    try:
        if path.is_dir():
            return (path / name).read_bytes()
        archive = _archive(path)
        with whole(f"{path}, {name}", "a whole member", f"{_ADVICE}, or unpack it"):
            return archive.read(name)
    except (KeyError, FileNotFoundError):
        raise MissingFiles(f"{path} has no {name}; get it again or unpack it whole") from None


def _stop(error: OSError) -> None:
    """A folder that cannot be read is not an empty one."""
    raise error


def _archive(path: Path) -> zipfile.ZipFile:
    """The open zip file.

    It stays open, as reading the list of 83,300 members takes longer than reading one of them.
    Each process has its own, as processes that share an open file share the place in it.
    """
    try:
        state = path.stat()
        with whole(path, "a zip file or a folder", _ADVICE):
            return _opened(path, os.getpid(), state.st_size, state.st_mtime_ns)
    except FileNotFoundError:
        raise MissingFiles(f"there is no folder or zip file {path}") from None


@functools.lru_cache(maxsize=4)
def _opened(path: Path, process: int, size: int, changed: int) -> zipfile.ZipFile:
    return zipfile.ZipFile(path)
