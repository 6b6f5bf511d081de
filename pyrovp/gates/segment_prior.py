r"""A prior on segments: few of them, and none too long.

With n_t segments begun up to frame t and l_t frames of the current one, the prior's log-odds of a
boundary at t + 1 are

    +c     where l_t >= length
    -c     where n_t >= number, and not so
    as predicted elsewhere

and c = 2 log(p / (1 - p)), near certainty; a posterior may disagree, at a price.

Reference:
    Variational Temporal Abstraction (Kim, Ahn, Bengio, 2019), Section 2.2 and Appendix,
    https://arxiv.org/abs/1910.00775; the numbers are those of its authors' implementation.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from pyrovp.checks import check_count

__all__ = ["Counts", "SegmentPrior"]


class Counts(NamedTuple):
    """What has been counted up to a frame.

    Args:
        number: Segments begun, [..., B].
        length: Frames of the current one, [..., B].
    """

    number: Tensor
    length: Tensor


@dataclass(frozen=True)
class SegmentPrior:
    """Keeps segments few and short by near certain log-odds; the length wins over the number.

    Args:
        number: Most segments of the predicted frames: once so many have begun, stay.
        length: Most frames of a segment: once it has so many, change.
        certainty: p, with which each of two logits ±log(p / (1 - p)) decides; the log-odds are
            their difference, ±13.81 at 0.999.

    Raises:
        ValueError: For a limit below 1, or a certainty outside of (1/2, 1).

    Example:
        >>> prior, like = SegmentPrior(number=5, length=2), torch.zeros(1)
        >>> counts = prior.initial(1, like)
        >>> for m in (1.0, 0.0):
        ...     counts = prior.count(counts, torch.full((1,), m))
        >>> counts.length.item(), round(prior.limit(counts, like).item(), 2)
        (2.0, 13.81)
    """

    number: int = 5
    length: int = 8
    certainty: float = 0.999

    def __post_init__(self) -> None:
        check_count("a segment prior's number of segments", self.number)
        check_count("a segment prior's length in frames", self.length)
        if not 0.5 < self.certainty < 1:
            raise ValueError(
                f"the certainty is a probability above 1/2 and below 1, got {self.certainty}"
            )

    def initial(self, batch: int, like: Tensor) -> Counts:
        """The counts before the first frame: zeros."""
        zero = like.new_zeros(batch)
        return Counts(zero, zero)

    def count(self, counts: Counts, m: Tensor) -> Counts:
        """The counts after a frame.

        Args:
            counts: Before it.
            m: Whether it begins a segment, 0 or 1, [..., B].
        """
        m = m.detach()
        return Counts(counts.number + m, counts.length * (1 - m) + 1)

    def limit(self, counts: Counts, log_odds: Tensor) -> Tensor:
        """The log-odds [..., B] of a boundary at the next frame, where a limit is reached c."""
        bound = 2 * math.log(self.certainty / (1 - self.certainty))
        kept = torch.where(counts.number >= self.number, -bound, log_odds)
        return torch.where(counts.length >= self.length, bound, kept)
