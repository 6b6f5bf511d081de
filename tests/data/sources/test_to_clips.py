"""From a data set's own files to the clips of a run: nothing is moved or mixed on the way."""

from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from pyrovp.data.prepare import prepare
from pyrovp.data.registry import find_source
from pyrovp.data.stored import StoredVideos
from tests.data.sources.writers import write_records

# Brightness and action of frame t of trajectory n are both 30 n + t.
TRAJECTORIES = {"test/traj_0_to_0": [0], "train/traj_1_to_2": [1, 2], "train/traj_3_to_4": [3, 4]}


def record(n: int) -> dict[str, Any]:
    features: dict[str, Any] = {}
    for t in range(30):
        features[f"{t}/image_aux1/encoded"] = [bytes([30 * n + t]) * 12288]
        features[f"{t}/action"] = np.full(4, 30 * n + t, np.float32)
        features[f"{t}/endeffector_pos"] = np.full(3, n, np.float32)
    return features


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("root")
    for name, numbers in TRAJECTORIES.items():
        path = folder / "bair" / "softmotion30_44k" / f"{name}.tfrecords"
        write_records(path, [record(n) for n in numbers])
    prepare(find_source("bair"), folder, resolution=16, say=lambda line: None)
    return folder


@pytest.mark.parametrize(("split", "items"), [("train", 12), ("validation", 2), ("test", 1)])
def test_states_stay_with_their_frames(
    split: Literal["train", "validation", "test"], items: int, root: Path
) -> None:
    data = StoredVideos(split, 7, "bair", root, resolution=16)
    assert data.channels == 3 and data.pieces == {"train": 2, "validation": 2, "test": 1}[split]
    trajectories = set()
    for index in range(items):
        item = data[index]
        pixels = (item["video"] * 255).round()
        assert item["video"].shape == (7, 3, 16, 16)
        assert (pixels == pixels[:, :1, :1, :1]).all()
        shown, action = pixels[:, 0, 0, 0], item["states"]["action"]
        assert (action == shown[:, None]).all() and action.shape == (7, 4)
        assert (shown.diff() == 1).all()
        trajectory = int(shown[0]) // 30
        assert (item["states"]["endeffector_pos"] == trajectory).all()
        trajectories.add(trajectory)
    if split == "test":
        assert trajectories == {0} and shown[0] == 0
    else:
        assert trajectories in ({1, 2}, {3, 4})  # a file is wholly in one split
