"""Frames of video files that PyAV and Pillow encode here, and of AVI files written by hand."""

import io
import math
import runpy
import struct
import sys
import wave
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pyrovp.data.errors import DamagedFile, DataError
from pyrovp.data.readers import video
from pyrovp.data.readers.video import read_video

H264 = "libx264" if "libx264" in av.codecs_available else "mpeg4"

# File, encoder, pixel format, what PyAV is told beside it, and how far a value may be off.
KINDS = {
    "raw.avi": ("rawvideo", "bgr24", {}, 0),
    "mjpeg.avi": ("mjpeg", "yuvj420p", {"qmin": "1", "qmax": "1"}, 6),
    "mpeg4.avi": ("mpeg4", "yuv420p", {"qmin": "1", "qmax": "2", "bf": "2"}, 12),
    "mpeg4.mp4": ("mpeg4", "yuv420p", {"qmin": "1", "qmax": "2"}, 12),
    "h264.mp4": (H264, "yuv420p", {"qp": "8", "bf": "2"}, 12),
    "h264.mov": (H264, "yuv420p", {"qp": "8"}, 12),
    "vp8.webm": ("libvpx", "yuv420p", {"b": "2000000"}, 16),
    "ffv1.mkv": ("ffv1", "bgr0", {}, 0),
}
LENGTH = 9


def pictures(height: int = 32, width: int = 48) -> list[NDArray[np.uint8]]:
    """Frames that differ from each other, with a corner that tells which way up they are."""
    frames = []
    for t in range(LENGTH):
        frame = np.empty((height, width, 3), np.uint8)
        frame[:] = 20 * t + 40, 220 - 20 * t, 100
        frame[: height // 2, : width // 2] = 250, 250, 250
        frame[height // 2 :, : width // 2] = 10, 10, 10
        frames.append(frame)
    return frames


def encode(
    path: Path,
    options: dict[str, str] | None = None,
    frames: Sequence[NDArray[np.uint8]] = (),
) -> Path:
    """Encodes the pictures, or other frames, as the file's name says."""
    codec, pixels, settings, _ = KINDS[path.name]
    with av.open(str(path), "w", options=options or {}) as container:
        stream: Any = container.add_stream(codec, rate=25, options=settings)
        stream.height, stream.width = pictures()[0].shape[:2]
        stream.pix_fmt = pixels
        for frame in frames or pictures():
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def gif(path: Path) -> Path:
    frames = [Image.fromarray(frame).quantize(colors=8) for frame in pictures()]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=40, loop=0)
    return path


def chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)


def avi(images: Sequence[bytes], announced: int, index: bool = True) -> bytes:
    """An AVI file of JPEG images, an empty one being a frame that was dropped."""
    fps, width, height = 25, 48, 32
    flags = 0x10 if index else 0
    main = struct.pack(
        "<14I", 1000000 // fps, 0, 0, flags, announced, 0, 1, 0, width, height, *[0] * 4
    )
    stream = b"vidsMJPG" + struct.pack(
        "<IHHIIIIIIiI4H", 0, 0, 0, 0, 1, fps, 0, announced, 0, -1, 0, 0, 0, width, height
    )
    form = struct.pack(
        "<IiiHH4s5I", 40, width, height, 1, 24, b"MJPG", width * height * 3, *[0] * 4
    )
    headers = chunk(b"strh", stream) + chunk(b"strf", form)
    headers = b"hdrl" + chunk(b"avih", main) + chunk(b"LIST", b"strl" + headers)
    frames, places = b"movi", b""
    for image in images:
        places += struct.pack("<4sIII", b"00dc", 0x10, len(frames), len(image))
        frames += chunk(b"00dc", image)
    parts = chunk(b"LIST", headers) + chunk(b"LIST", frames)
    return chunk(b"RIFF", b"AVI " + parts + (chunk(b"idx1", places) if index else b""))


def jpeg(frame: NDArray[np.uint8]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(frame).save(file, "JPEG", quality=95)
    return file.getvalue()


def off(found: Sequence[NDArray[np.uint8]], expected: Sequence[NDArray[np.uint8]]) -> int:
    """The largest difference away from the edges, where lossy formats ring."""
    assert len(found) == len(expected)
    edges = np.zeros(expected[0].shape[:2], bool)
    for axis in (0, 1):
        steps = np.diff(expected[0].astype(int), axis=axis).any(-1)
        for shift in range(-4, 5):
            edges |= np.roll(np.pad(steps, [(0, axis == i) for i in (0, 1)]), shift, axis)
    difference = np.abs(np.stack(found).astype(int) - np.stack(expected))
    return int(difference[:, ~edges].max())


@pytest.mark.parametrize("name", KINDS)
def test_frames_come_back(tmp_path: Path, name: str) -> None:
    found = list(read_video(encode(tmp_path / name)))
    assert {(frame.shape, frame.dtype.name) for frame in found} == {((32, 48, 3), "uint8")}
    assert off(found, pictures()) <= KINDS[name][3]


def test_a_gif_comes_back(tmp_path: Path) -> None:
    assert off(list(read_video(gif(tmp_path / "a.gif"))), pictures()) == 0


@pytest.mark.parametrize("name", [*KINDS, "a.gif"])
def test_a_cut_file_does_not_pass_as_a_short_one(tmp_path: Path, name: str) -> None:
    """An AVI file may lose its index, which lies behind the frames and is not needed."""
    path = gif(tmp_path / name) if name == "a.gif" else encode(tmp_path / name)
    whole = path.read_bytes()
    frames_end = whole.find(b"idx1") if name.endswith("avi") else len(whole)
    for size in [0, 9, *np.linspace(20, frames_end - 1, 12).astype(int).tolist()]:
        path.write_bytes(whole[:size])
        with pytest.raises(DamagedFile, match=f"{name}.*: found .*, expected .*again"):
            list(read_video(path))


def test_a_cut_file_whose_index_comes_first(tmp_path: Path) -> None:
    path = encode(tmp_path / "h264.mp4", {"movflags": "faststart"})
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(DamagedFile, match=r"found a file of \d+ bytes, expected at least \d+ by"):
        list(read_video(path))


def test_a_dropped_frame_is_no_damage(tmp_path: Path) -> None:
    """Cameras write an empty chunk for it and count it in the header."""
    images = [jpeg(frame) for frame in pictures()]
    path = tmp_path / "a.avi"
    path.write_bytes(avi([*images[:4], b"", b"", *images[4:]], announced=LENGTH + 2))
    assert off(list(read_video(path)), pictures()) <= 6


def test_a_frame_that_the_index_lists_but_is_gone(tmp_path: Path) -> None:
    images = [jpeg(frame) for frame in pictures()]
    whole = avi(images, announced=LENGTH)
    hole = whole.find(images[5]) - 8
    path = tmp_path / "a.avi"
    path.write_bytes(whole[:hole] + bytes(len(images[5]) + 8) + whole[hole + 8 + len(images[5]) :])
    with pytest.raises(DamagedFile, match="a.avi: found "):
        list(read_video(path))


def test_a_frame_that_the_decoder_could_only_guess(tmp_path: Path, seed: int) -> None:
    """Lost bytes in the middle of a frame: it comes, but marked."""
    rng = np.random.default_rng(seed)
    path = tmp_path / "mpeg4.mp4"
    encode(path, frames=[rng.integers(0, 256, (32, 48, 3), np.uint8) for _ in range(LENGTH)])
    content = bytearray(path.read_bytes())
    middle = content.find(b"mdat") + 1500
    content[middle : middle + 40] = bytes(40)
    path.write_bytes(content)
    with pytest.raises(DamagedFile, match="mpeg4.mp4: found (a corrupt frame|data that cannot)"):
        list(read_video(path))


@pytest.mark.parametrize("length", [LENGTH, LENGTH - 2])
def test_the_header_counts_where_nothing_else_does(tmp_path: Path, length: int) -> None:
    """A recording whose sizes were never filled in: cut, it ends between two frames."""
    images = [jpeg(frame) for frame in pictures()]
    whole = bytearray(avi(images[:length], announced=LENGTH, index=False))
    for size in (4, whole.find(b"movi") - 4):
        whole[size : size + 4] = b"\xff" * 4
    path = tmp_path / "a.avi"
    path.write_bytes(whole)
    if length == LENGTH:
        assert len(list(read_video(path))) == LENGTH
        return
    with pytest.raises(DamagedFile, match=f"found {length} frames, expected {LENGTH}"):
        list(read_video(path))


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_frames_are_upright(tmp_path: Path, degrees: int) -> None:
    """A phone stores what its sensor saw, and the matrix [a b; c d] that turns it clockwise:
    x' = a x + c y, y' = b x + d y, with y down (ISO/IEC 14496-12, track header box)."""
    path = encode(tmp_path / "mpeg4.mp4")
    content = bytearray(path.read_bytes())
    place = content.find(b"tkhd") + 4 + 40  # after version, times, number, length and layers
    cosine, sine = round(math.cos(math.radians(degrees))), round(math.sin(math.radians(degrees)))
    one = 0x10000
    matrix = [cosine * one, sine * one, 0, -sine * one, cosine * one, 0, 0, 0, 0x40000000]
    content[place : place + 36] = struct.pack(">9i", *matrix)
    path.write_bytes(content)
    expected = [np.rot90(frame, -degrees // 90) for frame in pictures()]
    found = list(read_video(path))
    assert all(frame.flags.c_contiguous for frame in found)
    assert off(found, expected) <= 12


def test_frames_that_an_edit_hides_are_not_missing(tmp_path: Path) -> None:
    """An MP4 file that an editor shortened without encoding it again keeps all of its frames."""
    path = encode(tmp_path / "mpeg4.mp4")
    content = bytearray(path.read_bytes())
    place = content.find(b"elst") + 4 + 8  # the length in ms, and where it begins
    assert content.count(b"elst") == 1
    content[place : place + 4] = struct.pack(">I", 160)
    path.write_bytes(content)
    assert off(list(read_video(path)), pictures()[:4]) <= 12


def test_one_video_has_one_size(tmp_path: Path) -> None:
    images = [jpeg(frame) for frame in [*pictures()[:3], *pictures(16, 16)[:3]]]
    path = tmp_path / "a.avi"
    path.write_bytes(avi(images, announced=6))
    with pytest.raises(DamagedFile, match="found 16x16 px after 48x32 px, expected frames of one"):
        list(read_video(path))


def test_what_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_text("<html>not found</html>" * 100)
    with pytest.raises(DamagedFile, match="cannot be decoded"):
        list(read_video(path))
    with wave.open(str(path), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(bytes(1600))
    with pytest.raises(DamagedFile, match="found no video stream"):
        list(read_video(path))
    with pytest.raises(FileNotFoundError):
        list(read_video(tmp_path / "none.mp4"))


def test_a_name_is_not_an_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = encode(tmp_path / "raw.avi").rename(tmp_path / "http:a %03d.avi")
    monkeypatch.chdir(tmp_path)
    assert len(list(read_video(Path(odd.name)))) == LENGTH


def test_without_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The module is imported without it; only reading needs it."""
    monkeypatch.setitem(sys.modules, "av", None)
    runpy.run_path(video.__file__)
    with pytest.raises(DataError, match=r"package av.*pip install 'pyrovp\[data\]'"):
        list(read_video(tmp_path / "none.mp4"))
