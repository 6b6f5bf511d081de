"""MineRL Navigate's films and what its metadata say of each frame."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pyrovp.data.errors import DamagedFile
from pyrovp.data.sources.base import Footage
from pyrovp.data.sources.minerl_navigate import ACTIONS, MineRLNavigate
from tests.data.sources.writers import plain, write_film

FRAMES = [plain((90, 90, 90), 64, 64), plain((180, 180, 180), 64, 64)]


def entry(offset: float = 0.0) -> dict[str, Any]:
    lists = {name: [i + offset, i - offset] for i, name in enumerate(ACTIONS)}
    return lists | {"goal": [0.5, 0.25]}  # more than is used


def lay(folder: Path, metadata: Any = None, at: str = "train") -> Path:
    write_film(folder / "train" / "a.mp4", FRAMES, "libx264", "yuv420p")
    if metadata is not None:
        text = metadata if isinstance(metadata, str) else json.dumps(metadata)
        (folder / at / "metadata.json").write_text(text)
    return folder


def read(folder: Path) -> Footage:
    (original,) = MineRLNavigate().originals(folder)
    (video,) = MineRLNavigate().read(original, 64)
    return video


def test_splits_by_folder(tmp_path: Path) -> None:
    for name in ("minerl_navigate/test/b.mp4", "minerl_navigate/train/a.mp4"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    found = MineRLNavigate().originals(tmp_path)
    assert [(original.name, original.split) for original in found] == [
        ("test/b.mp4", "test"),
        ("train/a.mp4", "train"),
    ]


@pytest.mark.parametrize("at", ["train", "."])
def test_actions_in_their_order(at: str, tmp_path: Path) -> None:
    video = read(lay(tmp_path, {"a.mp4": entry(0.5)}, at))
    assert video.frames.shape == (2, 64, 64, 3)
    assert np.abs(video.frames.astype(int) - np.stack(FRAMES)).max() <= 6
    expected = [[i + 0.5 for i in range(11)], [i - 0.5 for i in range(11)]]
    assert video.states["action"].dtype == np.float32
    np.testing.assert_array_equal(video.states["action"], expected)
    assert list(video.states) == ["action"] and list(ACTIONS) == sorted(ACTIONS)


def test_without_metadata(tmp_path: Path) -> None:
    assert read(lay(tmp_path)).states == {}


def test_metadata_that_change_are_read_again(tmp_path: Path) -> None:
    before = read(lay(tmp_path, {"a.mp4": entry(0.5)})).states["action"]
    lay(tmp_path, {"a.mp4": entry(0.25)})
    os.utime(tmp_path / "train" / "metadata.json", ns=(1, 1))
    after = read(tmp_path).states["action"]
    assert before[0, 0] == 0.5 and after[0, 0] == 0.25


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        ("{", "metadata.json: found Expecting"),
        ("[]", "found a list, expected a JSON object"),
        ({"b.mp4": {}}, "metadata.json, a.mp4: found no entry"),
        ({"a.mp4": entry() | {"jump": [1]}}, "a.mp4, jump: found 1 values, expected 2 numbers"),
        ({"a.mp4": entry() | {"jump": ["x", "y"]}}, "jump: found 2 values, expected 2 numbers"),
        ({"a.mp4": {"attack": [0, 0]}}, "back: found nothing.*move metadata.json away"),
    ],
)
def test_metadata_that_do_not_fit(metadata: Any, said: str, tmp_path: Path) -> None:
    with pytest.raises(DamagedFile, match=said):
        read(lay(tmp_path, metadata))
