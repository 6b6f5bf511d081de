"""Moving MNIST's test file: time first, all of it test data."""

from pathlib import Path

import numpy as np
import pytest

from pyrovp.data.errors import DamagedFile
from pyrovp.data.sources.moving_mnist_test import MovingMNISTTest


def saved(folder: Path, array: np.ndarray) -> Path:
    folder.mkdir(exist_ok=True)
    np.save(folder / "mnist_test_seq.npy", array)
    return folder / "mnist_test_seq.npy"


def test_clips_come_as_they_are(tmp_path: Path) -> None:
    clips = np.random.default_rng(0).integers(0, 256, (20, 3, 64, 64), np.uint8)
    saved(tmp_path / "deeper", clips)
    np.save(tmp_path / "another.npy", clips)
    (original,) = MovingMNISTTest().originals(tmp_path)
    assert (original.name, original.split) == ("mnist_test_seq.npy", "test")
    videos = list(MovingMNISTTest().read(original, 64))
    assert [video.name for video in videos] == [f"mnist_test_seq.npy/000{n}" for n in range(3)]
    for n, video in enumerate(videos):
        assert video.frames.shape == (20, 64, 64, 1)
        np.testing.assert_array_equal(video.frames[..., 0], clips[:, n])
    (first, *_) = MovingMNISTTest().read(original, 16)
    assert first.frames.shape == (20, 16, 16, 1)


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.zeros((3, 20, 64, 64), np.uint8), r"found \[3, 20, 64, 64\] of uint8"),
        (np.zeros((20, 3, 64, 64), np.float32), r"found \[20, 3, 64, 64\] of float32"),
        (np.zeros((20, 0, 64, 64), np.uint8), r"found \[20, 0, 64, 64\]"),
        (np.zeros((20, 64, 64), np.uint8), "found shape .20, 64, 64."),
        (np.array([None]), "cannot be loaded|[Oo]bject"),
    ],
)
def test_another_array(array: np.ndarray, said: str, tmp_path: Path) -> None:
    saved(tmp_path, array)
    (original,) = MovingMNISTTest().originals(tmp_path)
    with pytest.raises(DamagedFile, match=said):
        list(MovingMNISTTest().read(original, 64))


@pytest.mark.parametrize("kept", [0, 50, 5000])
def test_a_file_cut_short(kept: int, tmp_path: Path) -> None:
    path = saved(tmp_path, np.zeros((20, 3, 64, 64), np.uint8))
    path.write_bytes(path.read_bytes()[:kept])
    (original,) = MovingMNISTTest().originals(tmp_path)
    with pytest.raises(DamagedFile, match="mnist_test_seq.npy: found .*; download it again"):
        list(MovingMNISTTest().read(original, 64))
