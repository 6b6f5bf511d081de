"""BAIR's trajectories byte for byte, from files that other libraries wrote."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pyrovp.data.errors import DamagedFile
from pyrovp.data.sources.bair import BAIR
from tests.data.sources.writers import write_records


@cache
def trajectory(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    frames = rng.integers(0, 256, (30, 64, 64, 3), np.uint8)
    return frames, rng.normal(size=(30, 4)).astype("f4"), rng.normal(size=(30, 3)).astype("f4")


def record(seed: int, states: bool = True) -> dict[str, Any]:
    """Both cameras and the states of a trajectory, in the names of the data set."""
    frames, action, position = trajectory(seed)
    features: dict[str, Any] = {}
    for t in range(30):
        features[f"{t}/image_main/encoded"] = [bytes(12288)]
        features[f"{t}/image_aux1/encoded"] = [frames[t].tobytes()]
        if states:
            features[f"{t}/action"] = action[t]
            features[f"{t}/endeffector_pos"] = position[t]
    return features


@pytest.mark.parametrize("inside", ["", "softmotion30_44k"])
def test_trajectories_come_as_they_are(inside: str, tmp_path: Path) -> None:
    place = tmp_path / inside
    write_records(place / "test" / "traj_0_to_0.tfrecords", [record(0)])
    write_records(place / "train" / "traj_10_to_10.tfrecords", [record(3)])
    write_records(place / "train" / "traj_1_to_2.tfrecords", [record(1), record(2)])
    originals = BAIR().originals(tmp_path)
    assert [(original.name, original.split) for original in originals] == [
        ("test/traj_0_to_0.tfrecords", "test"),
        ("train/traj_10_to_10.tfrecords", "train"),
        ("train/traj_1_to_2.tfrecords", "train"),
    ]
    assert BAIR().originals(place) == originals
    footage = [video for original in originals for video in BAIR().read(original, 64)]
    assert [video.name for video in footage] == [
        "test/traj_0_to_0.tfrecords/000",
        "train/traj_10_to_10.tfrecords/000",
        "train/traj_1_to_2.tfrecords/000",
        "train/traj_1_to_2.tfrecords/001",
    ]
    for video, seed in zip(footage, (0, 3, 1, 2), strict=True):
        frames, action, position = trajectory(seed)
        np.testing.assert_array_equal(video.frames, frames)
        assert list(video.states) == ["action", "endeffector_pos"]
        np.testing.assert_array_equal(video.states["action"], action)
        np.testing.assert_array_equal(video.states["endeffector_pos"], position)
        assert video.frames.dtype == np.uint8
        assert all(values.dtype == np.float32 for values in video.states.values())


def test_the_test_set_alone_and_smaller(tmp_path: Path) -> None:
    write_records(tmp_path / "test" / "traj_0_to_0.tfrecords", [record(0, states=False)])
    (original,) = BAIR().originals(tmp_path)
    (video,) = BAIR().read(original, 16)
    assert video.frames.shape == (30, 16, 16, 3) and video.states == {}


def drop(key: str) -> Callable[[dict[str, Any]], None]:
    return lambda features: features.pop(key)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (drop("29/image_aux1/encoded"), "trajectory 1 of the file: found no 29/image_aux1"),
        (lambda f: f.update({"4/image_aux1/encoded": [bytes(100)]}), "4/.*found 100 bytes"),
        (lambda f: f.update({"4/image_aux1/encoded": []}), "4/image_aux1.*found 0 values"),
        (lambda f: f.update({"4/image_aux1/encoded": np.zeros(3, "f4")}), "found 3 values"),
        (drop("7/action"), "7/action: found nothing, expected 4 floats"),
        (lambda f: f.update({"7/action": np.zeros(5, "f4")}), "7/action: found 5 values"),
        (lambda f: f.update({"7/action": np.zeros(4, "i8")}), "values of type int64"),
    ],
)
def test_a_record_that_is_not_a_trajectory(damage: Any, said: str, tmp_path: Path) -> None:
    second = record(1)
    damage(second)
    write_records(tmp_path / "train" / "traj_0_to_1.tfrecords", [record(0), second])
    (original,) = BAIR().originals(tmp_path)
    videos = BAIR().read(original, 64)
    assert next(videos).name.endswith("/000")
    with pytest.raises(DamagedFile, match=said):
        next(videos)


def test_a_file_that_ends_between_two_records(tmp_path: Path) -> None:
    path = tmp_path / "train" / "traj_256_to_258.tfrecords"
    write_records(path, [record(0), record(1)])
    (original,) = BAIR().originals(tmp_path)
    with pytest.raises(DamagedFile, match="2 trajectories, expected 3, as its name says"):
        list(BAIR().read(original, 16))


def test_a_changed_byte_is_found(tmp_path: Path) -> None:
    path = tmp_path / "train" / "traj_0_to_0.tfrecords"
    write_records(path, [record(0)])
    data = bytearray(path.read_bytes())
    data[5000] ^= 1
    path.write_bytes(data)
    (original,) = BAIR().originals(tmp_path)
    with pytest.raises(DamagedFile, match="record 0"):
        list(BAIR().read(original, 16))
