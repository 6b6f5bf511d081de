"""KTH's file names and splits against its published list, and its films."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from pyrovp.data.errors import DamagedFile, DataError
from pyrovp.data.sources.kth import KTH
from tests.data.sources.writers import plain, write_film

ACTIONS = ["boxing", "handclapping", "handwaving", "jogging", "running", "walking"]
PUBLISHED = [
    f"person{person:02d}_{action}_d{scene}_uncomp.avi"
    for person in range(1, 26)
    for action in ACTIONS
    for scene in range(1, 5)
    if (person, action, scene) != (13, "handclapping", 3)
]


def lay(folder: Path, classes: bool) -> None:
    for action in ACTIONS:
        (folder / action if classes else folder).mkdir(parents=True, exist_ok=True)
    for name in PUBLISHED:
        (folder / (f"{name.split('_')[1]}/{name}" if classes else name)).touch()


@pytest.mark.parametrize("classes", [False, True])
def test_the_published_599_videos(classes: bool, tmp_path: Path) -> None:
    lay(tmp_path, classes)
    (tmp_path / "00sequences.txt").touch()
    (tmp_path / "person26_boxing_d1_uncomp.avi").touch()
    (tmp_path / "holiday.avi").touch()
    found = KTH().originals(tmp_path)
    assert [original.name for original in found] == sorted(PUBLISHED)
    assert all(original.path.is_file() for original in found)
    count = Counter(original.split for original in found)
    assert count == {"train": 18 * 24 - 1, "validation": 2 * 24, "test": 5 * 24}
    published = KTH().counts
    assert count["train"] + count["validation"] == published["train"]
    assert count["test"] == published["test"] and len(found) == 599


def test_persons_never_cross(tmp_path: Path) -> None:
    lay(tmp_path, classes=False)
    persons: dict[str, set[int]] = {"train": set(), "validation": set(), "test": set()}
    for original in KTH().originals(tmp_path):
        persons[original.split].add(int(original.name[6:8]))
    assert persons["test"] == {21, 22, 23, 24, 25}
    assert not persons["train"] & persons["validation"]
    assert persons["train"] | persons["validation"] == set(range(1, 21))


def test_a_file_in_two_places(tmp_path: Path) -> None:
    for place in ("boxing", "copy"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "person01_boxing_d1_uncomp.avi").touch()
    with pytest.raises(DataError, match="two places, .*boxing and .*copy; remove one"):
        KTH().originals(tmp_path)


def test_a_film_in_gray_and_squeezed(tmp_path: Path) -> None:
    """The outer eighths stay in the picture; (200, 100, 50) has the luma 124.2."""
    frames = [plain((200, 100, 50), 120, 160)]
    for t in range(1, 4):
        frame = plain((0, 0, 0), 120, 160)
        frame[:, :20] = 60 * t
        frames.append(frame)
    path = tmp_path / PUBLISHED[0]
    write_film(path, frames, "ffv1", "bgr0")
    (original,) = KTH().originals(tmp_path)
    (footage,) = KTH().read(original, 16)
    assert footage.name == PUBLISHED[0] and footage.states == {}
    assert footage.frames.shape == (4, 16, 16, 1) and footage.frames.dtype == np.uint8
    assert (footage.frames[0] == 124).all()
    for t in range(1, 4):
        assert (footage.frames[t, :, 0] == 60 * t).all() and (footage.frames[t, :, 3:] == 0).all()


def test_a_film_cut_short(tmp_path: Path) -> None:
    path = tmp_path / PUBLISHED[0]
    rng = np.random.default_rng(0)
    write_film(path, rng.integers(0, 256, (8, 24, 32, 3), np.uint8), "ffv1", "bgr0")
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    (original,) = KTH().originals(tmp_path)
    with pytest.raises(DamagedFile, match=PUBLISHED[0]):
        list(KTH().read(original, 16))
