"""Clocks: which frames update a level of the hierarchy."""

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Every", "check_nesting"]


@dataclass(frozen=True)
class Every:
    """Updates a level every `period` frames; between two ticks the level holds its state.

    Reference:
        Clockwork Variational Autoencoders (Saxena, Ba, Hafner, 2021), Section 2, Eq. 1.

    Args:
        period: Frames from one tick to the next, at least 1.

    Raises:
        ValueError: If `period` is less than 1.

    Example:
        >>> clock = Every(period=4)
        >>> [t for t in range(10) if clock.ticks(t)]
        [0, 4, 8]
    """

    period: int

    def __post_init__(self) -> None:
        if not isinstance(self.period, int) or self.period < 1:
            raise ValueError(
                f"a clock needs a period that is a whole number of at least 1 frame, "
                f"got {self.period!r}"
            )

    def ticks(self, t: int) -> bool:
        """Whether frame `t` updates the level; frame 0 always does."""
        return t % self.period == 0


def check_nesting(clocks: Sequence[Every]) -> None:
    """Refuses clocks of which a slow one would tick between two ticks of a faster one below.

    Args:
        clocks: From level 1 upwards.

    Raises:
        ValueError: If a period is not a multiple of the one below.
    """
    for level, (below, clock) in enumerate(zip(clocks, clocks[1:], strict=False), start=2):
        if clock.period % below.period:
            k = below.period
            raise ValueError(
                f"level {level} ticks every {clock.period} frames, which is not a multiple of "
                f"level {level - 1}'s {k}; a slow tick would fall between two fast ones. "
                f"Use {k}, {2 * k}, {3 * k}, ..."
            )
