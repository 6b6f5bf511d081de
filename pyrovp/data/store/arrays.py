"""An .npy file that grows row by row and says its shape last.

    256 bytes: zeros while it grows, in the end the header of the .npy format
    the rows, one after another, as C-ordered little-endian numbers

A file without its header is no array to any reader, so an unfinished one is not taken for whole.
"""

import os
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import DTypeLike, NDArray

from pyrovp.data.store.disk import write_all

__all__ = ["HEADER", "GrowingArray", "npy_header"]

# Not a multiple of any page size: numpy before 2.3 cannot map an array without rows that begins
# at the border of a page.
HEADER = 256
"""Bytes before the first row."""

_CHUNK = 2**20  # bytes that are read at a time


def npy_header(dtype: DTypeLike, shape: tuple[int, ...]) -> bytes:
    """The header of an .npy file (version 1.0 of the format), padded to `HEADER` bytes.

    Reference:
        numpy.lib.format, "NPY format".
        https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html

    Example:
        >>> npy_header("u1", (2, 3))[:10]
        b'\\x93NUMPY\\x01\\x00\\xf6\\x00'
    """
    facts = {"descr": np.dtype(dtype).str, "fortran_order": False, "shape": shape}
    room = HEADER - 10
    text = repr(facts).encode("latin1").ljust(room - 1) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", room) + text


class GrowingArray:
    """Rows on the disk; begins a file, or opens the one that is there.

    Args:
        path: The file.
        dtype: Of the numbers, little-endian.
        row: Shape of a row.

    Raises:
        OSError: Here and below, if the disk refuses.
    """

    rows: int
    """Whole rows in the file."""

    def __init__(self, path: Path, dtype: DTypeLike, row: tuple[int, ...]) -> None:
        self.path, self.dtype, self.row = path, np.dtype(dtype), row
        self._row_bytes = self.dtype.itemsize * int(np.prod(row, dtype=np.int64))
        # Unbuffered: a buffer would hold back, and write later, what a full disk has refused.
        self._file = open(path, "r+b" if path.exists() else "x+b", buffering=0)
        try:
            self.cut(max(0, self.rows_on_disk()))
        except OSError:
            self.close()
            raise

    def append(self, values: NDArray[np.generic]) -> memoryview:
        """Writes rows behind the last one and returns their bytes.

        Shapes:
            values: [rows, *row]
        """
        flat = np.ascontiguousarray(values, self.dtype).reshape(-1).view(np.uint8)
        write_all(self._file, flat.data)
        self.rows += len(values)
        return flat.data

    def cut(self, rows: int) -> None:
        """Keeps the first `rows` rows, and no header."""
        self.rows = rows
        self._file.seek(0)
        self._file.truncate(HEADER + rows * self._row_bytes)
        write_all(self._file, memoryview(bytes(HEADER)))
        self._file.seek(0, os.SEEK_END)

    def read(self, first: int, rows: int) -> NDArray[np.generic]:
        """Some of the rows, mapped."""
        start, shape = HEADER + first * self._row_bytes, (rows, *self.row)
        return np.memmap(self.path, self.dtype, "r", start, shape)

    def crc(self, first: int, rows: int) -> int:
        """CRC-32 of the bytes of some rows, as far as they are there."""
        crc, left = 0, rows * self._row_bytes
        with self.path.open("rb") as file:
            file.seek(HEADER + first * self._row_bytes)
            while chunk := file.read(min(left, _CHUNK)):
                crc, left = zlib.crc32(chunk, crc), left - len(chunk)
        return crc

    def rows_on_disk(self) -> int:
        """Whole rows by the size of the file."""
        return (self.path.stat().st_size - HEADER) // self._row_bytes

    def finish(self) -> None:
        """Writes the header and waits for the disk."""
        self._file.seek(0)
        write_all(self._file, memoryview(npy_header(self.dtype, (self.rows, *self.row))))
        os.fsync(self._file.fileno())
        self._file.seek(0, os.SEEK_END)

    def close(self) -> None:
        """Closes the file as it is."""
        self._file.close()
