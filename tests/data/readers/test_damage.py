"""Which errors of a library speak of the data, and which of the machine."""

import errno
import os
import tokenize

import pytest

from pyrovp.data.errors import DamagedFile, MissingFiles
from pyrovp.data.readers.damage import whole


class Odd(Exception):
    """What one library raises."""


@pytest.mark.parametrize(
    "error",
    [
        ValueError("bad"),
        OSError("bad"),
        OSError(errno.EINVAL, "bad"),
        tokenize.TokenError("bad"),
        NotImplementedError("bad"),
        Odd("bad"),
    ],
)
def test_broken_data(error: Exception) -> None:
    with (
        pytest.raises(DamagedFile, match="a.png: found .*bad.*, expected an image; copy it"),
        whole("a.png", "an image", "copy it", Odd),
    ):
        raise error


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.EIO, os.strerror(errno.EIO)),
        PermissionError(errno.EACCES, "denied"),
        MissingFiles("there is no a.png"),
        MemoryError(),
        Odd("of another library"),
    ],
)
def test_other_errors_pass(error: Exception) -> None:
    with pytest.raises(type(error)) as raised, whole("a.png", "an image", "copy it"):
        raise error
    assert raised.value is error
