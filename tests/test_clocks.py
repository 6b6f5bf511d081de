"""Clocks tick at multiples of their period, and nest."""

import pytest

from pyrovp.clocks import Every, check_nesting


@pytest.mark.parametrize("period", [1, 2, 6, 7])
def test_ticks_at_multiples_of_the_period(period: int) -> None:
    ticks = [t for t in range(20) if Every(period).ticks(t)]
    assert ticks == list(range(0, 20, period))


@pytest.mark.parametrize("period", [0, -3, 2.5, "6", None])
def test_refuses_a_period_that_is_no_count_of_frames(period: int) -> None:
    with pytest.raises(ValueError, match=f"at least 1 frame, got {period!r}"):
        Every(period)


@pytest.mark.parametrize("periods", [[1], [1, 1], [1, 6, 36], [2, 4, 4, 12], [3, 3]])
def test_multiples_nest(periods: list[int]) -> None:
    check_nesting([Every(period) for period in periods])


@pytest.mark.parametrize(
    ("periods", "level", "below", "offer"),
    [([4, 6], 2, 4, "4, 8, 12"), ([1, 2, 3], 3, 2, "2, 4, 6"), ([4, 2], 2, 4, "4, 8, 12")],
)
def test_refuses_clocks_that_do_not_nest(
    periods: list[int], level: int, below: int, offer: str
) -> None:
    with pytest.raises(ValueError) as refused:
        check_nesting([Every(period) for period in periods])
    text = str(refused.value)
    assert f"level {level} ticks every {periods[level - 1]} frames" in text
    assert f"level {level - 1}'s {below};" in text
    assert offer in text, "says what would do"
