"""Batches as a function of the step, so that a run resumes from its step number alone.

Step s with batches of B items uses the items

    s B, s B + 1, ..., s B + B - 1

of a data set whose items are a function of their index (`pyrovp.data.keyed`). With R ranks each
takes its contiguous share of B / R items, and together they use just these.
"""

import itertools
import os
import signal
from collections.abc import Iterator
from multiprocessing import parent_process
from threading import Thread
from typing import TypedDict

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Sampler

from pyrovp.data.checks import whole
from pyrovp.data.keyed import KeyedVideos

__all__ = ["Batch", "batches", "training_indices"]


class Batch(TypedDict):
    """Stacked items.

    Shapes:
        video: [B, T, C, H, W] float32 in [0, 1]
        states: name -> [B, T, ...]
    """

    video: Tensor
    states: dict[str, Tensor]


def training_indices(step: int, batch_size: int) -> range:
    """The items of a step's batch.

    Example:
        >>> list(training_indices(step=2, batch_size=4))
        [8, 9, 10, 11]
    """
    return range(step * batch_size, (step + 1) * batch_size)


def batches(
    dataset: KeyedVideos,
    batch_size: int,
    start_step: int = 0,
    workers: int = 0,
    *,
    rank: int = 0,
    ranks: int = 1,
    pin_memory: bool = False,
) -> Iterator[Batch]:
    """Iterates over the batches of steps `start_step`, `start_step + 1`, ...

    The batches depend neither on the number of workers nor on what was read before, and the
    ambient random generators are not touched. The iterator ends with the data set; the last batch
    may be smaller. A training set of 2^31 items does not end in practice.

    Args:
        dataset: Items keyed by their index.
        batch_size: Items B of a step, over all ranks together.
        start_step: The first step to read.
        workers: Processes that make items ahead of time; 0 makes them in this process.
        rank: This process's place among the ranks, from 0.
        ranks: Number of processes that share each batch.
        pin_memory: Whether batches come in page-locked memory, for faster copies to a GPU.

    Returns:
        An iterator over this rank's part of each batch.

    Raises:
        ValueError: If an argument is out of range, `ranks` does not divide `batch_size`, or the
            data set ends before `start_step`.
    """
    batch_size = whole("batch_size", batch_size)
    start_step = whole("start_step", start_step, minimum=0)
    workers = whole("workers", workers, minimum=0)
    ranks = whole("ranks", ranks)
    rank = whole("rank", rank, minimum=0)
    if rank >= ranks:
        raise ValueError(f"rank must be below the {ranks} ranks there are, got {rank}")
    if batch_size % ranks:
        raise ValueError(
            f"{ranks} ranks cannot share a batch of {batch_size} evenly; use a batch_size of "
            f"{ranks}, {2 * ranks}, {3 * ranks}, ..."
        )
    if start_step * batch_size >= len(dataset):
        raise ValueError(
            f"step {start_step} starts at item {start_step * batch_size}, but the data set has "
            f"only {len(dataset)} items; use an earlier step or a larger size"
        )
    loader: DataLoader[Batch] = DataLoader(
        dataset,
        batch_sampler=_Steps(len(dataset), batch_size // ranks, start_step, rank, ranks),
        num_workers=workers,
        pin_memory=pin_memory,
        worker_init_fn=_leave_signals_to_the_run,
        # Without one of its own the loader would draw its workers' seed from the ambient one.
        generator=torch.Generator().manual_seed(0),
    )
    return iter(loader)


def _leave_signals_to_the_run(worker: int) -> None:
    """Lets SIGTERM and SIGINT end a worker only where the process that it works for sends them.

    Ctrl-C and most clusters send them to all processes at once. A run that is asked to end still
    takes a step and saves; a worker that was gone by then would end it with an error.
    """
    run = parent_process()
    if run is None or not hasattr(signal, "sigwaitinfo"):  # macOS does not tell who sends
        return
    signals = {signal.SIGTERM, signal.SIGINT}
    # To ignore them would not do: a process that ends sends SIGTERM to its workers and waits.
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)

    def listen() -> None:
        while signal.sigwaitinfo(signals).si_pid != run.pid:
            pass
        os._exit(0)

    Thread(target=listen, daemon=True).start()


class _Steps(Sampler[list[int]]):
    """The indices of one rank's batches from a step on, up to the end of the data set."""

    def __init__(self, size: int, share: int, start_step: int, rank: int, ranks: int) -> None:
        self.size, self.share, self.start_step = size, share, start_step
        self.rank, self.ranks = rank, ranks

    def __iter__(self) -> Iterator[list[int]]:
        for step in itertools.count(self.start_step):
            indices = training_indices(step * self.ranks + self.rank, self.share)
            inside = [index for index in indices if index < self.size]
            if not inside:
                return
            yield inside
