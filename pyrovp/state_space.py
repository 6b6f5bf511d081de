r"""A latent state-space model of videos, in a handful of verbs.

    begin     the state before the first frame that is modelled, from the frames that are given
    step      draws the latents of one frame
    see       puts a true frame in the place of the model's own
    emit      the distribution of frames, given states

    follow    all of it along a video: what training and the context of a prediction do

Frames count from 0. The first `given` ones condition the model: they are neither drawn nor
scored. Training calls `follow`, prediction `takes`, `follow` along the context, then `step` and
`emit`; `changes` and `outline` are for tables and pictures. Nothing else is asked of a model, but
by `OnlineFilter` of one whose guide is no `Filtering`: that it takes a context of any length as
given, in a memory `past` (a `Cell`) of its `features(video)`, and begins with a named tuple whose
field `past` is what that memory shows at each frame.
"""

import abc
from collections.abc import Sequence
from typing import Any

import pyro.distributions as dist
from torch import Tensor, nn

from pyrovp.levels import Level
from pyrovp.memo import memo
from pyrovp.outline import LevelOutline, Outline

__all__ = ["StateSpace"]


class StateSpace(nn.Module, abc.ABC):
    """A model of what happens between frames. Its `step` draws with `pyro.sample`.

    Attributes:
        levels: Descriptions of the levels, from level 1, the fastest, upwards.
        given: Number of frames that condition the model in training.
        tail: Number of frames at the end of a training clip that only the guide looks at.
        encoder: Features of frames, shared by whatever looks at frames.
    """

    levels: tuple[Level, ...]
    given: int = 0
    tail: int = 0
    encoder: nn.Module

    @abc.abstractmethod
    def begin(self, video: Tensor) -> Any:
        """The state before frame `takes(...)`; looks at no frame from there on.

        Args:
            video: [B, T, C, H, W], the given frames or more.
        """

    @abc.abstractmethod
    def step(self, t: int, state: Any) -> Any:
        """The state of frame t, after that of frame t - 1."""

    @abc.abstractmethod
    def emit(self, states: Sequence[Any]) -> dist.TorchDistribution:
        """The distribution of the frames of consecutive states; [..., B] by [n, C, H, W]."""

    @abc.abstractmethod
    def changes(self, t: int, state: Any) -> list[Tensor | None]:
        """For each level, where frame t changed it, 0 or 1 [...]; None: it did not tick."""

    def outline(self) -> Outline:
        """Who reads what; by default no more than the levels is said."""
        levels = tuple(LevelOutline(level) for level in self.levels)
        return Outline(levels, given=self.given, tail=self.tail)

    def see(self, state: Any, frame: Tensor) -> Any:
        """The state, given that its frame was this one [B, C, H, W]."""
        return state

    def takes(self, context: int) -> int:
        """How many of a context's frames are given, when the rest is to be predicted.

        Raises:
            ValueError: If the context is too short.
        """
        if context < self.given:
            raise ValueError(
                f"this model starts from {self.given} given frames, but the context has "
                f"{context}; give a longer one"
            )
        return self.given

    def scored(self, length: int) -> range:
        """The frames of a training clip that are modelled.

        Raises:
            ValueError: If none is.
        """
        frames = range(self.given, length - self.tail)
        if not frames:
            tail = f" and {self.tail} at the end only lead the guide" if self.tail else ""
            raise ValueError(
                f"of a clip of {length} frames none is left to be modelled: {self.given} are "
                f"given{tail}; use clips of at least {self.given + self.tail + 1} frames"
            )
        return frames

    def follow(self, video: Tensor, frames: range) -> tuple[list[Any], dist.TorchDistribution]:
        """The states of a video's frames, each after the true one before, and what they emit.

        Args:
            video: [B, T, C, H, W].
            frames: Consecutive frames, from `given` on.
        """
        state, states = memo(self.begin)(video), []
        for t in frames:
            state = self.step(t, state)
            states.append(state)
            state = self.see(state, video[:, t])
        return states, self.emit(states)
