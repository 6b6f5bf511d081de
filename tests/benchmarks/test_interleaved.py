"""The timing loop: every side takes its turn, the warming-up round does not count."""

import time

from benchmarks.interleaved import Side, interleave


def test_sides_take_turns_and_medians_are_of_the_counted_rounds() -> None:
    calls: list[str] = []

    def first() -> None:
        calls.append("first")
        time.sleep(0.2 if len(calls) == 1 else 0.02)  # the warming up is slow and not counted

    timings = interleave(
        {"first": Side(first, 1), "second": Side(lambda: calls.append("second"), 1)}, rounds=3
    )
    assert calls == ["first", "second"] * 4
    assert 0.02 <= timings["first"].wall < 0.2
    assert timings["second"].wall < timings["first"].wall
    assert timings["first"].cpu < timings["first"].wall, "sleeping costs no CPU seconds"
