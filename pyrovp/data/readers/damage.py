"""What libraries raise for broken data, as one kind of error.

Readers of images, archives and arrays were written for whole files; what they raise for others
differs from place to place. What the operating system raises, such as for a disk that fails or a
folder that may not be read, says nothing about the data and passes.
"""

import errno
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from pyrovp.data.errors import DamagedFile, DataError

__all__ = ["whole"]

_BROKEN = (
    EOFError,
    OSError,
    RuntimeError,  # among them NotImplementedError, for a method or version that does not exist
    SyntaxError,
    ValueError,
    struct.error,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)


@contextmanager
def whole(file: object, expected: str, advice: str, *kinds: type[Exception]) -> Iterator[None]:
    """Turns what a library raises for broken data into a `DamagedFile`.

    Args:
        file: The file, and where in it.
        expected: What the library should read.
        advice: What to do.
        kinds: Errors of this library beside those that any of them raises.

    Raises:
        DamagedFile: If the block raises one of these.
    """
    broken: tuple[type[Exception], ...] = (*_BROKEN, *kinds)
    try:
        yield
    except DataError:
        raise
    except broken as error:
        # A false number in a file leads to a place before its beginning: an invalid argument.
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise
        found = f"data that cannot be read ({error})"
        raise DamagedFile(file, found, expected, advice) from error
