"""Protocol buffers' wire format: a message is a row of fields, each a tag and a payload.

    tag = 8 * field number + wire type        written as a varint

    wire type 0    varint: 7 bits a byte, lowest first, the high bit set on all but the last byte
    wire type 1    8 bytes
    wire type 2    a varint that counts bytes, and those bytes: text, bytes, a message, or packed
                   numbers
    wire type 5    4 bytes

A field that a reader does not know is skipped, and so is a known one of another wire type.

Reference:
    Protocol Buffers Documentation, "Encoding", https://protobuf.dev/programming-guides/encoding/
"""

import numpy as np
from numpy.typing import NDArray

__all__ = ["Span", "fields", "varints"]


Span = tuple[int, int]
"""First byte and the byte after the last of a part; slices at every level would be copies."""


def fields(data: bytes, message: Span) -> list[tuple[int, Span]]:
    """The fields of a message in their order.

    Args:
        data: Bytes that hold it.
        message: Where in `data` it lies.

    Returns:
        The tag and the payload of each field; of a field of bytes, without their count.

    Raises:
        ValueError: If the bytes are no such message; says what is wrong at which byte of `data`.

    Example:
        >>> fields(bytes([8, 150, 1, 18, 2, 104, 105]), (0, 7))
        [(8, (1, 3)), (18, (5, 7))]
    """
    at, stop = message
    found = []
    while at < stop:
        began = at
        # Most numbers are one byte, which takes less time to read than to call a function for.
        tag, at = (data[at], at + 1) if data[at] < 0x80 else _varint(data, at, stop)
        wire = tag & 7
        if wire == 2:
            short = at < stop and data[at] < 0x80
            size, at = (data[at], at + 1) if short else _varint(data, at, stop)
            end = at + size
        elif wire == 0:
            end = _varint(data, at, stop)[1]
        elif wire in (1, 5):
            end = at + (8 if wire == 1 else 4)
        else:
            raise ValueError(f"a field of the unknown wire type {wire} at byte {began}")
        if end > stop or tag < 8:
            raise ValueError(f"a field at byte {began} that does not fit into its message")
        found.append((tag, (at, end)))
        at = end
    return found


def varints(octets: bytes | bytearray) -> NDArray[np.int64]:
    """The numbers of a row of varints; those of 2^63 and more are negative ones.

    Raises:
        ValueError: If the last is cut short or one has more than ten bytes.

    Example:
        >>> varints(bytes([1, 150, 1]))
        array([  1, 150])
    """
    row = np.frombuffer(octets, np.uint8)
    last = row < 0x80
    if last.all():
        return row.astype(np.int64)
    ends = np.flatnonzero(last) + 1
    starts = np.concatenate([[0], ends[:-1]])
    sizes = ends - starts
    if not last[-1] or sizes.max() > 10:
        raise ValueError("a whole number that does not end")
    place = np.arange(len(row)) - np.repeat(starts, sizes)
    parts = (row & 0x7F).astype(np.uint64) << (7 * place).astype(np.uint64)
    return np.bitwise_or.reduceat(parts, starts).view(np.int64)


def _varint(data: bytes, at: int, stop: int) -> tuple[int, int]:
    """The varint at byte `at`, and the byte after it."""
    value, shift = 0, 0
    while at < stop and shift < 70:
        octet = data[at]
        at += 1
        value |= (octet & 0x7F) << shift
        if octet < 0x80:
            return value, at
        shift += 7
    raise ValueError(f"a whole number that does not end at byte {at}")
