"""PNG and JPEG images, written here by hand or by Pillow, in folders and in zip files."""

import io
import os
import struct
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pyrovp.data.errors import DamagedFile, MissingFiles
from pyrovp.data.readers import images
from pyrovp.data.readers.images import decode_image, members, read_member

GRAY, COLOUR, PALETTE, GRAY_ALPHA, COLOUR_ALPHA = 0, 2, 3, 4, 6


def png(
    pixels: NDArray[np.uint8],
    colour: int = COLOUR,
    depth: int = 8,
    more: Sequence[tuple[bytes, bytes]] = (),
) -> bytes:
    """A PNG file from the format's definition: chunks, and rows that no filter changed.

    Args:
        pixels: [H, W, bytes of a pixel]
        more: Names and contents of chunks before the pixels.
    """
    height, width = pixels.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    chunks = [(b"IHDR", header), *more, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content))
        + name
        + content
        + struct.pack(">I", zlib.crc32(name + content))
        for name, content in chunks
    )


def noise(seed: int, *shape: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def jpeg(pixels: NDArray[np.uint8]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=95, subsampling=0)
    return file.getvalue()


def test_a_png_comes_back(seed: int) -> None:
    pixels = noise(seed, 5, 7, 3)
    found = decode_image(png(pixels), "a.png")
    assert found.dtype == np.uint8 and np.array_equal(found, pixels)


def test_other_kinds_become_colour(seed: int) -> None:
    gray, clear = noise(seed, 5, 7, 1), noise(seed + 1, 5, 7, 1)
    equal = gray.repeat(3, axis=2)
    colour = noise(seed, 5, 7, 3)
    assert np.array_equal(decode_image(png(gray, GRAY), "a"), equal)
    with_alpha = np.concatenate([gray, clear], axis=2)
    assert np.array_equal(decode_image(png(with_alpha, GRAY_ALPHA), "a"), equal)
    with_alpha = np.concatenate([colour, clear], axis=2)
    assert np.array_equal(decode_image(png(with_alpha, COLOUR_ALPHA), "a"), colour)


def test_a_palette_with_transparent_colours(seed: int) -> None:
    palette, places = noise(seed, 4, 3), noise(seed, 5, 7, 1) % 4
    found = decode_image(
        png(places, PALETTE, more=[(b"PLTE", palette.tobytes()), (b"tRNS", b"\x80\0")]), "a"
    )
    assert np.array_equal(found, palette[places[..., 0]])


def test_a_jpeg_comes_back() -> None:
    pixels = np.full((16, 24, 3), (200, 100, 50), np.uint8)
    found = decode_image(jpeg(pixels), "a.jpg")
    assert found.shape == (16, 24, 3)
    assert np.abs(found.astype(int) - pixels).max() <= 3


@pytest.mark.parametrize("encode", [png, jpeg])
def test_cut_images_are_damaged(encode: Callable[[NDArray[np.uint8]], bytes], seed: int) -> None:
    """Of a PNG file nothing is lost before its end mark and the checksums of 8 + 4 + 4 bytes."""
    whole = encode(noise(seed, 24, 24, 3))
    for size in [0, 5, *range(20, len(whole) - 20, 37)]:
        with pytest.raises(DamagedFile, match=f"frame 3, {size} bytes: found data that"):
            decode_image(whole[:size], "frame 3")


def test_a_changed_bit_of_a_png_is_found(seed: int) -> None:
    pixels = noise(seed, 24, 24, 3)
    whole = png(pixels)
    first = whole.find(b"IDAT") + 4
    for byte in range(first, len(whole) - 16, 41):
        changed = bytearray(whole)
        changed[byte] ^= 16
        with pytest.raises(DamagedFile):
            decode_image(bytes(changed), "frame 3")


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (png(noise(0, 4, 4, 2), GRAY, depth=16), "found 16-bit gray, expected 8 bits a channel"),
        (
            b"<html>not found</html>",
            "22 bytes: found data that cannot be read .*, expected a PNG or JPEG",
        ),
        (b"GIF89a" + bytes(20), "expected a PNG or JPEG image"),
    ],
)
def test_what_cannot_be_used(data: bytes, problem: str) -> None:
    with pytest.raises(DamagedFile, match=f"frame 3.*{problem}"):
        decode_image(data, "frame 3")


@pytest.fixture
def snippets() -> dict[str, bytes]:
    """Files of a data set of snippets, by name, in another order than sorted."""
    names = ["train/b/b_0.png", "train/a/a_10.png", "train/a/a_09.png", "readme.txt"]
    return {name: png(noise(i, 2, 3, 3)) for i, name in enumerate(names)}


def packed(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.mkdir("train")
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def test_a_folder_and_a_zip_file_are_alike(tmp_path: Path, snippets: dict[str, bytes]) -> None:
    folder = tmp_path / "folder"
    for name, content in snippets.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    for path in (folder, packed(tmp_path / "a.zip", snippets)):
        assert members(path) == sorted(snippets)
        assert {name: read_member(path, name) for name in members(path)} == snippets
        with pytest.raises(MissingFiles, match="has no train/c.png"):
            read_member(path, "train/c.png")


def test_linked_folders_count(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "a.png").write_bytes(b"a")
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "train").symlink_to(tmp_path / "disk")
    assert members(tmp_path / "set") == ["train/a.png"]


def test_the_archive_stays_open_in_its_process_only(
    tmp_path: Path, snippets: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two processes that share an open file would move each other's place in it."""
    path = packed(tmp_path / "a.zip", snippets)
    mine = images._archive(path)
    assert images._archive(path) is mine
    with monkeypatch.context() as context:
        context.setattr(os, "getpid", lambda: -1)
        assert images._archive(path) is not mine
    assert members(packed(path, {"old.png": b"first"})) == ["old.png"]
    packed(path, {"new.png": b"other"})  # of the same size
    os.utime(path, (1, 1))
    assert members(path) == ["new.png"]


def test_a_changed_bit_in_a_zip_file_is_found(tmp_path: Path, snippets: dict[str, bytes]) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, content in snippets.items():
            archive.writestr(name, content)
    whole = bytearray(path.read_bytes())
    whole[whole.find(b"IDAT") + 6] ^= 1
    path.write_bytes(whole)
    first, *others = snippets
    assert [read_member(path, name) for name in others] == [snippets[name] for name in others]
    with pytest.raises(
        DamagedFile, match=f"a.zip, {first}: found .*CRC-32.* expected a whole mem"
    ):
        read_member(path, first)


def test_a_cut_zip_file_is_damaged(tmp_path: Path, snippets: dict[str, bytes]) -> None:
    path = packed(tmp_path / "a.zip", snippets)
    whole = path.read_bytes()
    for size in np.linspace(0, len(whole) - 1, 30).astype(int):
        path.write_bytes(whole[:size])
        with pytest.raises(DamagedFile, match="a.zip: found data .*, expected a zip file or"):
            members(path)


def test_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(MissingFiles, match="no folder or zip file .*none.zip"):
        members(tmp_path / "none.zip")
