"""TFRecord files and the tf.train.Example messages in them, read without TensorFlow.

A TFRecord file is a row of records, all numbers little-endian:

    length        8 bytes, unsigned
    checksum      4 bytes, of the 8 bytes before
    data          `length` bytes
    checksum      4 bytes, of the data

    checksum = (CRC-32C rotated right by 15 bits) + 0xa282ead8    modulo 2^32

where CRC-32C is the cyclic redundancy check with Castagnoli's polynomial. The data of a record is
most often a tf.train.Example, which names lists:

    Example    1: Features
    Features   1: map of name to Feature, a row of entries (1: name, 2: Feature)
    Feature    one of 1: list of bytes, 2: list of float, 3: list of int64

Reference:
    "TFRecord and tf.train.Example", section "TFRecords format details",
    https://www.tensorflow.org/tutorials/load_data/tfrecord
    "Internet Small Computer Systems Interface", RFC 3720 (2004), section 12.1, for CRC-32C.
"""

import os
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from pyrovp.data.errors import DamagedFile
from pyrovp.data.readers.extra import extra
from pyrovp.data.readers.protobuf import Span, fields, varints

__all__ = ["Feature", "example", "masked_crc", "records"]

Feature = list[bytes] | NDArray[np.float32] | NDArray[np.int64]

_ADVICE = "get the file again"
_FIRST, _SECOND, _THIRD = 0x0A, 0x12, 0x1A  # tags of fields 1 to 3 that hold counted bytes
_FLOAT, _INT64 = 0x0D, 0x08  # tags of field 1 that holds one number


def masked_crc() -> Callable[[bytes], int]:
    """The function that computes the checksum of bytes.

    Raises:
        DataError: If the package google-crc32c is not installed.

    Example:
        >>> hex(masked_crc()(b"123456789"))
        '0xc78ab0e5'
    """
    value: Callable[[bytes], int] = extra("google_crc32c", "reading TFRecord files").value

    def masked(data: bytes) -> int:
        crc = value(data)
        return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF

    return masked


def records(path: Path) -> Iterator[bytes]:
    """The data of each record of a file, in order, one in memory at a time.

    A file that was cut between two records looks like a whole one, as nothing in it counts them.

    Args:
        path: An uncompressed TFRecord file.

    Raises:
        DamagedFile: If a checksum is wrong, the file ends within a record, or it is empty; names
            the record, from 0, and the byte at which it begins.
        DataError: If the package google-crc32c is not installed.
    """
    crc = masked_crc()
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size == 0:
            raise DamagedFile(path, "an empty file", "TFRecord data", _ADVICE)
        number = offset = 0
        while offset < size:
            where = f"{path}, record {number} (byte {offset})"
            header = _take(file, 12, size - offset, where)
            length = int.from_bytes(header[:8], "little")
            _agree(header[8:], crc(header[:8]), "its length", where)
            data = _take(file, length, size - offset - 12, where)
            _agree(_take(file, 4, size - offset - 12 - length, where), crc(data), "data", where)
            yield data
            number += 1
            offset += 16 + length


def example(record: bytes, where: str = "a record") -> dict[str, Feature]:
    """The lists in a tf.train.Example.

    Args:
        record: The message, such as a record of a TFRecord file.
        where: What to call it in an error: the file, and the record's number.

    Returns:
        By name: a list of bytes, or an array of float32 or of int64. A feature without any list
        is an empty list.

    Raises:
        DamagedFile: If it is no such message.

    Example:
        >>> example(b"\\n\\r\\n\\x0b\\n\\x01x\\x12\\x06\\x1a\\x04\\n\\x02\\x07\\x08")
        {'x': array([7, 8])}
    """
    try:
        found: dict[str, Feature] = {}
        for features in _payloads(record, (0, len(record)), _FIRST):
            for entry in _payloads(record, features, _FIRST):
                parts = fields(record, entry)
                name = _name(record, [part for tag, part in parts if tag == _FIRST])
                found[name] = _feature(record, [part for tag, part in parts if tag == _SECOND])
        return found
    except ValueError as error:
        raise DamagedFile(where, str(error), "a tf.train.Example", _ADVICE) from None


def _name(record: bytes, parts: list[Span]) -> str:
    """The name of an entry: the last one given."""
    try:
        return record[slice(*parts[-1])].decode() if parts else ""
    except UnicodeDecodeError:
        raise ValueError(f"a name that is not UTF-8 at byte {parts[-1][0]}") from None


def _feature(record: bytes, parts: list[Span]) -> Feature:
    """The one list of a feature; parts of the same kind are joined, of kinds the last counts."""
    kind, lists = _FIRST, list[Span]()
    for part in parts:
        for tag, content in fields(record, part):
            if tag in (_FIRST, _SECOND, _THIRD):
                lists = [*lists, content] if tag == kind else [content]
                kind = tag
    if kind == _FIRST:
        return [record[a:b] for content in lists for a, b in _payloads(record, content, _FIRST)]
    single = _FLOAT if kind == _SECOND else _INT64
    # Packed numbers and single ones are the same bytes, but for what lies between single ones.
    numbers = [span for content in lists for span in _payloads(record, content, _FIRST, single)]
    joined = bytearray().join(memoryview(record)[a:b] for a, b in numbers)
    if kind == _THIRD:
        return varints(joined)
    if len(joined) % 4:
        raise ValueError(f"{len(joined)} bytes of numbers of 4 bytes each")
    return np.frombuffer(joined, "<f4").astype(np.float32, copy=False)


def _payloads(record: bytes, message: Span, *tags: int) -> list[Span]:
    """The payloads of the fields with one of these tags."""
    return [payload for tag, payload in fields(record, message) if tag in tags]


def _take(file: BinaryIO, count: int, left: int, where: str) -> bytes:
    """The next bytes of the file, of which `left` are left."""
    if count <= left:
        data = file.read(count)  # a length may be false: ask for no more than there is
        left = len(data)
        if left == count:
            return data
    found = f"only {left} bytes before the end of the file"
    raise DamagedFile(where, found, f"{count}", _ADVICE)


def _agree(stored: bytes, computed: int, what: str, where: str) -> None:
    """Compares a stored checksum with that of what was read."""
    (expected,) = struct.unpack("<I", stored)
    if computed != expected:
        raise DamagedFile(
            where,
            f"{what} with the checksum {computed:#010x}",
            f"{expected:#010x}",
            f"it is damaged, compressed, or no TFRecord file; {_ADVICE}, or unpack it",
        )
