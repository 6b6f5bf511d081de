"""Batches: the right items for every step, whoever makes them."""

import multiprocessing
import subprocess
from typing import Any

import pytest
import torch

from pyrovp.data import Batch, KeyedVideos, MovingBall, MovingDigits, batches, training_indices

# Python 3.12 warns of a fork in a process with threads; torch's loader forks on Linux.
forks = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


def small(size: int | None = None) -> KeyedVideos:
    return MovingBall("train", length=3, resolution=16, size=size)


def same(a: Batch, b: Batch) -> bool:
    return torch.equal(a["video"], b["video"]) and all(
        torch.equal(a["states"][name], b["states"][name]) for name in a["states"]
    )


@pytest.mark.parametrize("batch_size", [1, 4])
def test_steps_cover_all_indices_once(batch_size: int) -> None:
    read = [i for step in range(5) for i in training_indices(step, batch_size)]
    assert read == list(range(5 * batch_size))


@pytest.mark.parametrize("start_step", [0, 3])
def test_a_batch_is_the_stack_of_its_items(start_step: int) -> None:
    data = small()
    stream = batches(data, batch_size=4, start_step=start_step)
    for step in (start_step, start_step + 1):
        batch = next(stream)
        assert batch["video"].shape == (4, 3, 3, 16, 16)
        assert batch["video"].dtype == torch.float32
        items = [data[i] for i in range(4 * step, 4 * step + 4)]
        assert torch.equal(batch["video"], torch.stack([item["video"] for item in items]))
        assert set(batch["states"]) == {"position", "velocity", "colour", "change"}
        for name, state in batch["states"].items():
            assert torch.equal(state, torch.stack([item["states"][name] for item in items]))


@forks
def test_workers_change_nothing() -> None:
    data = MovingDigits("train", length=3, resolution=16)
    alone, helped = batches(data, 3, start_step=2), batches(data, 3, start_step=2, workers=2)
    for _ in range(4):
        assert same(next(alone), next(helped))


@forks
def test_workers_leave_signals_to_the_process_they_work_for() -> None:
    """What is sent to all processes at once, as by Ctrl-C and clusters, is the run's to answer."""
    before = multiprocessing.active_children()
    stream, alone = batches(small(), 2, workers=2), batches(small(), 2)
    for _ in range(2):  # one of each worker: both listen
        assert same(next(stream), next(alone))
    workers = [w for w in multiprocessing.active_children() if w not in before]
    assert len(workers) == 2
    for name in ("TERM", "INT", "TERM"):  # from a process that is not theirs
        subprocess.run(["kill", f"-{name}", *(str(worker.pid) for worker in workers)], check=True)
        for _ in range(5):
            assert same(next(stream), next(alone))
    for worker in workers:  # as a process does that ends
        worker.terminate()
        worker.join(3)
        assert worker.exitcode == 0


def test_resuming_needs_the_step_only() -> None:
    stream = batches(small(), batch_size=2)
    for _ in range(3):
        next(stream)
    assert same(next(stream), next(batches(small(), batch_size=2, start_step=3)))


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_ranks_share_a_step(ranks: int) -> None:
    whole = next(batches(small(), batch_size=4, start_step=5))
    parts = [
        next(batches(small(), batch_size=4, start_step=5, rank=rank, ranks=ranks))
        for rank in range(ranks)
    ]
    assert torch.equal(torch.cat([part["video"] for part in parts]), whole["video"])


@pytest.mark.parametrize(("size", "sizes"), [(6, [3, 3]), (7, [3, 3, 1]), (2, [2])])
def test_a_finite_data_set_is_read_to_its_end(size: int, sizes: list[int]) -> None:
    assert [len(batch["video"]) for batch in batches(small(size), batch_size=3)] == sizes


def test_the_last_training_step_exists() -> None:
    """The order is never written down: the end of 2^31 items is as near as the beginning."""
    stream = batches(small(), batch_size=2**10, start_step=2**21 - 1)
    assert len(next(stream)["video"]) == 2**10
    assert next(stream, None) is None


def test_the_ambient_generators_are_left_alone() -> None:
    before = torch.get_rng_state()
    next(batches(small(), batch_size=2))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"batch_size": 0}, "batch_size .* at least 1, got 0"),
        ({"start_step": -1}, "start_step .* at least 0, got -1"),
        ({"workers": -2}, "workers .* at least 0, got -2"),
        ({"rank": 2, "ranks": 2}, "rank must be below the 2 ranks there are, got 2"),
        ({"ranks": 3}, "3 ranks cannot share a batch of 4 evenly; use a batch_size of 3, 6, 9"),
        ({"start_step": 3}, "starts at item 12, but the data set has only 10 items"),
    ],
)
def test_wrong_arguments(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        batches(small(10), **{"batch_size": 4, **wrong})
