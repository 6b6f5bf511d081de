"""The benchmark of loaders: a large set is as large as it says, and what is counted is counted."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.large_set import Noise, large_set, own_memory
from benchmarks.loader import cores, frames_made, read_large, small
from pyrovp.data import MovingBall, StoredVideos

__all__: list[str] = []


def test_a_large_set_is_mostly_a_hole(tmp_path: Path) -> None:
    prepared = large_set(tmp_path, gigabytes=0.1, frames=10)
    train = prepared.splits["train"]
    assert train.frames.nbytes == pytest.approx(1e8, rel=2e-3)
    assert train.videos == len(train.frames) / 10
    file = (prepared.folder / "train.npy").stat()
    assert file.st_size > train.frames.nbytes and file.st_blocks * 512 < 2e6
    assert train.frames[:5].any() and not train.frames[-5:].any()
    clips = StoredVideos("train", 8, Noise.name, tmp_path)
    assert clips.pieces == train.videos and clips[0]["video"].shape == (8, 3, 64, 64)


def test_own_memory_is_what_the_process_has_to_itself(tmp_path: Path) -> None:
    frames = large_set(tmp_path, gigabytes=0.1).splits["train"].frames
    before = own_memory()
    assert frames.sum(dtype=np.int64) > 0  # 100 MB of a mapped file pass through
    assert own_memory() - before < 1e7
    held = np.ones(10**8, np.uint8)
    assert own_memory() - before > 0.9 * held.nbytes


def test_reading_a_large_set(tmp_path: Path) -> None:
    reading = read_large(tmp_path / "new", gigabytes=0.1, count=3, batch=2)
    assert reading.batches == 3 and reading.open_seconds > 0 and reading.read_seconds > 0
    assert reading.batch_megabytes == pytest.approx(2 * 24 * 3 * 64 * 64 * 4 / 1e6)


def test_rates_are_per_frame_on_one_core(monkeypatch: pytest.MonkeyPatch) -> None:
    before, seen = os.sched_getaffinity(0), list[int]()

    def two_seconds(work: Callable[[], None], rounds: int) -> float:
        seen.append(len(os.sched_getaffinity(0)))
        work()
        return 2.0

    monkeypatch.setattr("benchmarks.loader.fastest", two_seconds)
    made = frames_made(MovingBall("train", 5, resolution=16), batch=3, rounds=1)
    assert made == 8 * 3 * 5 / 2.0
    assert seen == [1] and os.sched_getaffinity(0) == before


def test_threads_are_given_back() -> None:
    threads = torch.get_num_threads()
    with cores(2):
        assert torch.get_num_threads() == 2
    assert torch.get_num_threads() == threads


def test_models_have_their_small_size() -> None:
    settings = small("cwvae", "moving_digits", "data.resolution=64")
    assert settings.model["memory"] == 128 and settings.train.batch == 16
    assert settings.data["resolution"] == 64 and settings.device == "cpu"
