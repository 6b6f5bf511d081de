"""ELBO throughput with pytest-benchmark: `python -m pytest benchmarks`.

Each figure stands beside the hand-written loop's and the stock convolutions'; frames/s are in the
table's extra columns (`--benchmark-json` keeps them).
"""

from collections.abc import Callable
from typing import Any

import pytest

from benchmarks.workloads import SYSTEMS, control, evaluation, floor, library, training_step

SIDES: dict[str, Callable[[str], Any]] = {"pyrovp": library, "by hand": control}


def _shape(system: str) -> tuple[int, int, int]:
    timed = SYSTEMS[system]
    return timed.batch, timed.length, timed.channels


def _measure(benchmark: Any, system: str, kind: str, side: str, work: Callable[[], Any]) -> None:
    benchmark.group = group = f"{system}: {kind}"
    frames = SYSTEMS[system].frames
    benchmark.extra_info.update(group=group, side=side, frames=frames)
    benchmark.pedantic(work, rounds=5, warmup_rounds=1)
    benchmark.extra_info["frames_per_second"] = frames / benchmark.stats.stats.median


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("side", SIDES)
def test_training_step(benchmark: Any, system: str, side: str) -> None:
    """Loss, gradient, clipping, Adam."""
    work = training_step(SIDES[side](system), *_shape(system))
    _measure(benchmark, system, "training step", side, work)


@pytest.mark.parametrize("system", [name for name in SYSTEMS if SYSTEMS[name].has_floor])
def test_floor(benchmark: Any, system: str) -> None:
    """The stock convolutions alone, forward and backward."""
    _measure(benchmark, system, "training step", "stock convolutions", floor(system))


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("side", SIDES)
def test_evaluation(benchmark: Any, system: str, side: str) -> None:
    """The bound alone, graph included."""
    work = evaluation(SIDES[side](system), *_shape(system))
    _measure(benchmark, system, "evaluation", side, work)
