"""Settings of the benchmarks, and their closing report of ratios."""

from typing import Any

import pytest

from pyrovp.process import tune_allocator


def pytest_configure(config: pytest.Config) -> None:
    """The process is ours: large tensors keep their pages."""
    tune_allocator()


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Each system's medians over its control's and over the stock convolutions'."""
    session = getattr(config, "_benchmarksession", None)
    if session is None:
        return
    medians = {
        (b.extra_info["group"], b.extra_info["side"]): b.stats.median
        for b in session.benchmarks
        if "side" in b.extra_info and b.stats.rounds
    }
    lines = [
        f"{group}: pyrovp / {side} = {medians[group, 'pyrovp'] / seconds:.3f}"
        for (group, side), seconds in medians.items()
        if side != "pyrovp" and (group, "pyrovp") in medians
    ]
    if lines:
        terminalreporter.section("ratios of median wall times")
        for line in lines:
            terminalreporter.write_line(line)
        terminalreporter.write_line(
            "(one side after the other; python -m benchmarks.run takes turns)"
        )
