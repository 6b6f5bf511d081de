r"""A state that follows a video while its frames come in one by one.

What a guide infers at frame t from the frames so far is what it infers from a context that ends
there: a tick whose window has ended has its posterior, any other its prior. So a window of k
frames changes what was drawn in it when its last frame comes, and only then:

    frame t ends windows of levels 1 ... m, the longest of p_m frames (periods nest)
        back to the state before that window, then again through its p_m frames, now with evidence
    frame t ends none
        one step, by the prior

All that came before that window had ended with it, or belongs to levels above m, which follow
their priors as before. So nothing older than the slowest level's present window is ever needed,
and a frame costs at most that window; on average a step for each level. Where every window is one
frame (DLH, RSSM, SVG, HVRNN) each frame is one step.
"""

import abc
from typing import Any, cast

import pyro
import torch
from pyro import poutine
from torch import Tensor, nn

from pyrovp import sites
from pyrovp.cells import Cell
from pyrovp.filtering import Filtering
from pyrovp.lazy import force
from pyrovp.memo import memo, memoised
from pyrovp.predict.incoming import Incoming
from pyrovp.programs import PLATE
from pyrovp.state import State
from pyrovp.state_space import StateSpace

__all__ = ["AllGiven", "Follower", "Walking", "follower"]


class Follower(abc.ABC):
    """What is carried from one frame to the next.

    Law: after frames 0 ... t `state` is drawn as that of a guide and a replayed model which are
    given these frames as a context; what is kept does not grow with t.
    """

    @property
    @abc.abstractmethod
    def state(self) -> Any:
        """What the space's `step` goes on from; for P particles of B sequences, [P * B, ...]."""

    @abc.abstractmethod
    def take(self, t: int, frame: Tensor) -> dict[int, Tensor] | None:
        """Takes in frame t, [B, C, H, W].

        Returns:
            The belief that each level (from 1) holds now, its packed mean and std
            [P * B, 2Z]; None where the frame conditions the model and nothing is inferred.
        """


def follower(space: StateSpace, guide: nn.Module, particles: int) -> Follower:
    """The follower of a state space whose guide permits one.

    Raises:
        ValueError: If the guide looks at a context as a whole.
    """
    if isinstance(guide, Filtering):
        return Walking(guide, particles)
    if isinstance(getattr(space, "past", None), Cell) and space.takes(10**6) == 10**6:
        return AllGiven(space, particles)
    raise ValueError(
        f"a {type(guide).__name__} looks at a context as a whole and cannot take in frames one by "
        "one: use pyrovp.predict.open_loop(model, guide, context, horizon), or a guide that walks "
        "with its model, Filtering(model.hierarchy)"
    )


class Walking(Follower):
    """Follows with a guide that walks with its hierarchy.

    Args:
        guide: The guide.
        particles: P, independent draws of the latents.
    """

    def __init__(self, guide: Filtering, particles: int) -> None:
        self.guide, self.particles = guide, particles
        self.hierarchy = guide.hierarchy
        self.periods = [level.clock.period for level in self.hierarchy.levels]
        self._given: list[Tensor] = []
        self._incoming: list[Incoming] = []
        self._state: State | None = None
        # Of the slowest level's present window: the frames, the evidence of ticks by level and
        # number, and for each level the state before its present window.
        self._frames: list[Tensor] = []
        self._ticks: dict[tuple[int, int], Tensor] = {}
        self._before: dict[int, State] = {}
        self._beliefs: dict[int, Tensor] = {}

    @property
    def state(self) -> State:
        """The hierarchy's state after the last frame."""
        assert self._state is not None
        return self._state

    def take(self, t: int, frame: Tensor) -> dict[int, Tensor] | None:
        """See `Follower.take`."""
        with torch.no_grad(), memoised():
            if self._state is None and self._begin(t, frame):
                return None
            since, state = self._receive(t, frame)
            self._frames.append(self._rows(frame))
            self._walk(range(since, t + 1), state)
        if (t - self.hierarchy.given + 1) % self.periods[-1] == 0:
            self._frames.clear()
            self._ticks.clear()
        return dict(self._beliefs)

    def belief(self, n: int, t: int, shown: tuple[Tensor, ...], trunk: nn.Module) -> Tensor | None:
        """Where a window has ended; see `pyrovp.sweep.Posterior`."""
        early = self._ticks.get((n, (t - self.hierarchy.given) // self.periods[n]))
        return None if early is None else memo(self.guide.heads[n])(*shown, early, trunk)

    def beliefs(self, n: int, shown: tuple[Tensor, ...], trunk: nn.Module) -> Tensor | None:
        """None: frames come one by one."""
        return None

    def _begin(self, t: int, frame: Tensor) -> bool:
        """Starts once the given frames are there; whether this frame is one of them."""
        given = self.hierarchy.given
        if given:
            self._given.append(frame)
            if t + 1 < given:
                return True
        video = torch.stack(self._given or [frame], 1)
        self._given.clear()
        self._state = self.hierarchy.begin(self._rows(video))
        parts = zip(self.guide.heads, self.periods, self.guide.evidence(video), strict=True)
        self._incoming = [
            Incoming(level, head, period, features[:, :given])
            for level, (head, period, features) in enumerate(parts, start=1)
        ]
        return given > 0

    def _receive(self, t: int, frame: Tensor) -> tuple[int, State]:
        """Adds a frame to the windows; from which frame and state on the walk is to be done."""
        i, now = t - self.hierarchy.given, self.state
        features = self.guide.evidence(frame[:, None])
        since, state = t, now
        for n, (window, period) in enumerate(zip(self._incoming, self.periods, strict=True)):
            if i % period == 0:
                self._before[n] = now
            early = window.add(features[n][:, 0])
            if early is not None:
                self._ticks[n, i // period] = self._rows(early)
                since, state = t + 1 - period, self._before[n]
        return since, state

    def _walk(self, frames: range, state: State) -> None:
        """Goes through consecutive frames, of which all are at hand."""
        given, window = self.hierarchy.given, self.periods[-1]
        rows = len(self._frames[-1])
        with pyro.plate(PLATE, rows, dim=-1), poutine.trace() as recorded:
            for t in frames:
                state = self.hierarchy.step(t, state, self)
                state = self.hierarchy.see(state, self._frames[(t - given) % window])
        for level in state.levels:
            force(level.g)  # a gate's memory that nobody asks for would hold on to every tick
        self._state = state
        for name, node in recorded.trace.nodes.items():
            where = sites.parse(name)
            if where is not None and where.kind == sites.STATE:
                kept = state.levels[where.level - 1].belief
                self._beliefs[where.level] = node["fn"].parameters if kept is None else kept

    def _rows(self, part: Tensor) -> Tensor:
        """[B, ...] for every particle, [P * B, ...]."""
        if self.particles == 1:
            return part
        return part.repeat(self.particles, *[1] * (part.dim() - 1))


class AllGiven(Follower):
    """Follows with a space that takes a whole context as given, in one memory: VTA.

    Such a space has the memory's `past`, a cell that takes in `features`, and begins with a tuple
    of which the field `past` holds what the cell shows at every frame, [B, T, D].

    Args:
        space: The state space.
        particles: P; they differ only in what is predicted.
    """

    def __init__(self, space: StateSpace, particles: int) -> None:
        self.space: Any = space
        self.particles = particles
        self._memory: Tensor | None = None
        self._start: Any = None
        self._seen = 0

    @property
    def state(self) -> Any:
        """As `begin` makes it; only the last of its frames is ever read, and it stands for all."""
        cell = cast(Cell, self.space.past)
        assert self._memory is not None
        last = cell.read(self._memory).repeat(self.particles, 1)
        return self._start._replace(past=last[:, None].expand(-1, self._seen, -1))

    def take(self, t: int, frame: Tensor) -> dict[int, Tensor] | None:
        """See `Follower.take`; nothing is inferred."""
        with torch.no_grad():
            video = frame[:, None]
            features, cell = self.space.features(video)[:, 0], cast(Cell, self.space.past)
            if self._memory is None:
                self._memory = cell.initial(len(frame), features)
                self._start = self.space.begin(video)
            self._memory = cell.step(self._memory, features)
        self._seen = t + 1
        return None
