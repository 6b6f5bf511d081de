"""Your own videos: which split a file belongs to, and every kind of file."""

import hashlib
import math
import shutil
from itertools import combinations, product
from pathlib import Path

import numpy as np
import pytest

from pyrovp.data.errors import DamagedFile
from pyrovp.data.prepare import prepare
from pyrovp.data.sources.base import Footage
from pyrovp.data.sources.video_folder import VideoFolder, share
from tests.data.sources.writers import plain, write_film

# First digits of hashes in the ranges of train, validation and test.
RANGES = {"train": ["0", "5", "c"], "validation": ["d", "cd", "e4"], "test": ["e7", "f", "ff"]}


def digest(start: str) -> str:
    return start.ljust(64, "0")


def put(folder: Path, name: str, content: bytes) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)


def splits(folder: Path) -> dict[str, str]:
    return {original.name: original.split for original in VideoFolder().originals(folder)}


@pytest.mark.parametrize(
    ("first", "split"),
    [
        ("0", "train"), ("ccccccccccccc0", "train"), ("cccccccccccce", "validation"),
        ("e6666666666660", "validation"), ("e666666666667", "test"), ("f" * 64, "test"),
    ],
)  # fmt: skip
def test_the_ranges(first: str, split: str) -> None:
    """0.8 is 0.ccc... and 0.9 is 0.e666... in base 16; the others keep the splits filled."""
    others = [digest(starts[0]) for starts in RANGES.values()] * (first != "0")
    assert share([*others, digest(first)])[digest(first)] == (split if others else "train")


@pytest.mark.parametrize("count", [1, 2, 3])
def test_small_folders_have_what_they_can(count: int) -> None:
    """Wherever chance puts them: 1 video trains, 2 train and test, 3 do all."""
    wanted = {1: ["train"], 2: ["test", "train"], 3: ["test", "train", "validation"]}[count]
    everywhere = [start for starts in RANGES.values() for start in starts]
    for chosen in combinations(everywhere, count):
        assert sorted(share(map(digest, chosen)).values()) == wanted, chosen


def test_the_nearest_spare_file_fills_an_empty_split() -> None:
    assert share(map(digest, ["0", "5", "b"])) == {
        digest("0"): "train",
        digest("5"): "validation",
        digest("b"): "test",
    }
    assert share(map(digest, ["d", "e", "ff"])) == {
        digest("d"): "train",
        digest("e"): "validation",
        digest("ff"): "test",
    }


def test_eight_in_ten_train() -> None:
    """Over 5000 hashes, within five deviations: a false alarm in under a million."""
    hashes = [hashlib.sha256(bytes(pair)).hexdigest() for pair in product(range(20), range(250))]
    found = list(share(hashes).values())
    for split, p in {"train": 0.8, "validation": 0.1, "test": 0.1}.items():
        assert abs(found.count(split) - 5000 * p) < 5 * math.sqrt(5000 * p * (1 - p))  # type: ignore[arg-type]


def test_a_split_is_of_the_bytes(tmp_path: Path) -> None:
    """Other names and more files change nothing once no split is empty."""
    for i in range(40):
        put(tmp_path / "a", f"{i:02d}.mp4", bytes([i]))
        put(tmp_path / "b", f"deep/{99 - i}.avi", bytes([i]))
    for i in range(40, 60):
        put(tmp_path / "b", f"{i}.gif", bytes([i]))
    a, b = splits(tmp_path / "a"), splits(tmp_path / "b")
    assert len(a) == 40 and len(b) == 60 and set(a.values()) == {"train", "validation", "test"}
    assert list(a) == sorted(a) and list(b) == sorted(b)
    for i in range(40):
        u = int.from_bytes(hashlib.sha256(bytes([i])).digest()) / 2**256
        expected = "train" if u < 0.8 else "validation" if u < 0.9 else "test"
        assert a[f"{i:02d}.mp4"] == b[f"deep/{99 - i}.avi"] == expected


def test_a_copy_is_the_same_video(tmp_path: Path) -> None:
    put(tmp_path, "z.mp4", b"one")
    put(tmp_path, "sub/copy.mp4", b"one")
    put(tmp_path, "a copy.avi", b"one")
    assert splits(tmp_path) == {"a copy.avi": "train"}
    put(tmp_path, "other.mp4", b"two")
    assert sorted(splits(tmp_path).values()) == ["test", "train"]


def test_which_files_count(tmp_path: Path) -> None:
    kinds = [".mp4", ".m4v", ".avi", ".mkv", ".mov", ".gif", ".webm", ".npz", ".npy", ".MP4"]
    for i, kind in enumerate(kinds):
        put(tmp_path, f"v{i}{kind}", bytes([i]))
    for name in ("x.txt", ".v.mp4", ".trash/v.mp4", "png.png"):
        put(tmp_path, name, b"x")
    assert set(splits(tmp_path)) == {f"v{i}{kind}" for i, kind in enumerate(kinds)}


def test_what_is_left_out_is_said(tmp_path: Path) -> None:
    put(tmp_path, "a.mp4", b"one")
    found = VideoFolder().originals(tmp_path)
    assert VideoFolder().left_out(tmp_path, found) == ""
    for name in ("sub/a.mp4", "b.avi", "._a.mp4", ".trash/v.mp4", ".DS_Store"):
        put(tmp_path, name, b"one")
    found = VideoFolder().originals(tmp_path)
    assert VideoFolder().left_out(tmp_path, found) == "2 hidden files and 2 equal files"
    (tmp_path / "b.avi").write_bytes(b"two")
    found = VideoFolder().originals(tmp_path)
    assert VideoFolder().left_out(tmp_path, found) == "2 hidden files and 1 equal file"


def test_preparing_says_what_is_left_out(tmp_path: Path) -> None:
    said: list[str] = []
    for name, value in (("a", 1), ("b", 2), ("copy of b", 2), (".c", 3)):
        np.save(tmp_path / f"{name}.npy", np.full((1, 16, 16), value, np.uint8))
    prepare(VideoFolder(), tmp_path / "root", folder=tmp_path, resolution=16, say=said.append)
    whole = f"2 originals in {tmp_path}; 1 hidden file and 1 equal file left out"
    assert said[0].endswith(whole) and "test: 1 video, 1 frame" in said


FRAMES = [plain((10 + 60 * t, 200 - 40 * t, 120), 32, 48) for t in range(4)]


def read(folder: Path) -> list[Footage]:
    originals = VideoFolder().originals(folder)
    return [video for original in originals for video in VideoFolder().read(original, 16)]


@pytest.mark.parametrize(
    ("name", "codec", "pixels", "off"),
    [
        ("v.mp4", "libx264", "yuv420p", 6),
        ("v.mov", "libx264", "yuv420p", 6),
        ("v.mkv", "libx264", "yuv420p", 6),
        ("v.m4v", "mpeg4", "yuv420p", 6),
        ("v.webm", "libvpx", "yuv420p", 6),
        ("deep/V.AVI", "ffv1", "bgr0", 0),
        ("v.gif", "gif", "rgb8", 40),  # 8 reds, 8 greens, 4 blues
    ],
)
def test_films(name: str, codec: str, pixels: str, off: int, tmp_path: Path) -> None:
    write_film(tmp_path / name, FRAMES, codec, pixels)
    (video,) = read(tmp_path)
    assert video.name == name and video.frames.shape == (4, 16, 16, 3) and video.states == {}
    expected = np.stack([frame[:16, :16] for frame in FRAMES]).astype(int)
    assert np.abs(video.frames - expected).max() <= off


def test_arrays_of_one_and_of_several_videos(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    gray, colour = rng.integers(0, 256, (5, 16, 16), np.uint8), np.stack(FRAMES)
    several = rng.integers(0, 256, (2, 6, 16, 16, 3), np.uint8)
    np.save(tmp_path / "a.npy", gray)
    np.savez(tmp_path / "b.npz", colour)
    np.save(tmp_path / "c.npy", several)
    videos = {video.name: video.frames for video in read(tmp_path)}
    assert list(videos) == ["a.npy", "b.npz", "c.npy/000", "c.npy/001"]
    np.testing.assert_array_equal(videos["a.npy"], np.repeat(gray[..., None], 3, axis=-1))
    np.testing.assert_array_equal(videos["b.npz"], colour[:, :16, :16])
    np.testing.assert_array_equal(videos["c.npy/001"], several[1])


def test_the_centre_square_is_kept(tmp_path: Path) -> None:
    wide = np.zeros((2, 16, 32, 3), np.uint8)
    wide[:, :, 8:24] = 77
    np.save(tmp_path / "wide.npy", wide)
    (video,) = read(tmp_path)
    assert (video.frames == 77).all()


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    put(tmp_path, "broken.mp4", b"no film at all")
    with pytest.raises(DamagedFile, match="broken.mp4"):
        read(tmp_path)
    shutil.rmtree(tmp_path)
    put(tmp_path, "broken.npy", b"no array at all")
    with pytest.raises(DamagedFile, match="broken.npy"):
        read(tmp_path)
