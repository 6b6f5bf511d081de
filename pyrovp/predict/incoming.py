r"""A level's evidence while frames come in one by one.

    evidence_i = Σ_{t in window i} f_t        a running sum, whole with the window's last frame

What a posterior makes of it ahead of time (`early` of `pyrovp.posteriors`) is made tick by tick:

    early_i = early(evidence_i)                     a posterior that looks at this tick alone
    early_i = read(m_i),  m_i = step(m_{i-1}, evidence_i)      one with a memory (`Twin`), kept
"""

import torch
from torch import Tensor, nn

from pyrovp.cells import Cell

__all__ = ["Incoming"]


class Incoming:
    """The windows of one level.

    Law: what `add` returns for the ticks of a video is what the posterior's `early` makes of all
    of them at once.

    Args:
        level: Its number, from 1.
        posterior: Its posterior, as `PosteriorHead.build` makes it. One with a memory over ticks
            has it as `cell` and `start`.
        period: Frames of a window.
        given: Features of the frames that condition the model.

    Shapes:
        given: [B, G, X], or maps [B, G, C, r, r]
    """

    def __init__(self, level: int, posterior: nn.Module, period: int, given: Tensor) -> None:
        self.level, self.posterior, self.period, self.given = level, posterior, period, given
        self._sum: Tensor | None = None
        self._frames = self._ticks = 0
        self._first: Tensor | None = None
        cell = getattr(posterior, "cell", None)
        self._cell: Cell | None = cell if isinstance(cell, Cell) else None
        if self._cell is not None:
            start: nn.Module = posterior.start  # type: ignore[assignment]
            self._memory: Tensor = start(given, len(given), given)

    def add(self, features: Tensor) -> Tensor | None:
        """Takes in a frame's features [B, ...]; `early` [B, ...] of a tick whose window it ends.

        Raises:
            ValueError: At the second tick, if the posterior looks back at the first one but has no
                memory that could be kept.
        """
        self._sum = features if self._sum is None else self._sum + features
        self._frames += 1
        if self._frames < self.period:
            return None
        evidence, self._sum, self._frames = self._sum, None, 0
        if self._cell is not None:
            self._memory = self._cell.step(self._memory, evidence)
            return self._cell.read(self._memory)
        early = self._early(evidence)
        self._ticks += 1
        if self._ticks == 1:
            self._first = evidence
        elif self._first is not None:
            self._check(self._first, evidence, early)
            self._first = None
        return early

    def _early(self, *ticks: Tensor) -> Tensor:
        """Of the last one of consecutive ticks."""
        made: Tensor = self.posterior.early(torch.stack(ticks, 1), self.given)  # type: ignore
        return made[:, -1]

    def _check(self, first: Tensor, second: Tensor, early: Tensor) -> None:
        """Once: a posterior of a user's own may look further back."""
        both = self._early(first, second)
        if not torch.allclose(both, early, rtol=1e-2, atol=1e-2 * float(both.abs().max())):
            raise ValueError(
                f"the posterior of level {self.level} looks back at earlier ticks, but has no "
                "memory that could be kept while frames come in: give it a `cell` and a "
                "`start`, as Twin() has, or predict from the whole context with open_loop"
            )
