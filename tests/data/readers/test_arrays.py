"""NumPy files: which dimensions are what, which values, and what is refused."""

import io
import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pyrovp.data.errors import DamagedFile
from pyrovp.data.readers.arrays import read_array


def npy(values: NDArray[np.generic]) -> bytes:
    """A .npy file from the format's definition, version 1.0."""
    header = (
        f"{{'descr': {values.dtype.str!r}, 'fortran_order': False, 'shape': {values.shape}, }}"
    )
    header = header.ljust(-(-(len(header) + 11) // 64) * 64 - 11) + "\n"
    return (
        b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + values.tobytes()
    )


def noise(seed: int, *shape: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


@pytest.mark.parametrize(
    ("shape", "videos", "each"),
    [
        ((5, 6, 7), 1, (5, 6, 7, 1)),
        ((5, 6, 7, 1), 1, (5, 6, 7, 1)),
        ((5, 6, 7, 3), 1, (5, 6, 7, 3)),
        ((2, 5, 6, 7), 2, (5, 6, 7, 1)),
        ((2, 5, 6, 7, 1), 2, (5, 6, 7, 1)),
        ((2, 5, 6, 7, 3), 2, (5, 6, 7, 3)),
        ((1, 1, 16, 16), None, None),
        ((20, 3, 16, 16), None, None),
        ((20, 5, 3, 16, 16), None, None),
        ((5, 6, 7, 4), None, None),
        ((5, 6, 7, 2), None, None),
        ((2, 5, 6, 7, 4), None, None),
        ((16, 16, 3), None, None),
        ((16, 16), None, None),
        ((0, 16, 16), None, None),
        ((2, 2, 2, 2, 2, 3), None, None),
    ],
)
def test_dimensions(
    tmp_path: Path,
    seed: int,
    shape: tuple[int, ...],
    videos: int | None,
    each: tuple[int, ...] | None,
) -> None:
    """Known answers, and what is refused: channels first, transparency, an image, nothing."""
    values = noise(seed, *shape)
    path = tmp_path / "a.npy"
    path.write_bytes(npy(values))
    if each is None or videos is None:
        with pytest.raises(DamagedFile, match=r"a.npy: found an array \[.*expected \[T, H, W\], "):
            read_array(path)
        return
    found = read_array(path)
    assert [(video.shape, video.dtype.name) for video in found] == [(each, "uint8")] * videos
    assert np.array_equal(np.concatenate([video.ravel() for video in found]), values.ravel())


def test_a_large_array_stays_on_the_disk(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "a.npy"
    path.write_bytes(npy(noise(seed, 2, 5, 6, 7)))
    for video in read_array(path):
        assert isinstance(video, np.memmap)


@pytest.mark.parametrize("kind", ["<f2", "<f4", ">f4", "<f8"])
def test_shares_become_bytes(tmp_path: Path, kind: str) -> None:
    """Each byte divided by 255 is that byte again; other values go to the nearest."""
    every = np.arange(256, dtype=np.uint8).reshape(4, 8, 8)
    values = (every / 255).astype(kind)
    path = tmp_path / "a.npy"
    path.write_bytes(npy(values))
    assert np.array_equal(read_array(path)[0][..., 0], every)
    path.write_bytes(npy(np.full((1, 4, 4), 0.5039, kind)))  # 128.49 of 255
    assert (read_array(path)[0] == 128).all()


def test_several_arrays(tmp_path: Path, seed: int) -> None:
    first, second = noise(seed, 3, 4, 5), noise(seed, 2, 2, 4, 5, 3)
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("z.npy", npy(first))
        archive.writestr("b.npy", npy(second))
    found = read_array(path)
    assert len(found) == 3
    assert np.array_equal(found[0][..., 0], first) and np.array_equal(np.stack(found[1:]), second)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("labels.npy", npy(np.arange(3)))
    with pytest.raises(DamagedFile, match=r"a.npz, array 'labels': found an array \[3\]"):
        read_array(path)


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        (np.full((2, 4, 4), 1.5, np.float32), "values from 1.5 to 1.5, expected values from 0"),
        (np.full((2, 4, 4), -0.1), "values from -0.1"),
        (np.full((2, 4, 4), np.nan), "values from nan"),
        (np.full((2, 4, 4), 7, np.int64), "found int64, expected uint8"),
        (np.full((2, 4, 4), True), "found bool, expected uint8"),
        (np.full((2, 4, 4), 1j), "found complex128, expected uint8"),
    ],
)
def test_other_values(tmp_path: Path, values: NDArray[np.generic], problem: str) -> None:
    path = tmp_path / "a.npy"
    path.write_bytes(npy(values))
    with pytest.raises(DamagedFile, match=problem):
        read_array(path)


class Trap:
    """Ends a test as soon as it is unpickled."""

    def __reduce__(self) -> tuple[object, ...]:
        return pytest.exit, ("unpickled",)


def test_pickled_objects_are_not_loaded(tmp_path: Path) -> None:
    path, file = tmp_path / "a.npy", io.BytesIO()
    np.save(file, np.array([Trap()], object), allow_pickle=True)
    for content in (file.getvalue(), pickle.dumps(Trap())):
        path.write_bytes(content)
        with pytest.raises(DamagedFile, match="pickle"):
            read_array(path)


@pytest.mark.parametrize("name", ["a.npy", "a.npz"])
def test_cut_files_are_damaged(tmp_path: Path, seed: int, name: str) -> None:
    path = tmp_path / name
    whole = npy(noise(seed, 3, 16, 16))
    if name == "a.npz":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("video.npy", whole)
        whole = path.read_bytes()
    for size in np.linspace(0, len(whole) - 1, 40).astype(int):
        path.write_bytes(whole[:size])
        with pytest.raises(DamagedFile, match=f"{name}: found data that cannot be read .*again"):
            read_array(path)


def test_a_changed_bit_in_a_npz_file_is_found(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "a.npz"
    values = noise(seed, 3, 16, 16)
    np.savez(path, values)
    whole = bytearray(path.read_bytes())
    whole[whole.find(values.tobytes()) + 100] ^= 1
    path.write_bytes(whole)
    with pytest.raises(DamagedFile, match="CRC"):
        read_array(path)
