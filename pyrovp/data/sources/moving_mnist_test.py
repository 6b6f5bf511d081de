"""The fixed test sequences of Moving MNIST: 10,000 clips of two digits, 20 frames of 64 x 64 px.

    mnist_test_seq.npy    [20, 10000, 64, 64] uint8, time first

All of it is test data. There is nothing to train on: `torchvision.datasets.MovingMNIST` calls the
first ten frames of these very clips "train". Train on `moving_mnist`, which moves the training
digits by the same rule.

Reference:
    Unsupervised learning of video representations using LSTMs (Srivastava, Mansimov,
    Salakhutdinov, 2015). https://arxiv.org/abs/1502.04681
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar, final

import numpy as np
from numpy.typing import NDArray

from pyrovp.data.errors import DamagedFile
from pyrovp.data.sources.base import Footage, Original, Source
from pyrovp.data.sources.finding import files_below, missing
from pyrovp.data.sources.packing import packed

__all__ = ["MovingMNISTTest"]

_FILE = "mnist_test_seq.npy"
_FRAMES = 20


@final
class MovingMNISTTest(Source):
    """Moving MNIST's test sequences, for evaluation only."""

    name: ClassVar[str] = "moving_mnist_test"
    title: ClassVar[str] = (
        "Moving MNIST, test sequences (Srivastava, Mansimov, Salakhutdinov, 2015)"
    )
    what: ClassVar[str] = "two moving handwritten digits, in gray, 20 frames: evaluation only"
    licence: ClassVar[str] = "none that we know of is stated with the file"
    address: ClassVar[str] = (
        "https://www.cs.toronto.edu/~nitish/unsupervised_video/mnist_test_seq.npy"
    )
    layout: ClassVar[str] = _FILE
    size: ClassVar[str] = "0.8 GB"
    channels: ClassVar[int] = 1
    counts: ClassVar[Mapping[str, int]] = {"test": 10000}
    splits: ClassVar[str] = "all of it is the test set"

    def originals(self, folder: Path) -> list[Original]:
        found = [
            Original(_FILE, "test", path)
            for path in files_below(folder, {".npy"}).values()
            if path.name == _FILE
        ]
        if not found:
            raise missing(self, folder)
        return found[:1]

    def read(self, original: Original, resolution: int) -> Iterator[Footage]:
        clips = _load(original.path)
        for number in range(clips.shape[1]):
            clip = clips[:, number, :, :, None]  # [20, H, W, 1]
            frames = packed(clip, resolution, 1, "whole", original.path)
            yield Footage(f"{_FILE}/{number:04d}", frames)


def _load(path: Path) -> NDArray[np.uint8]:
    """The clips, [20, N, H, W], mapped into memory."""
    expected, advice = "[20, N, H, W] of uint8", "download it again"
    try:
        clips = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DamagedFile(path, str(error), expected, advice) from error
    if not isinstance(clips, np.ndarray) or clips.ndim != 4:
        raise DamagedFile(path, f"shape {np.shape(clips)}", expected, advice)
    if clips.dtype != np.uint8 or clips.shape[0] != _FRAMES or 0 in clips.shape:
        raise DamagedFile(path, f"{list(clips.shape)} of {clips.dtype}", expected, advice)
    return clips
