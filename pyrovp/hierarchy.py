r"""The hierarchy: one time step of any mix of clocks, gates, memories and wirings.

A step has two sweeps over the levels whose clocks tick at t:

    bottom-up    h  takes in the last z, or the last frame;  the gate decides e
                                                             (nested: only where e below = 1)
    top-down     z  is drawn from its prior, or from what a posterior puts in its place;
                 c  is handed down

The guide is this very walk with posteriors where there is evidence, so a level that is blind, or
a tick whose window leaves the clip, simply follows its prior, and the levels below infer given
that. Sites: `e_{n}_{t}`, `z_{n}_{t}` and, for gated levels, `belief_{n}_{t}`.

Along a given video the levels that take in nothing but frames are known in advance: `walk`
(`pyrovp.walk`) then draws all ticks of such a level before it turns to the next one.
"""

from collections.abc import Sequence
from typing import Protocol

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor, nn

from pyrovp import sites
from pyrovp.clocks import check_nesting
from pyrovp.distributions import Carried, DiagonalNormal, Held, TemporalMixture
from pyrovp.distributions.shapes import common_shape, over
from pyrovp.emission import Emission, FrameModel
from pyrovp.evidence import Features, before, encode, first, seen_size, tap
from pyrovp.gates import GateCell
from pyrovp.lazy import Deferred, Lazy, stack_frames
from pyrovp.levels import Level
from pyrovp.memo import memo
from pyrovp.sizes import Map, Size, batch_of, channels, dims, pooled
from pyrovp.state import Context, LevelState, State
from pyrovp.state_space import StateSpace
from pyrovp.walk import walk
from pyrovp.wiring import Dynamics, Wiring

__all__ = ["Hierarchy", "Posterior"]


class Posterior(Protocol):
    """What a guide puts in the place of priors."""

    def belief(self, n: int, t: int, shown: tuple[Tensor, ...], trunk: nn.Module) -> Tensor | None:
        """Packed parameters [..., 2Z] of q for the level at index n; None: no evidence at t.

        Args:
            n: Index of the level, from 0.
            t: The frame.
            shown: What the level shows of itself.
            trunk: The level's prior head, for posteriors that share it.
        """

    def beliefs(self, n: int, shown: tuple[Tensor, ...], trunk: nn.Module) -> Tensor | None:
        """The same for all ticks of a level that ticks at every frame, [..., T, 2Z]."""


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
        ValueError: If there is no level, clocks do not nest, level 1 has a gate, or something
            reads past frames and none is given.

    Attributes:
        levels: The levels' descriptions.
        dynamics: Their networks, in the same order.
        parts: The same as a typed tuple, without the look-ups of a module list: every site of
            every frame asks.
        looks: Whether a step needs the features of the frame before.
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
        self.levels = tuple(levels)
        self.given = given
        if not self.levels:
            raise ValueError("a hierarchy needs at least one level, got an empty list")
        if given < 0:
            raise ValueError(f"the number of given frames is 0 or more, got {given}")
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
        self._gates = tuple(
            None
            if level.gate is None
            else level.gate.cell(tuple(map(channels, dynamics.knows)), level.state.size)
            for level, dynamics in zip(self.levels, self.parts, strict=True)
        )
        self.gates = nn.ModuleDict(
            {str(n): cell for n, cell in enumerate(self._gates) if cell is not None}
        )
        features = encoder.features
        self.emission: FrameModel = emission.build(
            built[-1].hands_down,
            features if isinstance(features, dict) else int(features),  # type: ignore[arg-type]
            given,
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
            given = None
            if features is not None:
                given = self.evidence(level, features)[:, : self.given]
            levels.append(
                LevelState(
                    z=like.new_zeros(batch, *dims(level.state.output)),
                    h=self.starts[n](given, batch, like),
                    c=tuple(like.new_zeros(batch, *dims(size)) for size in dynamics.hands_down),
                    g=self._gate(n).initial(batch, like) if level.gate is not None else None,
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
        mean = emitted.frames.mean.squeeze(-4)
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
        """The levels after frame t.

        Args:
            t: The frame.
            members: Indices of the levels that are swept, neighbours, from the lowest up.
            held: All levels after frame t - 1.
            past: Features of frame t - 1, [B, 1, ...].
            posterior: What stands in for the priors.
            now: All levels, where those above the members are at t already; None: all members.
        """
        levels = list(held if now is None else now)
        ticking = [n for n in members if self.levels[n].clock.ticks(t - self.given)]
        for n in ticking:
            levels[n] = self._decide(n, t, held, levels, past, posterior)
        for n in reversed(ticking):
            levels[n] = self._draw(n, t, held, levels, posterior)
        return levels

    # The bottom-up sweep

    def _decide(
        self,
        n: int,
        t: int,
        held: Sequence[LevelState],
        now: list[LevelState],
        past: Features | None,
        posterior: Posterior | None,
    ) -> LevelState:
        """Level n with its memory moved on and its gate decided."""
        level, gate = self.levels[n], self.levels[n].gate
        old = held[n]
        if level.reads is not None:
            assert past is not None
            h = self.parts[n].advance(old.h, self.evidence(level, past)[:, 0])
        else:
            h = memo(self._advance)(n, old.h, old.z, old.e) if t > self.given else old.h
        if gate is None:
            return old._replace(h=h, e=None)
        cell = self._gate(n)
        known = tuple(
            map(pooled, self.parts[n].known(self._read(n, h), old.z), self.parts[n].knows)
        )
        g, logit = memo(cell.tick)(old.g, t, known, pooled(old.z, level.state.output))
        if t == self.given:  # nothing to stay with: every level changes
            return old._replace(h=h, g=g, e=None)
        open = now[n - 1].e
        q = self._infer_gate(n, t, old._replace(h=h), held, logit, open, posterior)
        e = pyro.sample(
            sites.site(sites.GATE, n + 1, t), cell.prior(logit, open) if q is None else q
        )
        return old._replace(h=h, g=g, e=memo(_mask)(e))

    def _advance(self, n: int, h: Tensor, z: Tensor, e: Tensor | None) -> Tensor:
        moved = self.parts[n].advance(h, z)
        gate = self.levels[n].gate
        if moved is h or e is None or gate is None or not gate.block_memory:
            return moved
        return self._where(n, e, moved, h)

    def _infer_gate(
        self,
        n: int,
        t: int,
        old: LevelState,
        held: Sequence[LevelState],
        logit: Tensor | Lazy,
        open: Tensor | None,
        posterior: Posterior | None,
    ) -> dist.TorchDistribution | None:
        """The posterior of e from a trial with the context from above as it stood (Eq. 25)."""
        if posterior is None:
            return None
        # Without a level above that may draw anew, the trial is the tick itself and is shared
        # with it through the memo; otherwise its graph would never be used.
        top = n + 1 == len(self.levels)
        final = top or not self.levels[n + 1].clock.ticks(t - self.given)
        with torch.set_grad_enabled(torch.is_grad_enabled() and final):
            c = self._above(n, held)
            joined, _ = memo(self._join)(n, old.h, old.z, c, None)
            h = self._read(n, joined)
            q = self._posterior(n, t, h, c, posterior)
            if q is None:
                return None
        with torch.no_grad():
            change = self.parts[n].prior(h, c)
        assert old.belief is not None
        events = self.levels[n].state.event_dim
        return self._gate(n).infer(
            *(_vector(b, events) for b in (q, change, old.belief)), logit, open
        )

    # The top-down sweep

    def _draw(
        self,
        n: int,
        t: int,
        held: Sequence[LevelState],
        now: list[LevelState],
        posterior: Posterior | None,
    ) -> LevelState:
        """Level n with its state drawn."""
        gate, dynamics = self.levels[n].gate, self.parts[n]
        events = self.levels[n].state.event_dim
        past, old = now[n], held[n]
        c = self._above(n, now)
        joined, h = memo(self._join)(n, past.h, old.z, c, past.e)
        shown = self._read(n, joined)
        q = self._posterior(n, t, shown, c, posterior)
        name = sites.site(sites.STATE, n + 1, t)
        belief: Tensor | Lazy
        draws: dist.TorchDistribution
        if gate is None or t == self.given:
            belief = self._prior(n, shown, c) if q is None else q
            draws = DiagonalNormal(belief, events)
        else:
            assert old.belief is not None and past.e is not None
            fresh = now[n - 1].e if gate.fresh_static else past.e
            if q is None:
                static = old.belief.detach() if gate.detach_static else old.belief
                draws = TemporalMixture(past.e, static, self._prior(n, shown, c), events)
                belief = Deferred(draws.choose, (), old.belief.shape)
            elif gate.fresh_static:
                belief = q if fresh is None else torch.where(over(fresh, events), q, old.belief)
                draws = DiagonalNormal(belief, events)
            else:
                draws = TemporalMixture(past.e, old.belief, q, events)
                belief = draws.parameters
            if fresh is not None and gate.static_sample == "copy":
                draws = Held(draws, old.z, fresh)
        z = pyro.sample(name, draws)
        kept = None
        if gate is not None:
            kept = pyro.sample(sites.site(sites.BELIEF, n + 1, t), Carried(belief, events))
        handed = memo(dynamics.context)(z, self._read(n, h), c)
        return LevelState(z=z, h=h, c=handed, e=past.e, belief=kept, g=past.g)

    def _join(
        self, n: int, h: Tensor, z: Tensor, c: Context, e: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """The memory that this tick's heads see, and the memory that stays."""
        joined = memo(self.parts[n].join)(h, z, c)
        gate = self.levels[n].gate
        if joined is h or e is None or gate is None or not gate.block_memory:
            return joined, joined
        return joined, self._where(n, e, joined, h)

    # Shared by both sweeps

    def _read(self, n: int, memory: Tensor) -> Tensor:
        return memo(self.parts[n].cell.read)(memory)

    def _prior(self, n: int, h: Tensor, c: Context) -> Lazy:
        """The level's prior; a bound computes it for all ticks at once."""
        dynamics = self.parts[n]
        batch = common_shape(
            batch_of(h, self.levels[n].memory.output), *map(batch_of, c, dynamics.receives)
        )
        return Deferred(dynamics.prior, (h, c), (*batch, *self.levels[n].state.packed))

    def _posterior(
        self, n: int, t: int, h: Tensor, c: Context, posterior: Posterior | None
    ) -> Tensor | None:
        if posterior is None:
            return None
        dynamics = self.parts[n]
        return posterior.belief(n, t, dynamics.shown(h, c), dynamics.head)

    def _above(self, n: int, levels: Sequence[LevelState]) -> Context:
        if n + 1 < len(levels):
            return levels[n + 1].c
        return memo(self._zeros)(n, batch_of(levels[n].z, self.levels[n].state.output)[-1])

    def _zeros(self, n: int, batch: int) -> Context:
        like = next(self.parameters())
        return tuple(like.new_zeros(batch, *dims(size)) for size in self.parts[n].receives)

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

    def _where(self, n: int, e: Tensor, new: Tensor, old: Tensor) -> Tensor:
        return torch.where(over(e, len(self.parts[n].cell.dims)), new, old)

    def _gate(self, n: int) -> GateCell:
        cell = self._gates[n]
        assert cell is not None
        return cell


def _place(level: Level) -> tuple[int, bool]:
    """(resolution, whether as a vector) of what a level sees of the frames."""
    own = level.memory.resolution
    output = level.state.output
    if own is None and isinstance(output, Map):
        own = output.resolution
    asked = None if level.reads is None else level.reads.resolution
    return asked or own or 1, level.memory.resolution is None


def _mask(e: Tensor) -> Tensor:
    return e > 0


def _vector(belief: Tensor, events: int) -> Tensor:
    """A packed belief as that of a vector: the sums of its KLs are the same."""
    if events == 1:
        return belief
    mean, std = belief.chunk(2, -events)
    return torch.cat((mean.flatten(-events), std.flatten(-events)), -1)
