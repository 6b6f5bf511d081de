"""ELBO throughput with pytest-benchmark: `python -m pytest benchmarks`.

Each figure stands beside the hand-written loop's and the stock convolutions'; frames/s are in the
table's extra columns (`--benchmark-json` keeps them).
"""

from collections.abc import Callable
from typing import Any

import pytest

from benchmarks.workloads import SYSTEMS, control, evaluation, floor, library, training_step

BATCH, LENGTH = 8, 100
SIDES: dict[str, Callable[[str], Any]] = {"pyrovp": library, "by hand": control}


def _measure(benchmark: Any, group: str, side: str, work: Callable[[], Any]) -> None:
    benchmark.group = group
    benchmark.extra_info.update(group=group, side=side, frames=BATCH * LENGTH)
    benchmark.pedantic(work, rounds=5, warmup_rounds=1)
    benchmark.extra_info["frames_per_second"] = BATCH * LENGTH / benchmark.stats.stats.median


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("side", SIDES)
def test_training_step(benchmark: Any, system: str, side: str) -> None:
    """Loss, gradient, clipping, Adam."""
    work = training_step(SIDES[side](system), BATCH, LENGTH)
    _measure(benchmark, f"{system}: training step", side, work)


@pytest.mark.parametrize("system", SYSTEMS)
def test_floor(benchmark: Any, system: str) -> None:
    """The stock convolutions alone, forward and backward."""
    work = floor(BATCH, LENGTH)
    _measure(benchmark, f"{system}: training step", "stock convolutions", work)


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("side", SIDES)
def test_evaluation(benchmark: Any, system: str, side: str) -> None:
    """The bound alone, graph included."""
    work = evaluation(SIDES[side](system), BATCH, LENGTH)
    _measure(benchmark, f"{system}: evaluation", side, work)
