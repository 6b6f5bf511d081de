r"""Online prediction: one frame in, the updated belief and a forecast out.

    filter = OnlineFilter(model, guide)
    for frame in camera:                           # [B, C, H, W]
        belief = filter.update(frame)              # what each level holds
    future = filter.forecast(horizon=100, samples=10)

After T frames a forecast has the law of `open_loop` with these T frames as its context, and is the
same to the bit but for rounding where the noise of a site depends on its name alone. But a frame
costs no more than the one before: the state is carried, and a level that infers from windows of
k frames keeps its present one (`pyrovp.predict.following`).

The belief is a sample of the guide's: P particles are P draws of all latents, each going on by
itself. Forecasts of one particle share the draw that it holds.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor, nn

from pyrovp import sites
from pyrovp.checks import check_video
from pyrovp.predict.following import follower
from pyrovp.programs import PLATE, LatentDynamics, check_pair
from pyrovp.state import State
from pyrovp.state_space import StateSpace

__all__ = ["Belief", "Forecast", "OnlineFilter"]


class Belief(NamedTuple):
    """What the levels hold after a frame.

    A level between two ticks holds the belief of its last one. Where its window has not ended yet
    that is its prior's. Frames that condition the model are not inferred from: there is no belief.

    Args:
        t: The frame, from 0.
        mean, std: Of each level's state by level from 1, [P, B, Z] or [P, B, C, r, r]; empty at
            given frames.
        changes: e of each level, 1 = ticked and changed, [P, B, L]; 0 at given frames.
    """

    t: int
    mean: dict[int, Tensor]
    std: dict[int, Tensor]
    changes: Tensor


class Forecast(NamedTuple):
    """What may follow.

    Args:
        start: The first frame's time.
        frames: Decoded means [S, B, horizon, C, H, W].
        changes: e of each level, 1 = ticked and changed, [S, B, L, horizon].
    """

    start: int
    frames: Tensor
    changes: Tensor


class OnlineFilter:
    """Follows a video while its frames come in, at a cost for each that does not grow.

    It takes guides that walk with their model (`Filtering`: every composition of levels), and
    VTA's, which takes all frames as given. Call `model.eval()` and `guide.eval()` before. Noise
    comes from the ambient generators; a handler around `update`, such as `poutine.condition`,
    acts on the sites of the frames that are walked.

    Args:
        model, guide: The two programs.
        particles: P, how many independent draws of the latents are carried.

    Raises:
        ValueError: For a guide of another model, or one that looks at a context as a whole.

    Attributes:
        seen: How many frames have come in.

    Example:
        >>> from pyrovp import guides, models
        >>> model = models.rssm(state=2, memory=8, hidden=8, resolution=16, width=0.1)
        >>> online = OnlineFilter(model, guides.rssm(model), particles=3)
        >>> belief = online.update(torch.rand(2, 1, 16, 16))  # frame by frame
        >>> online.forecast(horizon=5).frames.shape
        torch.Size([3, 2, 5, 1, 16, 16])
    """

    def __init__(
        self, model: LatentDynamics[StateSpace], guide: nn.Module, *, particles: int = 1
    ) -> None:
        check_pair(model, guide)
        self.particles = _count("particles", particles)
        self.space = model.hierarchy
        self.seen = 0
        self._follower = follower(model.hierarchy, guide, particles)
        self._inferred = False
        self._shape: torch.Size | None = None
        self._like = torch.empty(0)

    def update(self, frame: Tensor) -> Belief:
        """Takes in the next frame of each sequence.

        Args:
            frame: [B, C, H, W], floats in [0, 1]; of one shape and kind in all calls.

        Raises:
            ValueError: If the frame is malformed, or of another shape than the first.
        """
        self._check(frame)
        t = self.seen
        held = self._follower.take(t, frame)
        self._shape, self._like = frame.shape, frame.new_empty(0)
        self.seen, self._inferred = t + 1, held is not None
        mean, std = {}, {}
        for level, packed in sorted((held or {}).items()):
            events = self.space.levels[level - 1].state.event_dim
            mean[level], std[level] = map(self._apart, packed.chunk(2, -events))
        changes = self._changes(t, [self._follower.state] if self._inferred else [None])
        return Belief(t, mean, std, changes[..., 0])

    def reconstruct(self) -> Tensor:
        """The mean of the last frame as it is believed to be, [P, B, C, H, W].

        Raises:
            ValueError: If nothing is inferred from the frames so far.
        """
        if not self._inferred:
            raise ValueError(
                f"nothing is inferred from the {self.seen} frames so far: they condition the "
                "model, which makes the frames after them; ask for a forecast"
            )
        with torch.no_grad():
            return self._apart(self.space.emit([self._follower.state]).mean[:, 0])

    def forecast(
        self,
        horizon: int,
        samples: int | None = None,
        *,
        policy: AbstractContextManager[object] | None = None,
        chunk: int = 50,
    ) -> Forecast:
        """Predicts the frames after those that have come in; changes nothing in what is believed.

        Args:
            horizon: Frames to predict, at least 1.
            samples: S futures; None: one of each particle. Future s goes on from particle s mod P.
            policy: A handler for these steps, such as `HoldStatic()`.
            chunk: Frames decoded at once.

        Raises:
            ValueError: If too few frames have come in, or an argument is out of range.
        """
        horizon, chunk = _count("horizon", horizon), _count("chunk", chunk)
        samples = self.particles if samples is None else _count("samples", samples)
        if policy is not None and not isinstance(policy, AbstractContextManager):
            raise ValueError(
                f"a policy is a handler such as HoldStatic() or Jumpy(), got {policy!r}"
            )
        if self.seen == 0:
            raise ValueError("no frame has come in yet: call update(frame) first")
        self.space.takes(self.seen)
        rounds = [
            self._continue(horizon, policy or nullcontext(), chunk)
            for _ in range(-(-samples // self.particles))
        ]
        frames, changes = (torch.cat(parts)[:samples] for parts in zip(*rounds, strict=True))
        return Forecast(self.seen, frames, changes)

    def _continue(
        self, horizon: int, policy: AbstractContextManager[object], chunk: int
    ) -> tuple[Tensor, Tensor]:
        """One future of each particle: frames and changes."""
        state, end = self._follower.state, self.seen + horizon
        plate = pyro.plate(PLATE, self._rows, dim=-1)
        frames, changes = [], []
        with torch.no_grad():
            with plate, policy:
                _show(self.seen - 1, state)
            for start in range(self.seen, end, chunk):
                states = []
                with plate, policy:
                    for t in range(start, min(start + chunk, end)):
                        state = self.space.step(t, state)
                        states.append(state)
                    frames.append(self._apart(self.space.emit(states).mean))
                changes.append(self._changes(start, states))
        return torch.cat(frames, 2), torch.cat(changes, -1)

    def _changes(self, start: int, states: Sequence[Any]) -> Tensor:
        """e of consecutive states, [P, B, L, n]; of what is no state, 0."""
        changes = self._like.new_zeros(self._rows, len(self.space.levels), len(states))
        for i, state in enumerate(states):
            for n, e in enumerate([] if state is None else self.space.changes(start + i, state)):
                if e is not None:
                    changes[:, n, i] = e.to(changes.dtype)
        return self._apart(changes)

    def _apart(self, rows: Tensor) -> Tensor:
        """[P * B, ...] -> [P, B, ...]."""
        return rows.unflatten(0, (self.particles, -1))

    @property
    def _rows(self) -> int:
        """P * B."""
        assert self._shape is not None
        return self.particles * self._shape[0]

    def _check(self, frame: Tensor) -> None:
        if not isinstance(frame, Tensor) or frame.dim() != 4:
            got = list(frame.shape) if isinstance(frame, Tensor) else type(frame).__name__
            raise ValueError(
                f"a frame is a tensor [B, C, H, W] (sequences, channels, height, width), got "
                f"{got}; a single sequence becomes a batch by frame[None]"
            )
        check_video(frame[:, None], "frame")
        if self._shape is not None and frame.shape != self._shape:
            raise ValueError(
                f"the frames so far were {list(self._shape)} (sequences, channels, height, "
                f"width), but this one is {list(frame.shape)}; a new video needs a new filter"
            )


def _show(t: int, state: Any) -> None:
    """Lets a policy see the states that a future begins with, as `stream` does."""
    if isinstance(state, State):
        for level, held in enumerate(state.levels, start=1):
            belief = dist.Delta(held.z, event_dim=held.z.dim() - 1)
            pyro.sample(sites.site(sites.STATE, level, t), belief, obs=held.z)


def _count(what: str, number: object) -> int:
    if not isinstance(number, int) or number < 1:
        raise ValueError(f"{what} is a whole number of at least 1, got {number!r}")
    return number
