"""Joining the processes that torchrun has started.

    with joined() as processes: ...

torchrun says in the environment which process this is (RANK, WORLD_SIZE, LOCAL_RANK) and where
they meet (MASTER_ADDR, MASTER_PORT). On GPUs they average over NCCL, on CPUs over gloo, and agree
over gloo in either case.
"""

import ctypes
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch.distributed.rendezvous import rendezvous

from pyrovp.errors import RunError
from pyrovp.processes import PRESENT, Processes, contact, patience

__all__ = ["joined"]

_START = "start them with torchrun, or unset RANK"

_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of linux/prctl.h


@contextmanager
def joined() -> Iterator[Processes]:
    """Joins the processes that torchrun has started; a single process needs nothing.

    Where one ends with an error, all end: the first says why, the others end quietly.

    Raises:
        RunError: If a process has no GPU of its own although there are GPUs, or they do not
            find each other, or the environment does not say which process this is.
    """
    if "RANK" not in os.environ or _number("WORLD_SIZE", 1) == 1:
        yield Processes()
        return
    _end_with_torchrun()
    processes = _met()
    token = PRESENT.set(processes)
    try:
        _connect(processes)
        yield processes
    except SystemExit:  # who ended so has said why
        raise
    except BaseException as error:
        if not processes.first_to_end():
            raise SystemExit(getattr(error, "code", 1)) from None
        raise
    finally:
        PRESENT.reset(token)
    dist.destroy_process_group()  # after an error it might wait for those that are lost


def _end_with_torchrun() -> None:
    """Has the kernel send SIGTERM when torchrun dies, which itself may not live to send it.

    Else its processes would train on, unseen, and keep the same command out of their folder.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PARENT_DEATH_SIGNAL, signal.SIGTERM)


def _met() -> Processes:
    """The processes of this run, with a table that all of them see."""
    rank, ranks = _number("RANK"), _number("WORLD_SIZE")
    if not 0 <= rank < ranks:
        raise RunError(
            f"RANK={rank} of WORLD_SIZE={ranks} is set in the environment, but processes are "
            f"counted from 0; {_START}"
        )
    local = _number("LOCAL_RANK", rank)
    try:
        with contact():
            store, _, _ = next(rendezvous("env://", timeout=patience()))
    except ValueError as error:
        raise RunError(
            f"RANK={rank} of WORLD_SIZE={ranks} is set in the environment, but the processes "
            f"cannot meet ({error}); {_START}"
        ) from error
    return Processes(rank, ranks, local, store)


def _number(name: str, default: int | None = None) -> int:
    """A whole number of the environment."""
    text = os.environ.get(name, str(default))
    try:
        return int(text)
    except ValueError:
        raise RunError(
            f"{name}={text} is set in the environment, where a whole number is needed; {_START}"
        ) from None


def _connect(processes: Processes) -> None:
    """Opens the connections over which gradients are averaged."""
    backend = "gloo"
    if torch.cuda.is_available():
        count = torch.cuda.device_count()
        if processes.local >= count:
            raise RunError(
                f"process {processes.local} of this machine has no GPU of its own: there are "
                f"{count}; start torchrun with --nproc-per-node={count}, or hide the GPUs with "
                f"CUDA_VISIBLE_DEVICES= to train on CPUs"
            )
        torch.cuda.set_device(processes.local)
        backend = "cpu:gloo,cuda:nccl"
    with contact():
        dist.init_process_group(
            backend,
            store=processes.store,
            rank=processes.rank,
            world_size=processes.ranks,
            timeout=patience(),
        )
