"""What there is to compute on."""

import os
from dataclasses import dataclass

import torch

__all__ = ["Cuda", "Devices", "look_at_devices"]


@dataclass(frozen=True)
class Cuda:
    """A CUDA device.

    Args:
        name: What it calls itself.
        memory: In bytes, in use or not.
    """

    name: str
    memory: int


@dataclass(frozen=True)
class Devices:
    """Everything that torch can see.

    Args:
        cores: CPU cores that this process may use.
        threads: CPU threads that torch uses.
        cuda: CUDA devices, in torch's order.
        no_cuda: Why there is none; None where there is one.
        mps: Whether there is an Apple GPU. Experiments do not use it.
    """

    cores: int
    threads: int
    cuda: tuple[Cuda, ...]
    no_cuda: str | None
    mps: bool


def look_at_devices() -> Devices:
    """Asks torch and the operating system; allocates nothing on any device."""
    cuda, why = _cuda()
    return Devices(_cores(), torch.get_num_threads(), cuda, why, torch.backends.mps.is_available())


def _cores() -> int:
    # A container or a batch system may grant fewer cores than the machine has.
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cuda() -> tuple[tuple[Cuda, ...], str | None]:
    if torch.version.cuda is None and torch.version.hip is None:
        return (), f"torch {torch.__version__} is built without CUDA"
    try:
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        every = [torch.cuda.get_device_properties(index) for index in range(count)]
    except (RuntimeError, AssertionError) as error:  # a driver that answers and then fails
        return (), str(error).strip().partition("\n")[0]
    if not every:
        return (), f"torch {torch.__version__} sees no device"
    return tuple(Cuda(found.name, found.total_memory) for found in every), None
