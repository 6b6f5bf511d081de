r"""The hierarchy: any mix of clocks, gates, memories and wirings as a state-space model.

A step sweeps over the levels whose clocks tick (`pyrovp.sweep`): bottom-up memories and gates,
top-down states. The guide is this very walk with posteriors where there is evidence, so a level
that is blind, or a tick whose window leaves the clip, simply follows its prior, and the levels
below infer given that. Sites: `e_{n}_{t}`, `z_{n}_{t}` and, for gated levels, `belief_{n}_{t}`.

Along a given video the levels that take in nothing but frames are known in advance; `pyrovp.walk`
then draws all ticks of such a level before it turns to the next one.
"""

from collections.abc import Sequence
from dataclasses import replace

import pyro.distributions as dist
import torch
from torch import Tensor, nn

from pyrovp.clocks import check_nesting
from pyrovp.emission import Emission, FrameModel
from pyrovp.evidence import Features, before, encode, features_of, first, seen_size, tap
from pyrovp.lazy import stack_frames
from pyrovp.levels import Level
from pyrovp.memo import memo
from pyrovp.outline import LevelOutline, Outline, Value, brief, sized
from pyrovp.sizes import Map, Size, channels, dims
from pyrovp.state import Context, LevelState, State
from pyrovp.state_space import StateSpace
from pyrovp.sweep import Posterior, Sweep
from pyrovp.walk import walk
from pyrovp.wiring import Dynamics, Wiring

__all__ = ["Hierarchy"]


class Hierarchy(StateSpace):
    """Levels, their wiring, the encoder of frames and the distribution of frames.

    Args:
        levels: From level 1, the fastest, upwards.
        wiring: How they are connected.
        encoder: Features of a frame, with an attribute `features`: a vector [N, X], X features;
            or maps by resolution, {r: [N, C, r, r]} and {r: C}. Shared by whatever looks at
            frames.
        emission: Describes the distribution of frames given the lowest level's context.
        given: Number of frames that condition the model; they are neither drawn nor scored.

    Raises:
        ValueError: If a part is of another kind, there is no level, clocks do not nest, level 1
            has a gate, or something reads past frames and none is given; or for an encoder
            without `features`.

    Attributes:
        levels: The levels' descriptions.
        dynamics: Their networks, in the same order.
        parts: The same as a typed tuple, without the look-ups of a module list: every site of
            every frame asks.
        emits: The emission's description.
        looks: Whether a step needs the features of the frame before.

    Example:
        >>> from functools import partial
        >>> from pyrovp import GRU, DCGANDecoder, DCGANEncoder, Gaussian, GaussianFrames, TopDown
        >>> hierarchy = Hierarchy(
        ...     [Level(memory=GRU(8), state=Gaussian(2)) for _ in range(2)],
        ...     TopDown(width=16),
        ...     DCGANEncoder(channels=1, resolution=16),
        ...     GaussianFrames(partial(DCGANDecoder, channels=1, resolution=16), std=0.4),
        ... )
        >>> hierarchy.encoder.features, [part.receives for part in hierarchy.dynamics]
        (1024, [(16,), (16,)])
    """

    def __init__(
        self,
        levels: Sequence[Level],
        wiring: Wiring,
        encoder: nn.Module,
        emission: Emission,
        given: int = 0,
    ) -> None:
        super().__init__()
        if not isinstance(levels, Sequence) or not all(isinstance(one, Level) for one in levels):
            raise ValueError(
                f"levels are a list [Level(...), ...], the fastest first, got {levels!r}"
            )
        for name, part, kind, example in (
            ("wiring", wiring, Wiring, "Parent(), TopDown() or Dense()"),
            ("emission", emission, Emission, "GaussianFrames(...)"),
        ):
            if not isinstance(part, kind):
                raise ValueError(f"the {name} is an object such as {example}, got {part!r}")
        if not isinstance(given, int) or given < 0:
            raise ValueError(f"the number of given frames is a whole one from 0, got {given!r}")
        self.levels = tuple(levels)
        self.given = given
        if not self.levels:
            raise ValueError("a hierarchy needs at least one level, got an empty list")
        check_nesting([level.clock for level in self.levels])
        if self.levels[0].gate is not None:
            raise ValueError(
                "level 1 has a gate, but every frame draws its own level 1 (e = 1): "
                "give the gate to level 2 or above"
            )
        self.wiring = wiring
        self.encoder = encoder
        built: list[Dynamics] = []
        for level in reversed(self.levels):
            seen = None if level.reads is None else self.evidence_size(level)
            built.append(wiring.dynamics(level, built[-1] if built else None, seen))
        self.dynamics = nn.ModuleList(reversed(built))
        self.parts = tuple(reversed(built))
        self.starts = nn.ModuleList(
            level.memory.start.build(dynamics.cell.dims, self.evidence_size(level), given)
            for level, dynamics in zip(self.levels, self.parts, strict=True)
        )
        gates = tuple(
            None
            if level.gate is None
            else level.gate.cell(tuple(map(channels, dynamics.knows)), level.state.size)
            for level, dynamics in zip(self.levels, self.parts, strict=True)
        )
        self.gates = nn.ModuleDict(
            {str(n): cell for n, cell in enumerate(gates) if cell is not None}
        )
        self._sweep = Sweep(self.levels, self.parts, gates, given)
        self.emits = emission
        self.emission: FrameModel = emission.build(
            built[-1].hands_down, features_of(encoder), given
        )
        reads = any(level.reads is not None for level in self.levels)
        self.looks = reads or self.emission.feeds_back
        if self.looks and not given:
            raise ValueError(
                "this hierarchy reads past frames, so at least one frame has to be given: "
                "Hierarchy(..., given=2), say"
            )

    def evidence_size(self, level: Level) -> Size:
        """The size of a level's share of a frame's features; see `evidence`."""
        return seen_size(self.encoder, *_place(level))

    def evidence(self, level: Level, features: Features) -> Tensor:
        """A level's share of the features: maps of its resolution, or vectors [B, T, X]."""
        return tap(features, *_place(level))

    def begin(self, video: Tensor) -> State:
        """The state before the first modelled frame; see `StateSpace.begin`."""
        if not self.given:
            return self.initial(video.shape[0])
        features = memo(encode)(self.encoder, video)
        seen = video[:, self.given - 1] if self.looks else None
        return self.initial(video.shape[0], features)._replace(seen=seen)

    def initial(self, batch: int, features: Features | None = None) -> State:
        """The state before the first modelled frame.

        Args:
            batch: B.
            features: Of the given frames, or of more, where there are given ones.
        """
        like = next(self.parameters())
        levels = []
        for n, (level, dynamics) in enumerate(zip(self.levels, self.parts, strict=True)):
            gate, given = self._sweep.gates[n], None
            if features is not None:
                given = self.evidence(level, features)[:, : self.given]
            levels.append(
                LevelState(
                    z=like.new_zeros(batch, *dims(level.state.output)),
                    h=self.starts[n](given, batch, like),
                    c=tuple(like.new_zeros(batch, *dims(size)) for size in dynamics.hands_down),
                    g=None if gate is None else gate.initial(batch, like),
                )
            )
        seen = None if features is None else first(features, self.given)
        return State(tuple(levels), self.emission.initial(batch, like, seen))

    def step(self, t: int, state: State, posterior: Posterior | None = None) -> State:
        """Draws the latents of frame t, and makes the frame itself where the next one needs it.

        Args:
            t: The frame, from `given` on.
            state: The state after frame t - 1.
            posterior: What stands in for the priors; None: the generative model.
        """
        past = self._look(state)
        now = self.sweep(t, range(len(self.levels)), state.levels, past, posterior)
        state = state._replace(levels=tuple(now))
        if not self.looks:
            return state
        emitted = self.emission(self._contexts([state]), state.memory, past)
        assert state.seen is not None
        # Under autocast networks make frames of lower precision; the next step sees a video's.
        mean = emitted.frames.mean.squeeze(-4).to(state.seen.dtype)
        return state._replace(memory=emitted.memory, mean=mean, seen=mean)

    def see(self, state: State, frame: Tensor) -> State:
        """The state, given that its frame was this one."""
        return state._replace(seen=frame) if self.looks else state

    def emit(self, states: Sequence[State]) -> dist.TorchDistribution:
        """The distribution of the states' frames; those that were fed back are certain."""
        if self.looks:
            means = [state.mean for state in states if state.mean is not None]
            return dist.Delta(torch.stack(means, -4), event_dim=4)
        return self.emission(self._contexts(states)).frames

    def changes(self, t: int, state: State) -> list[Tensor | None]:
        """Where frame t changed each level; see `StateSpace.changes`."""
        return [
            None
            if not level.clock.ticks(t - self.given)
            else (now.z.new_ones(()) if now.e is None else now.e.to(now.z.dtype))
            for level, now in zip(self.levels, state.levels, strict=True)
        ]

    def outline(self) -> Outline:
        """Who reads what; see `StateSpace.outline`."""
        depth, levels = len(self.levels), list[LevelOutline]()
        for n, (level, dynamics) in enumerate(zip(self.levels, self.parts, strict=True), 1):
            one = dynamics.outline(level, n, self.wiring.handed(n, depth))
            if levels and levels[-1].level.gate is not None and level.gate is not None:
                one = replace(one, decides=(*one.decides, Value("e", n - 1)))  # nested
            levels.append(one)
        handed = self.wiring.handed(0, depth)
        contexts = [part.hands_down for part in self.parts]
        sizes = sorted({sized(size) for parts in contexts for size in parts})
        own = any(value.kind == "c" for value in handed)  # the others' sizes are the levels'
        return Outline(
            tuple(levels),
            wiring=brief(self.wiring) + (f", contexts c of {', '.join(sizes)}" if own else ""),
            encoder=f"{brief(self.encoder)}, {_features(features_of(self.encoder))}",
            emission=brief(self.emits),
            emits=(
                *handed,
                *((Value("x", last=True),) if self.emission.feeds_back else ()),
            ),
            remembers=type(self.emission).initial is not FrameModel.initial,
            given=self.given,
        )

    def follow(self, video: Tensor, frames: range) -> tuple[list[State], dist.TorchDistribution]:
        """The states of a video's frames and what they emit; see `StateSpace.follow`."""
        states, contexts = walk(self, video, frames)
        past = None
        if self.emission.feeds_back:
            features = memo(encode)(self.encoder, video)
            past = before(features, frames)
        emitted = self.emission(contexts, states[0].memory, past)
        if self.looks:
            states[-1] = states[-1]._replace(memory=emitted.memory, seen=video[:, frames[-1]])
        return states, emitted.frames

    def sweep(
        self,
        t: int,
        members: Sequence[int],
        held: Sequence[LevelState],
        past: Features | None,
        posterior: Posterior | None,
        now: Sequence[LevelState] | None = None,
    ) -> list[LevelState]:
        """Some neighbouring levels at frame t; see `Sweep`."""
        taken = tuple(
            None if level.reads is None or past is None else self.evidence(level, past)[:, 0]
            for level in self.levels
        )
        return self._sweep(t, members, held, taken, posterior, now)

    def _contexts(self, states: Sequence[State]) -> Context:
        """Level 1's contexts as sequences."""
        parts = zip(*(state.levels[0].c for state in states), strict=True)
        sizes = self.parts[0].hands_down
        return tuple(
            stack_frames(part, len(dims(size))) for part, size in zip(parts, sizes, strict=True)
        )

    def _look(self, state: State) -> Features | None:
        """Features of the frame before, as those of a sequence of one."""
        if not self.looks:
            return None
        if state.seen is None:
            raise ValueError(
                "this hierarchy reads past frames: start from `begin(video)` with given frames"
            )
        return encode(self.encoder, state.seen.unsqueeze(-4))


def _features(size: int | dict[int, int]) -> str:
    if isinstance(size, int):
        return f"{size} features"
    return f"maps {', '.join(sized(Map(c, r)) for r, c in sorted(size.items(), reverse=True))}"


def _place(level: Level) -> tuple[int, bool]:
    """(resolution, whether as a vector) of what a level sees of the frames."""
    own = level.memory.resolution
    output = level.state.output
    if own is None and isinstance(output, Map):
        own = output.resolution
    asked = None if level.reads is None else level.reads.resolution
    return asked or own or 1, level.memory.resolution is None
