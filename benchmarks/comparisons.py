"""What is measured: comparisons, whose sides do the same thing in different ways or sizes.

    training step    the library, the control by hand, the floor and the work's own convolutions
    growth           in T, B, levels and resolution: the library's step at several sizes
    generation       open loop: with frames, beside its own convolutions; latents alone
    evaluation       the bound without its gradient
    recurrent part   levels without frame networks

The first side is the one that ratios are of. Sides are made when their turn comes: the large ones
do not fit into memory together.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import torch

from benchmarks.convolutions import convolutions_of
from benchmarks.floor import convolution_floor
from benchmarks.generation import dreams_of, frames_of, latents_of
from benchmarks.systems import SYSTEMS, System
from benchmarks.workloads import Work, evaluation, recurrent, training_step, under
from pyrovp.train.precision import precision

__all__ = ["Comparison", "Side", "comparison", "comparisons", "growths"]

_HORIZON = 50


class Side(NamedTuple):
    """One side of a comparison.

    Args:
        make: Makes the work.
        frames: How many frames the work takes in, or makes.
    """

    make: Callable[[], Work]
    frames: int


@dataclass(frozen=True)
class Comparison:
    """Some sides, to be timed in turn.

    Args:
        system: Name of the system.
        what: What is compared.
        shape: For a table.
        sides: By name.
        weighed: The sides whose memory is measured.
    """

    system: str
    what: str
    shape: str
    sides: dict[str, Side]
    weighed: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """By which it is asked for."""
        return f"{self.system}: {self.what}"


def comparisons() -> Iterator[Comparison]:
    """All of them on a processor, what matters most first."""
    for kind in (_training, _bf16, _generation, _latents, _evaluation, _recurrent):
        for name, system in SYSTEMS.items():
            yield from kind(name, system)
    for name, system in SYSTEMS.items():
        yield from _growth(name, system)


def comparison(title: str) -> Comparison:
    """The one of this title.

    Raises:
        ValueError: If there is none.
    """
    found = [candidate for candidate in comparisons() if candidate.title == title]
    if not found:
        titles = ", ".join(candidate.title for candidate in comparisons())
        raise ValueError(f"there is no comparison {title!r}; there are {titles}")
    return found[0]


def _training(name: str, system: System) -> Iterator[Comparison]:
    sides = {
        "pyrovp": Side(partial(_step, system.library, system), system.frames),
        "by hand": Side(partial(_step, system.control, system), system.frames),
    }
    if system.has_floor:
        sides["stock convolutions"] = Side(partial(_floor, system), system.frames)
    sides["its own convolutions"] = Side(
        lambda: convolutions_of(_step(system.library, system)), system.frames
    )
    yield Comparison(name, "training step", system.shape, sides, ("pyrovp", "by hand"))


def _bf16(name: str, system: System) -> Iterator[Comparison]:
    if name == "cwvae":
        kind, frames = precision("bf16", torch.device("cpu")), system.frames
        sides = {
            "pyrovp": Side(lambda: under(kind, _step(system.library, system)), frames),
            "in float32": Side(partial(_step, system.library, system), frames),
            "stock convolutions in float32": Side(partial(_floor, system), frames),
        }
        what = "training step, networks in bf16"
        yield Comparison(name, what, system.shape, sides, ("pyrovp", "in float32"))


def _evaluation(name: str, system: System) -> Iterator[Comparison]:
    def evaluate(make: Callable[[], Any]) -> Work:
        return evaluation(make(), system.batch, system.length, system.channels)

    sides = {
        "pyrovp": Side(partial(evaluate, system.library), system.frames),
        "by hand": Side(partial(evaluate, system.control), system.frames),
    }
    yield Comparison(name, "evaluation", system.shape, sides)


def _generation(name: str, system: System) -> Iterator[Comparison]:
    batch, context = system.batch, system.context

    def generate() -> Work:
        return frames_of(system.library(), batch, context, _HORIZON, system.channels)

    frames = batch * _HORIZON
    sides = {"pyrovp": Side(generate, frames)}
    if system.has_floor:
        sides["by hand"] = Side(lambda: dreams_of(system.control(), batch, _HORIZON), frames)
    sides["its own convolutions"] = Side(lambda: convolutions_of(generate()), frames)
    shape = f"B = {batch}, {context} given, {_HORIZON} made"
    yield Comparison(name, "generation", shape, sides, ("pyrovp",))


def _latents(name: str, system: System) -> Iterator[Comparison]:
    if name in ("cwvae", "dlh"):
        side = Side(lambda: latents_of(system.library(), samples=100, steps=1000), 100_000)
        yield Comparison(name, "latents", "100 samples of 1000 steps", {"pyrovp": side})


def _recurrent(name: str, system: System) -> Iterator[Comparison]:
    if name == "cwvae":

        def step(factor: int) -> Work:
            return training_step(recurrent(factor), system.batch, system.length, 1, 32)

        sides = {f"factor {n}": Side(partial(step, n), system.frames) for n in (1, 6)}
        yield Comparison(name, "recurrent part", system.shape, sides)


def growths(
    name: str, system: System, batch: int, step: Callable[..., Side]
) -> Iterator[Comparison]:
    """How a step grows with all that can grow.

    Args:
        name, system: Whose step it is.
        batch: B, where that is not what grows.
        step: Makes a side of B, T and the system's sizes.
    """
    length = system.length
    batches = [round(multiple * batch) for multiple in system.multiples]
    lengths = [round(multiple * length) for multiple in system.multiples]
    fixed = f"B = {batch}, T = {length}"
    kinds = (
        ("T", f"B = {batch}", {f"T = {t}": step(batch, t) for t in lengths}),
        ("B", f"T = {length}", {f"B = {b}": step(b, length) for b in batches}),
        ("levels", fixed, {f"L = {n}": step(batch, length, levels=n) for n in system.levels}),
        (
            "resolution",
            fixed,
            {f"{r} px": step(batch, length, resolution=r) for r in system.resolutions},
        ),
    )
    for axis, shape, sides in kinds:
        if sides:
            yield Comparison(name, f"growth in {axis}", shape, sides, tuple(sides))


def _growth(name: str, system: System) -> Iterator[Comparison]:
    def step(batch: int, length: int, **sizes: int) -> Side:
        def make() -> Work:
            module, resolution = system.library(**sizes), sizes.get("resolution", 64)
            return training_step(module, batch, length, system.channels, resolution)

        return Side(make, batch * length)

    yield from growths(name, system, system.batch, step)


def _step(make: Callable[[], torch.nn.Module], system: System) -> Work:
    return training_step(make(), system.batch, system.length, system.channels)


def _floor(system: System) -> Work:
    return convolution_floor(system.channels, 64, 1.0, system.batch, system.length)
