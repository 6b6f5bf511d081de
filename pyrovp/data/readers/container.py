"""Whether a video file was cut short, from what its container says of its own length.

A decoder reads a file until its end and takes a cut one for a shorter video. Four containers say
where the part that holds the frames ends:

    AVI         RIFF <size> "AVI " ... LIST <size> "movi" <frames>
    MP4, MOV    <size> "ftyp" ... <size> "mdat" <frames>
    Matroska    EBML <size> ... Segment <size> <frames>      (WebM is Matroska)
    GIF         a row of blocks, and after the last of them an end mark

The others, and files written as a stream, say nothing.

References:
    "AVI RIFF File Reference", Microsoft; "ISO base media file format", ISO/IEC 14496-12,
    section 4.2; "Extensible Binary Meta Language", RFC 8794 (2020), sections 4 and 6; "Graphics
    Interchange Format, Version 89a", CompuServe (1990).
"""

import os
from pathlib import Path
from typing import BinaryIO

from pyrovp.data.errors import DamagedFile

__all__ = ["announced_end", "check_uncut"]

# Boxes that MP4 and MOV files have at their top; what follows another name is not a box.
_BOXES = frozenset(
    b"ftyp moov mdat moof mfra free skip wide pnot uuid meta styp sidx udta".split()
)


def check_uncut(path: Path) -> bool:
    """Checks that a file is as long as its container says.

    Returns:
        Whether the container says how long it is.

    Raises:
        DamagedFile: If the file is shorter, or empty.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size == 0:
            raise DamagedFile(path, "an empty file", "a video", "get the file again")
        end = announced_end(file, size)
    if end is not None and end > size:
        raise DamagedFile(
            path,
            f"a file of {size} bytes",
            f"at least {end} by its own account",
            "it was cut short; get the file again",
        )
    return end is not None


def announced_end(file: BinaryIO, size: int) -> int | None:
    """The byte after the last that belongs to a frame, or None where nothing says so.

    Args:
        file: The file, open for reading.
        size: Its size in bytes.
    """
    file.seek(0)
    head = file.read(12)
    if head[:4] == b"RIFF" and head[8:] == b"AVI ":
        return _avi(file, size)
    if head[4:8] in _BOXES:
        return _mp4(file, size)
    if head[:4] == b"\x1aE\xdf\xa3":
        return _matroska(file)
    if head[:3] == b"GIF":
        file.seek(0)
        return _gif(file.read())
    return None


def _avi(file: BinaryIO, size: int) -> int | None:
    """A large file has several RIFF chunks, with frames in each."""
    at, end = 0, None
    while at + 12 <= size:
        kind, length = _chunk(file, at)
        if kind != b"RIFF":
            break
        inside, stop = at + 12, min(at + 8 + length, size)
        while inside + 12 <= stop:
            kind, inner = _chunk(file, inside)
            if kind == b"LIST" and file.read(4) == b"movi":
                if inner in (0, 0xFFFFFFFF):  # a recording that was not completed
                    return None
                end = inside + 8 + inner
            inside += 8 + inner + inner % 2
        at += 8 + length + length % 2
    return end


def _chunk(file: BinaryIO, at: int) -> tuple[bytes, int]:
    file.seek(at)
    head = file.read(8)
    return head[:4], int.from_bytes(head[4:], "little")


def _mp4(file: BinaryIO, size: int) -> int | None:
    at = 0
    while at + 8 <= size:
        file.seek(at)
        head = file.read(16)
        length = int.from_bytes(head[:4], "big")
        if length == 1:  # the size follows in 8 bytes
            length = int.from_bytes(head[8:], "big")
        if length == 0:  # it goes to the end of the file, wherever that is
            return None
        if head[4:8] not in _BOXES or length < 8:
            break
        at += length
    return at


def _matroska(file: BinaryIO) -> int | None:
    file.seek(4)
    header = _vint(file)
    if header is None:
        return None
    file.seek(header, os.SEEK_CUR)
    if file.read(4) != b"\x18S\x80g":  # the Segment's identifier
        return None
    segment = _vint(file)
    return None if segment is None else file.tell() + segment


def _vint(file: BinaryIO) -> int | None:
    """A size whose first byte tells its width; None if it is not known."""
    first = file.read(1)
    if not first or not first[0]:
        return None
    width = 9 - first[0].bit_length()
    value = int.from_bytes(first + file.read(width - 1), "big") & ((1 << 7 * width) - 1)
    return None if value == (1 << 7 * width) - 1 else value


def _gif(data: bytes) -> int | None:
    try:
        at = 13 + _colours(data[10])
        while data[at] != 0x3B:  # the end mark
            if data[at] == 0x21:  # an extension and its label
                at += 2
            elif data[at] == 0x2C:  # an image: its place, colours and code size
                at += 11 + _colours(data[at + 9])
            else:
                return None
            while data[at]:  # blocks of up to 255 bytes, the last one empty
                at += 1 + data[at]
            at += 1
        return at + 1
    except IndexError:
        return len(data) + 1


def _colours(flags: int) -> int:
    """Bytes of a colour table."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0
