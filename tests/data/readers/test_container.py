"""How long a container says it is, on files of a few bytes written from the formats' definitions.

That real files which are cut short are found out is in `test_video.py`.
"""

import struct
from pathlib import Path

import pytest

from pyrovp.data.errors import DamagedFile
from pyrovp.data.readers.container import announced_end, check_uncut


def end(path: Path, content: bytes) -> int | None:
    path.write_bytes(content)
    with path.open("rb") as file:
        return announced_end(file, len(content))


def chunk(name: bytes, content: bytes, size: int | None = None) -> bytes:
    """A RIFF chunk, which is padded to an even size that its own size does not count."""
    length = len(content) if size is None else size
    return name + struct.pack("<I", length) + content + b"\0" * (len(content) % 2)


def box(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", 8 + len(content)) + name + content


FRAMES = b"frames!"
HEADERS = chunk(b"LIST", b"hdrl" + b"odd")
MOVI = chunk(b"LIST", b"movi" + FRAMES)
AVI = chunk(b"RIFF", b"AVI " + HEADERS + MOVI)
UNFINISHED = [
    chunk(b"RIFF", b"AVI " + HEADERS + chunk(b"LIST", b"movi" + FRAMES, inner), outer)
    for inner in (0, 0xFFFFFFFF)
    for outer in (0, 0xFFFFFFFF)
]
EXTENDED = AVI + chunk(b"RIFF", b"AVIX" + MOVI)

MP4 = box(b"ftyp", b"isom") + box(b"moov", b"index") + box(b"mdat", FRAMES)
LONG = box(b"ftyp", b"isom") + struct.pack(">I4sQ", 1, b"mdat", 16 + 7) + FRAMES
OPEN_ENDED = box(b"ftyp", b"isom") + struct.pack(">I4s", 0, b"mdat") + FRAMES

EBML = b"\x1aE\xdf\xa3" + b"\x84" + b"head"
MATROSKA = EBML + b"\x18S\x80g" + b"\x40\x07" + FRAMES
STREAMED = EBML + b"\x18S\x80g" + b"\x01" + b"\xff" * 7 + FRAMES

SCREEN = b"GIF89a" + struct.pack("<HHBBB", 2, 2, 0x80, 0, 0) + bytes(6)
IMAGE = b"\x2c" + struct.pack("<HHHHB", 0, 0, 2, 2, 0x81) + bytes(12) + b"\x02\x02ab\x00"
GIF = SCREEN + b"\x21\xf9\x04" + bytes(4) + b"\x00" + IMAGE + IMAGE + b"\x3b"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param(AVI, len(AVI) - 1, id="avi, padded by a byte"),
        pytest.param(AVI + b"\0" * 99, len(AVI) - 1, id="avi and then zeros"),
        pytest.param(EXTENDED, len(EXTENDED) - 1, id="avi in two parts"),
        pytest.param(MP4, len(MP4), id="mp4"),
        pytest.param(MP4 + b"\0\0\0\x99junk", len(MP4), id="mp4 and then something else"),
        pytest.param(LONG, len(LONG), id="mp4 with a size of 8 bytes"),
        pytest.param(MATROSKA, len(MATROSKA), id="matroska"),
        pytest.param(GIF, len(GIF), id="gif"),
        pytest.param(GIF + b"\0\0", len(GIF), id="gif and then zeros"),
    ],
)
def test_where_the_frames_end(tmp_path: Path, content: bytes, expected: int) -> None:
    path = tmp_path / "video"
    assert end(path, content) == expected
    assert check_uncut(path)
    path.write_bytes(content[: expected - 1])
    with pytest.raises(DamagedFile, match=f"found a file of {expected - 1} bytes, expected at le"):
        check_uncut(path)


@pytest.mark.parametrize(
    "content",
    [*UNFINISHED, OPEN_ENDED, STREAMED, EBML, SCREEN + b"?", b"\0\0\x01\xba MPEG", b"short"],
)
def test_what_does_not_say(tmp_path: Path, content: bytes) -> None:
    assert end(tmp_path / "video", content) is None
    assert not check_uncut(tmp_path / "video")


def test_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "video.mp4").touch()
    with pytest.raises(DamagedFile, match="video.mp4: found an empty file"):
        check_uncut(tmp_path / "video.mp4")
