r"""The processes of a run: one, or as many as torchrun has started, usually one for each GPU.

    torchrun --nproc-per-node=4 experiments/run.py +model=cwvae

Process 0, the main one, writes; all of them compute. Each takes its share of every batch, with
noise of its own; gradients are averaged, so that all hold the same weights after every step. All
need to see the same folders.

What they have to decide together (has one of them been asked to stop, is it time for a
checkpoint, is the loss finite) is agreed upon on the CPU, which no GPU has to wait for.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from pyrovp.train.errors import LostProcess, RunError

__all__ = ["Processes", "joined"]

T = TypeVar("T")

# A process that has said nothing for so long is taken for lost.
_PATIENCE = timedelta(minutes=10)


@dataclass(frozen=True)
class Processes:
    """The processes of this run, and this one's place among them.

    Args:
        rank: This process's number, from 0.
        ranks: How many there are.
        local: This process's number on its machine, and that of its GPU.
    """

    rank: int = 0
    ranks: int = 1
    local: int = 0

    @classmethod
    def present(cls) -> "Processes":
        """Those that have joined; a single one where none have."""
        if not (dist.is_available() and dist.is_initialized()):
            return cls()
        local = int(os.environ.get("LOCAL_RANK", dist.get_rank()))
        return cls(dist.get_rank(), dist.get_world_size(), local)

    @property
    def main(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0

    def share(self, objective: nn.Module) -> nn.Module:
        """What computes the objective's loss: its gradients become the mean over the processes."""
        if self.ranks == 1:
            return objective
        device = next(objective.parameters()).device
        devices = [device] if device.type == "cuda" else None
        # Some systems have networks without a part in their loss (HVRNN's prior of frame 0, a
        # window beyond the clip): they are looked for, or the average would wait for them.
        return DistributedDataParallel(objective, device_ids=devices, find_unused_parameters=True)

    def mean(self, values: Tensor) -> Tensor:
        """The mean over the processes of a tensor on the CPU."""
        return self.sum(values) / self.ranks if self.ranks > 1 else values

    def sum(self, values: Tensor) -> Tensor:
        """The sum over the processes of a tensor on the CPU."""
        if self.ranks == 1:
            return values
        values = values.clone()
        with _contact():
            dist.all_reduce(values)
        return values

    def any(self, *flags: bool) -> tuple[bool, ...]:
        """For each flag, whether any process has raised it."""
        if self.ranks == 1:
            return flags
        return tuple(self.sum(torch.tensor(flags, dtype=torch.int64)).gt(0).tolist())

    def first(self, value: T) -> T:
        """The main process's value."""
        if self.ranks == 1:
            return value
        values: list[Any] = [value]
        with _contact():
            dist.broadcast_object_list(values, src=0, device=torch.device("cpu"))
        return values[0]

    def wait(self) -> None:
        """Waits until all processes are here."""
        self.any(False)

    @contextmanager
    def main_first(self) -> Iterator[None]:
        """The others begin when the main process has ended."""
        if not self.main:
            self.wait()
        yield
        if self.main:
            self.wait()


@contextmanager
def joined() -> Iterator[Processes]:
    """Joins the processes that torchrun has started; a single process needs nothing.

    Raises:
        RunError: If a process has no GPU of its own although there are GPUs.
    """
    if "RANK" not in os.environ or int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield Processes()
        return
    backend = "gloo"
    if torch.cuda.is_available():
        local, count = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
        if local >= count:
            raise RunError(
                f"process {local} of this machine has no GPU of its own: there are {count}; "
                f"start torchrun with --nproc-per-node={count}, or hide the GPUs with "
                f"CUDA_VISIBLE_DEVICES= to train on CPUs"
            )
        torch.cuda.set_device(local)
        backend = "cpu:gloo,cuda:nccl"
    dist.init_process_group(backend, timeout=_PATIENCE)
    try:
        yield Processes.present()
    finally:
        dist.destroy_process_group()


@contextmanager
def _contact() -> Iterator[None]:
    """A broken connection becomes a sentence."""
    try:
        yield
    except RuntimeError as error:
        raise LostProcess(
            f"lost contact with another process of this run ({str(error).splitlines()[0]}); the "
            f"same command goes on from the last checkpoint"
        ) from error
