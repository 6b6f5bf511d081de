"""What is measured on a GPU: each precision apart, the captured step before all others.

    training step    captured; eager; the control by hand, eager; the stock convolutions, all of
                     them in the same precision
    generation       1000 frames of 100 samples, the library and by hand; latents alone
    growth           of the captured step, in float32

Large batches, as a GPU is used. CW-VAE and DLH come first: a run that is cut short has them.
"""

import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial

import torch
from torch import Tensor

from benchmarks.comparisons import Comparison, Side, growths
from benchmarks.convolutions import convolutions_of
from benchmarks.floor import convolution_floor
from benchmarks.generation import dreams_of, frames_of, latents_of
from benchmarks.systems import SYSTEMS, System
from benchmarks.workloads import Work, random_video, training_step, under
from pyrovp.train.captured import CapturedUpdate
from pyrovp.train.optimiser import adam
from pyrovp.train.precision import Precision, precision
from pyrovp.train.update import Update

__all__ = ["captured", "comparisons", "eager", "library_step"]

_PRECISIONS = {"float32": "float32", "tf32": "TF32", "bf16": "networks in bf16"}


def comparisons(
    systems: Mapping[str, System] = SYSTEMS, device: str = "cuda"
) -> Iterator[Comparison]:
    """All of them, what matters most first.

    Args:
        systems: By name.
        device: Where they run.
    """
    place = torch.device(device)
    for name, system in systems.items():
        for kind in _PRECISIONS:
            yield _training(name, system, kind, place)
        yield _generation(name, system, place)
    for name, system in systems.items():
        yield from _growth(name, system, place)


def captured(update: Update, video: Tensor) -> Work:
    """A step that has been captured as one CUDA graph, or says why it has not."""
    step = CapturedUpdate(update, partial(print, file=sys.stderr))
    for _ in range(3):  # two are taken as they are, the third is recorded
        step(video)
    return lambda: step(video)


def eager(update: Update, video: Tensor) -> Work:
    """A step kernel by kernel."""
    return lambda: update(video)


def library_step(
    system: System,
    take: Callable[[Update, Tensor], Work],
    shape: tuple[int, int, int],
    device: torch.device,
    **sizes: int,
) -> Work:
    """A step as training makes it.

    Args:
        system: Whose objective it is.
        take: `captured` or `eager`.
        shape: B, T and the side of a frame.
        device: Where.
        **sizes: Of the system.
    """
    batch, length, resolution = shape
    objective = system.library(**sizes).to(device)
    update = Update(objective, adam(objective.parameters(), lr=1e-4, eps=1e-4), clip=1e4)
    return take(update, random_video(batch, length, system.channels, resolution).to(device))


def _training(name: str, system: System, kind: str, device: torch.device) -> Comparison:
    batch, length, channels = system.gpu_batch, system.length, system.channels
    shape, frames = (batch, length, 64), batch * length

    def inside(make: Callable[[], Work]) -> Side:
        return Side(lambda: _prepared(precision(kind, device), make), frames)

    sides = {
        "captured": inside(lambda: library_step(system, captured, shape, device)),
        "eager": inside(lambda: library_step(system, eager, shape, device)),
        "by hand, eager": inside(
            lambda: training_step(system.control().to(device), batch, length, channels)
        ),
    }
    if system.has_floor:
        dtype = torch.bfloat16 if kind == "bf16" else torch.float32
        sides["stock convolutions"] = inside(
            lambda: convolution_floor(channels, 64, 1.0, batch, length, device, dtype)
        )
    sides["its own convolutions"] = inside(
        lambda: convolutions_of(library_step(system, eager, shape, device))
    )
    what = "training step" if kind == "float32" else f"training step, {_PRECISIONS[kind]}"
    size = f"B = {batch}, T = {length}, C = {channels}"
    return Comparison(name, what, size, sides, ("captured", "eager", "by hand, eager"))


def _generation(name: str, system: System, device: torch.device) -> Comparison:
    batch, channels = 100, system.channels
    horizon = 1000 if system.has_floor else 50
    frames = batch * horizon
    sides = {
        "pyrovp": Side(
            lambda: frames_of(
                system.library().to(device), batch, system.context, horizon, channels
            ),
            frames,
        )
    }
    if system.has_floor:
        sides["by hand"] = Side(
            lambda: dreams_of(system.control().to(device), batch, horizon), frames
        )
        sides["latents alone"] = Side(
            lambda: latents_of(system.library().to(device), batch, horizon), frames
        )
    size = f"B = {batch}, {system.context} given, {horizon} made"
    return Comparison(name, "generation", size, sides, ("pyrovp",))


def _growth(name: str, system: System, device: torch.device) -> Iterator[Comparison]:
    def step(batch: int, length: int, **sizes: int) -> Side:
        shape = batch, length, sizes.get("resolution", 64)
        make = partial(library_step, system, captured, shape, device, **sizes)
        return Side(lambda: _prepared(precision("float32", device), make), batch * length)

    yield from growths(name, system, system.gpu_batch, step)


def _prepared(kind: Precision, make: Callable[[], Work]) -> Work:
    """A work in a precision; what is recorded while it is made is recorded in it."""
    with kind.inside():
        work = make()
    return under(kind, work)
