"""Ratios that hold on a noisy machine: every side in turn, round after round, medians compared.

CPU seconds are those of the whole process (all threads), wall seconds stand beside them. A ratio
is that of the CPU medians.
"""

import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from pyrovp.process import settled

__all__ = ["Side", "Timing", "interleave"]


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
