"""The two releases of the mazes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pyrovp.data.errors import DamagedFile, DataError
from pyrovp.data.sources.gqn_mazes import GQNMazes
from tests.data.sources.writers import encoded, plain, write_film, write_records

COLOURS = [(200, 40, 40), (40, 180, 40), (60, 60, 220)]


def walk(seed: int, frames: int = 3) -> dict[str, Any]:
    images = [plain(COLOURS[(seed + t) % 3], 84, 84) for t in range(frames)]
    cameras = np.random.default_rng(seed).normal(size=frames * 5).astype("f4")
    return {"frames": [encoded(image, "JPEG") for image in images], "cameras": cameras}


def near(frames: np.ndarray, colours: list[tuple[int, int, int]]) -> None:
    """JPEG and H.264 are off by a few values."""
    for frame, colour in zip(frames, colours, strict=True):
        assert np.abs(frame.astype(int) - colour).max() <= 6


@pytest.mark.parametrize("inside", ["", "gqn_mazes"])
def test_the_films(inside: str, tmp_path: Path) -> None:
    frames = [plain(colour, 64, 64) for colour in COLOURS]
    for name in ("train/1.mp4", "train/0.mp4", "test/7.mp4"):
        write_film(tmp_path / inside / name, frames, "libx264", "yuv420p")
    originals = GQNMazes().originals(tmp_path)
    assert [(original.name, original.split) for original in originals] == [
        ("test/7.mp4", "test"),
        ("train/0.mp4", "train"),
        ("train/1.mp4", "train"),
    ]
    (video,) = GQNMazes().read(originals[0], 64)
    assert video.name == "test/7.mp4" and video.states == {}
    assert video.frames.shape == (3, 64, 64, 3)
    near(video.frames, COLOURS)


@pytest.mark.parametrize("inside", ["", "mazes"])
def test_the_records(inside: str, tmp_path: Path) -> None:
    place = tmp_path / inside
    write_records(place / "train" / "0001-of-1080.tfrecord", [walk(0), walk(1, frames=2)])
    write_records(place / "test" / "001-of-120.tfrecord", [walk(2)])
    test, train = GQNMazes().originals(tmp_path)
    assert (test.name, test.split) == ("test/001-of-120.tfrecord", "test")
    first, second = GQNMazes().read(train, 64)
    assert first.name == "train/0001-of-1080.tfrecord/000"
    assert second.name == "train/0001-of-1080.tfrecord/001"
    assert first.frames.shape == (3, 64, 64, 3) and second.frames.shape == (2, 64, 64, 3)
    near(first.frames, COLOURS)
    near(second.frames, [COLOURS[1], COLOURS[2]])
    assert list(first.states) == ["camera"]
    np.testing.assert_array_equal(first.states["camera"], walk(0)["cameras"].reshape(3, 5))
    assert first.states["camera"].dtype == np.float32


def test_records_without_cameras(tmp_path: Path) -> None:
    features = {"frames": walk(0)["frames"]}
    write_records(tmp_path / "train" / "1.tfrecord", [features])
    (original,) = GQNMazes().originals(tmp_path)
    (video,) = GQNMazes().read(original, 32)
    assert video.frames.shape == (3, 32, 32, 3) and video.states == {}


def test_both_releases_in_one_folder(tmp_path: Path) -> None:
    for name in ("a.mp4", "b.tfrecord"):
        (tmp_path / "train").mkdir(exist_ok=True)
        (tmp_path / "train" / name).touch()
    with pytest.raises(DataError, match="holds .mp4 and .tfrecord files.*keep one"):
        GQNMazes().originals(tmp_path)


@pytest.mark.parametrize(
    ("features", "said"),
    [
        ({"cameras": np.zeros(15, "f4")}, "record 0: found no JPEGs under `frames`"),
        ({"frames": np.zeros(3, "f4")}, "no JPEGs"),
        ({"frames": [b"x"]}, "record 0, frame 0"),
        (walk(0) | {"cameras": np.zeros(14, "f4")}, "cameras: found 14 values.*3 x 5 floats"),
        (walk(0) | {"cameras": np.zeros(15, "i8")}, "cameras: found 15 values of type int64"),
    ],
)
def test_a_record_that_is_not_a_walk(features: Any, said: str, tmp_path: Path) -> None:
    write_records(tmp_path / "train" / "1.tfrecord", [features])
    (original,) = GQNMazes().originals(tmp_path)
    with pytest.raises(DamagedFile, match=said):
        list(GQNMazes().read(original, 16))
