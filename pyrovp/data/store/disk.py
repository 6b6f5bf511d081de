"""What the disk may refuse, in a sentence."""

import errno
import hashlib
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pyrovp.data.errors import DataError

__all__ = ["flush", "sha256", "write_all", "writing"]

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextmanager
def writing(place: Path) -> Iterator[None]:
    """Around everything that writes and nothing else.

    Args:
        place: What is written, for the message.

    Raises:
        DataError: In place of an `OSError`; says what to do.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise DataError(
                f"cannot write {place}: {error.strerror}; make room and give the same command "
                "again: it goes on behind the last original that was finished"
            ) from error
        raise DataError(
            f"cannot write {place}: {error.strerror}; choose another folder of all data with "
            "--root or the environment variable PYROVP_DATA (the originals may stay where they "
            "are: --originals FOLDER)"
        ) from error


def flush(path: Path) -> None:
    """Waits until a file's content, or a folder's list of names, has reached the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_all(file: io.FileIO, data: memoryview) -> None:
    """Writes all bytes to an unbuffered file, which may take only some of them at a time."""
    while data:
        data = data[file.write(data) :]


def sha256(path: Path) -> str:
    """Of a file's bytes, as `sha256sum` prints it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
