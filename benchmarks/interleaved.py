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
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch

from benchmarks.workloads import SYSTEMS, control, evaluation, floor, library, recurrent
from benchmarks.workloads import training_step as step
from pyrovp.process import tune_allocator

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


def interleave(sides: dict[str, Side], rounds: int) -> dict[str, Timing]:
    """Times each side once per round, after one round of warming up."""
    cpu: dict[str, list[float]] = {name: [] for name in sides}
    wall: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(rounds + 1):
        for name, side in sides.items():
            start = time.process_time(), time.perf_counter()
            side.work()
            if turn:
                cpu[name].append(time.process_time() - start[0])
                wall[name].append(time.perf_counter() - start[1])
    return {
        name: Timing(statistics.median(cpu[name]), statistics.median(wall[name])) for name in sides
    }


def comparisons(batch: int, length: int) -> dict[str, dict[str, Side]]:
    """What is set against what; the first side is the one that ratios are of."""
    result: dict[str, dict[str, Side]] = {}
    frames = batch * length
    for system in SYSTEMS:
        ours, theirs = library(system), control(system)
        result[f"{system}: training step"] = {
            "pyrovp": Side(step(ours, batch, length), frames),
            "by hand": Side(step(theirs, batch, length), frames),
            "stock convolutions": Side(floor(batch, length), frames),
        }
        result[f"{system}: evaluation"] = {
            "pyrovp": Side(evaluation(ours, batch, length), frames),
            "by hand": Side(evaluation(theirs, batch, length), frames),
        }
        result[f"{system}: growth in T"] = {
            f"T = {2 * length}": Side(step(ours, batch, 2 * length), 2 * frames),
            f"T = {length}": Side(step(ours, batch, length), frames),
        }
    result["cwvae: recurrent part"] = {
        "factor 1": Side(step(recurrent(1), batch, length, resolution=32), frames),
        "factor 6": Side(step(recurrent(6), batch, length, resolution=32), frames),
    }
    return result


def main() -> None:
    """Prints a table and, if asked, writes JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--length", type=int, default=100)
    parser.add_argument("--only", default="", help="comparisons whose name contains this")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    tune_allocator()
    torch.manual_seed(0)
    shape = f"64x64, B = {asked.batch}, T = {asked.length}"
    machine = f"torch {torch.__version__}, {torch.get_num_threads()} threads, {platform.machine()}"
    print(f"{machine}; {shape}; medians of {asked.rounds} interleaved rounds\n")
    print(f"{'':26}{'':22}{'CPU s':>8}{'wall s':>8}{'frames/s':>10}{'CPU ratio':>11}")
    report: dict[str, Any] = {"machine": machine, "shape": shape, "rounds": asked.rounds}
    for title, sides in comparisons(asked.batch, asked.length).items():
        if asked.only not in title:
            continue
        timings = interleave(sides, asked.rounds)
        first = next(iter(timings.values()))
        report[title] = {name: timing._asdict() for name, timing in timings.items()}
        for name, timing in timings.items():
            ratio = "" if timing is first else f"{first.cpu / timing.cpu:.3f}"
            print(
                f"{title:26}{name:22}{timing.cpu:8.3f}{timing.wall:8.3f}"
                f"{sides[name].frames / timing.wall:10.0f}{ratio:>11}"
            )
            title = ""  # only the first line carries it
    if asked.json:
        asked.json.write_text(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
