r"""The processes of a run: one, or as many as torchrun has started, usually one for each GPU.

    torchrun --nproc-per-node=4 experiments/run.py +model=cwvae

    g_r = ∇ loss(θ, share r of the batch, noise r)      g = (1/R) Σ_r g_r      θ <- Adam(clip(g))

Process 0, the main one, writes and prints; all of them compute, and hold the same weights after
every step. BatchNorms take the statistics of a process's own share, as they do of each part with
`accumulate`; their running statistics are the mean over the processes. (torch's SyncBatchNorm
would put other layers in the place of those with statistics of each time step.) All processes need
to see the same folders and data.

Gradients are averaged in one message when all of them are there. What the processes have to decide
together (has one of them been asked to stop, is it time for a checkpoint, is the loss finite) is
agreed upon on the CPU, which no GPU has to wait for.

A process that has ended, or has said nothing for `PYROVP_PATIENCE` seconds (600 where the
environment does not say), is lost: the others end, and the same command goes on from the last
checkpoint. The first that ends before its time says why, the others end quietly.
"""

import math
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from threading import Thread
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from pyrovp.errors import LostProcess, RunError

__all__ = ["PRESENT", "Processes", "contact", "patience"]

T = TypeVar("T")

# Seconds that a process which ends waits to hear whether another one has ended before.
_ANSWER = 3.0


@dataclass(frozen=True)
class Processes:
    """The processes of this run, and this one's place among them.

    Args:
        rank: This process's number, from 0.
        ranks: How many there are.
        local: This process's number on its machine, and that of its GPU.
        store: A table that all of them see, torch's; needed where there are several.
    """

    rank: int = 0
    ranks: int = 1
    local: int = 0
    store: Any = field(default=None, repr=False, compare=False)

    @classmethod
    def present(cls) -> "Processes":
        """Those that have joined; a single one where none have."""
        return PRESENT.get(None) or cls()

    @property
    def main(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0

    def average(self, objective: nn.Module) -> None:
        """Replaces gradients, and BatchNorms' running statistics, by their mean.

        A parameter that had no part in the loss of any process keeps no gradient.
        """
        if self.ranks == 1:
            return
        parameters = [p for p in objective.parameters() if p.requires_grad]
        # Agreed upon on the CPU: a lost process shows here, before a GPU would wait for it.
        used = self.any(*(p.grad is not None for p in parameters))
        for parameter in (p for p, any_grad in zip(parameters, used, strict=True) if any_grad):
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        values = [p.grad for p in parameters if p.grad is not None]
        for norm in objective.modules():
            if isinstance(norm, _BatchNorm) and norm.running_mean is not None:
                values += [v for v in (norm.running_mean, norm.running_var) if v is not None]
        flat = torch.cat([value.reshape(-1) for value in values])
        with contact():
            dist.all_reduce(flat)
        means = flat.div_(self.ranks).split([value.numel() for value in values])
        for value, mean in zip(values, means, strict=True):
            value.copy_(mean.view_as(value))

    @torch.no_grad()
    def spread(self, objective: nn.Module) -> None:
        """Gives all processes the main one's weights and buffers."""
        for tensor in objective.state_dict().values() if self.ranks > 1 else ():
            flat = tensor.reshape(-1).clone()
            with contact():
                dist.broadcast(flat, src=0)
            tensor.copy_(flat.view_as(tensor))

    def mean(self, values: Tensor) -> Tensor:
        """The mean over the processes of a tensor on the CPU."""
        return self.sum(values) / self.ranks if self.ranks > 1 else values

    def sum(self, values: Tensor) -> Tensor:
        """The sum over the processes of a tensor on the CPU."""
        if self.ranks == 1:
            return values
        values = values.clone()
        with contact():
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
        with contact():
            dist.broadcast_object_list(values, src=0, device=torch.device("cpu"))
        return values[0]

    def all(self, value: T) -> list[T]:
        """The value of each process, in the order of their numbers."""
        values: list[Any] = [value] * self.ranks
        if self.ranks > 1:
            with contact():
                dist.all_gather_object(values, value)
        return values

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

    def agree(self, value: object, otherwise: str) -> None:
        """Refuses to go on with different values.

        Args:
            value: Has to be the main process's.
            otherwise: What is said if it is not.

        Raises:
            RunError: In all processes, if it is another one in any of them.
        """
        if self.any(value != self.first(value))[0]:
            raise RunError(otherwise)

    def see(self, folder: Path) -> None:
        """Refuses a folder that is not the same one for all processes.

        Raises:
            RunError: In all processes, if any does not see what the main one writes there.
        """
        if self.ranks == 1:
            return
        sign = folder / self.first(f".{secrets.token_hex(8)}")  # a new name is in no file cache
        if self.main:
            sign.touch()
        self.wait()
        (unseen,) = self.any(not sign.exists())
        if self.main:
            sign.unlink()
        if unseen:
            raise RunError(
                f"not all processes of this run see the same folder {folder}; choose one on a "
                f"disk that all machines share (out=...)"
            )

    def first_to_end(self) -> bool:
        """Whether none has asked this before: who ends before its time, and first, says why."""
        if self.store is None:
            return True
        before: list[int] = []

        def note() -> None:
            with suppress(RuntimeError):  # gone with the process that held it
                before.append(self.store.add("pyrovp/ended", 1) - 1)

        # That process may also be silent, and torch would wait for its answer for ever.
        asking = Thread(target=note, daemon=True)
        asking.start()
        asking.join(_ANSWER)
        return before in ([], [0])


PRESENT: ContextVar[Processes] = ContextVar("processes")
"""Those that have joined."""


def patience() -> timedelta:
    """After what silence a process is taken for lost.

    Raises:
        RunError: If `PYROVP_PATIENCE` in the environment is no positive number.
    """
    text = os.environ.get("PYROVP_PATIENCE", "600")
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise RunError(f"PYROVP_PATIENCE is a positive number of seconds, got {text!r}")
    return timedelta(seconds=seconds)


@contextmanager
def contact() -> Iterator[None]:
    """A broken connection becomes a sentence; for calls of torch.distributed and nothing else.

    Raises:
        LostProcess: If another process has ended or does not answer.
    """
    try:
        yield
    except RuntimeError as error:
        reason = re.sub(r"^\[\S+\] ", "", str(error)).partition("\n")[0].partition(". ")[0]
        raise LostProcess(
            f"lost contact with another process of this run: it has ended, or not answered for "
            f"{patience().total_seconds():g} s (PYROVP_PATIENCE); the same command goes on from "
            f"the last checkpoint ({reason})"
        ) from error
