"""Ratios that hold on a noisy machine: every side in turn, round after round, medians compared.

    python -m benchmarks.interleaved --rounds 7

CPU seconds are those of the whole process (all threads), wall seconds stand beside them. A ratio
is that of the CPU medians.
"""

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch

from benchmarks.workloads import SYSTEMS, control, evaluation, floor, library, recurrent
from benchmarks.workloads import training_step as step
from pyrovp.process import settled, tune_allocator

__all__ = ["Side", "Timing", "interleave", "main"]


class Side(NamedTuple):
    """One side of a comparison.

    Args:
        work: What is timed.
        frames: How many frames it takes in.
    """

    work: Callable[[], Any]
    frames: int


class Timing(NamedTuple):
    """Medians of one side, in seconds."""

    cpu: float
    wall: float


def interleave(
    sides: dict[str, Side], rounds: int, wait: Callable[[], None] = lambda: None
) -> dict[str, Timing]:
    """Times each side once per round, after one round of warming up.

    Args:
        sides: By name.
        rounds: Times that each is timed.
        wait: Returns when the device has done all work that was given out.
    """
    cpu: dict[str, list[float]] = {name: [] for name in sides}
    wall: dict[str, list[float]] = {name: [] for name in sides}
    with settled():
        for turn in range(rounds + 1):
            for name, side in sides.items():
                start = time.process_time(), time.perf_counter()
                side.work()
                wait()
                if turn:
                    cpu[name].append(time.process_time() - start[0])
                    wall[name].append(time.perf_counter() - start[1])
    return {
        name: Timing(statistics.median(cpu[name]), statistics.median(wall[name])) for name in sides
    }


def comparisons() -> Iterator[tuple[str, str, Callable[[], dict[str, Side]]]]:
    """(title, shape, how to make its sides) of all that is compared.

    The first side is the one that ratios are of. Sides are made when their turn comes: the large
    ones do not fit into memory together.
    """
    for name, system in SYSTEMS.items():
        yield f"{name}: training step", system.shape, partial(_steps, name)
        if system.has_floor:
            yield f"{name}: evaluation", system.shape, partial(_evaluations, name)
            yield f"{name}: growth in T", system.shape, partial(_growth, name)
    yield "cwvae: recurrent part", SYSTEMS["cwvae"].shape, _recurrent


def _steps(name: str) -> dict[str, Side]:
    system = SYSTEMS[name]
    shape = system.batch, system.length, system.channels
    sides = {
        "pyrovp": Side(step(library(name), *shape), system.frames),
        "by hand": Side(step(control(name), *shape), system.frames),
    }
    if system.has_floor:
        sides["stock convolutions"] = Side(floor(name), system.frames)
    return sides


def _evaluations(name: str) -> dict[str, Side]:
    system = SYSTEMS[name]
    shape = system.batch, system.length, system.channels
    return {
        "pyrovp": Side(evaluation(library(name), *shape), system.frames),
        "by hand": Side(evaluation(control(name), *shape), system.frames),
    }


def _growth(name: str) -> dict[str, Side]:
    system, module = SYSTEMS[name], library(name)
    batch, length, channels = system.batch, system.length, system.channels
    return {
        f"T = {n * length}": Side(step(module, batch, n * length, channels), n * system.frames)
        for n in (2, 1)
    }


def _recurrent() -> dict[str, Side]:
    system = SYSTEMS["cwvae"]
    shape = system.batch, system.length, 1, 32
    return {
        f"factor {factor}": Side(step(recurrent(factor), *shape), system.frames)
        for factor in (1, 6)
    }


def main() -> None:
    """Prints a table and, if asked, writes JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", default="", help="comparisons whose name contains this")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    tune_allocator()
    torch.manual_seed(0)
    machine = f"torch {torch.__version__}, {torch.get_num_threads()} threads, {platform.machine()}"
    print(f"{machine}; 64x64; medians of {asked.rounds} interleaved rounds\n")
    print(f"{'':28}{'':22}{'CPU s':>8}{'wall s':>8}{'frames/s':>10}{'CPU ratio':>11}")
    report: dict[str, Any] = {"machine": machine, "rounds": asked.rounds}
    for title, shape, make in comparisons():
        if asked.only not in title:
            continue
        sides = make()
        timings = interleave(sides, asked.rounds)
        first = next(iter(timings.values()))
        report[title] = {"shape": shape} | {
            name: timing._asdict() for name, timing in timings.items()
        }
        for line, (name, timing) in enumerate(timings.items()):
            ratio = "" if timing is first else f"{first.cpu / timing.cpu:.3f}"
            print(
                f"{(title, shape, '')[min(line, 2)]:28}{name:22}{timing.cpu:8.3f}"
                f"{timing.wall:8.3f}{sides[name].frames / timing.wall:10.0f}{ratio:>11}",
                flush=True,
            )
    if asked.json:
        asked.json.write_text(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
