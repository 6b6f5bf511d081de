"""The machines that figures are of: this computer's processor, or its GPU.

A machine waits for the work it has been given, names itself, and knows the most memory that a
piece of work held:

    processor   what the process has to itself (RssAnon) at its peak, in a process of its own, with
                the allocator as it comes: the libraries' own pages are part of it
    GPU         `torch.cuda.max_memory_allocated`, in this process, with nothing else on the GPU
"""

import abc
import ctypes
import gc
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

__all__ = ["CPU", "CUDA", "Machine", "machine"]

_CHECKOUT = Path(__file__).resolve().parents[1]


class Machine(abc.ABC):
    """Where work is timed.

    Args:
        device: Of the tensors.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device

    @abc.abstractmethod
    def describe(self) -> dict[str, Any]:
        """What the figures depend on: its name, threads, and the bytes of its memory."""

    @abc.abstractmethod
    def wait(self) -> None:
        """Returns when all work that was given out has been done."""

    @abc.abstractmethod
    def tidy(self) -> None:
        """Gives back the memory of work that is over."""

    @abc.abstractmethod
    def peak(self, title: str, side: str, make: Callable[[], Callable[[], Any]]) -> int:
        """The most bytes held by two runs of a side's work, from its making on.

        Args:
            title, side: By which another process finds the same work.
            make: Makes the work.
        """


class CPU(Machine):
    """This computer's processor, as many threads of it as torch has."""

    def __init__(self) -> None:
        super().__init__(torch.device("cpu"))

    def describe(self) -> dict[str, Any]:
        pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        return {"name": _processor(), "threads": torch.get_num_threads(), "memory": pages}

    def wait(self) -> None:
        """A processor has done its work when the call returns."""

    def tidy(self) -> None:
        gc.collect()
        # The tuned allocator keeps all it ever had unless it is asked.
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)

    def peak(self, title: str, side: str, make: Callable[[], Callable[[], Any]]) -> int:
        command = [sys.executable, "-m", "benchmarks.peak", title, side]
        path = os.pathsep.join(filter(None, [str(_CHECKOUT), os.environ.get("PYTHONPATH")]))
        environment = os.environ | {"PYTHONPATH": path}
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
        return int(json.loads(done.stdout.splitlines()[-1])["bytes"])


class CUDA(Machine):
    """A GPU.

    Raises:
        RuntimeError: If torch finds none.
    """

    def __init__(self, index: int = 0) -> None:
        if not torch.cuda.is_available():
            raise RuntimeError("torch finds no GPU here; use --device cpu")
        super().__init__(torch.device("cuda", index))

    def describe(self) -> dict[str, Any]:
        properties = torch.cuda.get_device_properties(self.device)
        threads = torch.get_num_threads()
        return {"name": properties.name, "threads": threads, "memory": properties.total_memory}

    def wait(self) -> None:
        torch.cuda.synchronize(self.device)

    def tidy(self) -> None:
        gc.collect()
        torch.cuda.empty_cache()

    def peak(self, title: str, side: str, make: Callable[[], Callable[[], Any]]) -> int:
        self.tidy()
        torch.cuda.reset_peak_memory_stats(self.device)
        work = make()
        for _ in range(2):
            work()
        self.wait()
        most = torch.cuda.max_memory_allocated(self.device)
        del work
        self.tidy()
        return most


def machine(device: str) -> Machine:
    """The machine of a device's name.

    Raises:
        ValueError: For a name other than "cpu" and "cuda".
    """
    machines: dict[str, Callable[[], Machine]] = {"cpu": CPU, "cuda": CUDA}
    if device not in machines:
        raise ValueError(f"a machine is cpu or cuda, got {device!r}")
    return machines[device]()


def _processor() -> str:
    """Its name as Linux has it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
