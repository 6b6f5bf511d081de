r"""One time step of the levels: gates from below, states from above.

bottom-up    h  takes in the last z, or the last frame;  the gate decides e
                                                         (nested: only where e below = 1)
top-down     z  is drawn from its prior, or from what a posterior puts in its place;
             c  is handed down
"""

from collections.abc import Sequence
from typing import Protocol

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor, nn

from pyrovp import sites
from pyrovp.distributions import Carried, DiagonalNormal, Held, TemporalMixture
from pyrovp.gates import GateCell
from pyrovp.lazy import Deferred, Lazy
from pyrovp.levels import Level
from pyrovp.memo import memo
from pyrovp.shapes import common_shape, over
from pyrovp.sizes import batch_of, dims, pooled
from pyrovp.state import Context, LevelState
from pyrovp.wiring import Dynamics

__all__ = ["Posterior", "Sweep"]


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


class Sweep:
    """The step of a hierarchy's levels. It holds no parameters of its own.

    Args:
        levels: Their descriptions, from level 1 upwards.
        parts: Their dynamics.
        gates: Their gates' cells; None for levels without.
        given: Frames before the first one that is modelled.
    """

    def __init__(
        self,
        levels: Sequence[Level],
        parts: Sequence[Dynamics],
        gates: Sequence[GateCell | None],
        given: int,
    ) -> None:
        self.levels = tuple(levels)
        self.parts = tuple(parts)
        self.gates = tuple(gates)
        self.given = given

    def __call__(
        self,
        t: int,
        members: Sequence[int],
        held: Sequence[LevelState],
        taken: Sequence[Tensor | None],
        posterior: Posterior | None,
        now: Sequence[LevelState] | None = None,
    ) -> list[LevelState]:
        """The levels after frame t.

        Args:
            t: The frame.
            members: Indices of the levels that are swept, neighbours, from the lowest up.
            held: All levels after frame t - 1.
            taken: What the memories that read frames see of frame t - 1, [B, ...].
            posterior: What stands in for the priors.
            now: All levels, where those above the members are at t already; None: all members.
        """
        levels = list(held if now is None else now)
        ticking = [n for n in members if self.levels[n].clock.ticks(t - self.given)]
        for n in ticking:
            levels[n] = self._decide(n, t, held, levels, taken[n], posterior)
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
        taken: Tensor | None,
        posterior: Posterior | None,
    ) -> LevelState:
        """Level n with its memory moved on and its gate decided."""
        level, gate = self.levels[n], self.levels[n].gate
        old = held[n]
        if level.reads is not None:
            assert taken is not None
            h = self.parts[n].advance(old.h, taken)
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
        inferred, prior, kept = (_vector(belief, events) for belief in (q, change, old.belief))
        decided = self._gate(n).infer(inferred, prior, kept, logit, open)
        if not isinstance(decided, dist.Distribution):
            gate = self.levels[n].gate
            who = self._gate(n) if gate is None or gate.rule is None else gate.rule
            raise ValueError(
                f"{type(who).__name__}.infer must return a distribution such as Decided(e), got a "
                f"{type(decided).__name__}"
            )
        return decided

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
        dynamics, memory, state = self.parts[n], self.levels[n].memory, self.levels[n].state
        batch = common_shape(batch_of(h, memory.output), *map(batch_of, c, dynamics.receives))
        events = (len(dims(memory.output)), tuple(len(dims(size)) for size in dynamics.receives))
        shape = (*batch, *state.packed)
        return Deferred(dynamics.prior, (h, c), shape, state.event_dim, events)

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
        like = next(self.parts[n].parameters())
        return tuple(like.new_zeros(batch, *dims(size)) for size in self.parts[n].receives)

    def _where(self, n: int, e: Tensor, new: Tensor, old: Tensor) -> Tensor:
        return torch.where(over(e, len(self.parts[n].cell.dims)), new, old)

    def _gate(self, n: int) -> GateCell:
        cell = self.gates[n]
        assert cell is not None
        return cell


def _mask(e: Tensor) -> Tensor:
    return e > 0


def _vector(belief: Tensor, events: int) -> Tensor:
    """A packed belief as that of a vector: the sums of its KLs are the same."""
    if events == 1:
        return belief
    mean, std = belief.chunk(2, -events)
    return torch.cat((mean.flatten(-events), std.flatten(-events)), -1)
