r"""The hierarchy: one time step of any mix of clocks, gates, memories and wirings.

A step has two sweeps over the levels whose clocks tick at t:

    bottom-up    h  takes in the last z;  the gate decides e     (nested: only where e below = 1)
    top-down     z  is drawn from its prior, or from what a posterior puts in its place;
                 c  is handed down

The guide is this very walk with posteriors where there is evidence, so a level that is blind, or
a tick whose window leaves the clip, simply follows its prior, and the levels below infer given
that. Sites: `e_{n}_{t}`, `z_{n}_{t}` and, for gated levels, `belief_{n}_{t}`.
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
from pyrovp.distributions.shapes import common_shape
from pyrovp.emission import Emission, FrameModel
from pyrovp.gates import GateCell
from pyrovp.lazy import Deferred, Lazy, stack_frames
from pyrovp.levels import Level
from pyrovp.memo import memo
from pyrovp.state import Context, LevelState, State
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


class Hierarchy(nn.Module):
    """Levels, their wiring, the encoder of frames and the distribution of frames.

    Args:
        levels: From level 1, the fastest, upwards.
        wiring: How they are connected.
        encoder: Features of a frame, [N, C, H, W] -> [N, X], with an attribute `features` (X);
            shared by whatever looks at frames.
        emission: Describes the distribution of frames given the lowest level's context.

    Raises:
        ValueError: If there is no level, clocks do not nest, or level 1 has a gate.

    Attributes:
        levels: The levels' descriptions.
        dynamics: Their networks, in the same order.
        parts: The same as a typed tuple, without the look-ups of a module list: every site of
            every frame asks.
    """

    def __init__(
        self,
        levels: Sequence[Level],
        wiring: Wiring,
        encoder: nn.Module,
        emission: Emission,
    ) -> None:
        super().__init__()
        self.levels = tuple(levels)
        if not self.levels:
            raise ValueError("a hierarchy needs at least one level, got an empty list")
        check_nesting([level.clock for level in self.levels])
        if self.levels[0].gate is not None:
            raise ValueError(
                "level 1 has a gate, but every frame draws its own level 1 (e = 1): "
                "give the gate to level 2 or above"
            )
        self.wiring = wiring
        built: list[Dynamics] = []
        for level in reversed(self.levels):
            built.append(wiring.dynamics(level, built[-1] if built else None))
        self.dynamics = nn.ModuleList(reversed(built))
        self.parts = tuple(reversed(built))
        self._gates = tuple(
            None if level.gate is None else level.gate.cell(dynamics.knows, level.state.size)
            for level, dynamics in zip(self.levels, self.parts, strict=True)
        )
        self.gates = nn.ModuleDict(
            {str(n): cell for n, cell in enumerate(self._gates) if cell is not None}
        )
        self.encoder = encoder
        self.emission: FrameModel = emission.build(sum(built[-1].hands_down))

    def initial(self, batch: int) -> State:
        """The state before frame 0: zeros, for a batch of sequences."""
        like = next(self.parameters())
        return tuple(
            LevelState(
                z=like.new_zeros(batch, level.state.size),
                h=like.new_zeros(batch, level.memory.size),
                c=tuple(like.new_zeros(batch, size) for size in dynamics.hands_down),
                g=self._gate(n).initial(batch, like) if level.gate is not None else None,
            )
            for n, (level, dynamics) in enumerate(zip(self.levels, self.parts, strict=True))
        )

    def step(self, t: int, state: State, posterior: Posterior | None = None) -> State:
        """Draws the latents of frame t.

        Args:
            t: The frame, from 0.
            state: The state after frame t - 1.
            posterior: What stands in for the priors; None: the generative model.
        """
        now = list(state)
        ticking = [n for n, level in enumerate(self.levels) if level.clock.ticks(t)]
        for n in ticking:
            now[n] = self._decide(n, t, state, now, posterior)
        for n in reversed(ticking):
            now[n] = self._draw(n, t, state, now, posterior)
        return tuple(now)

    def emit(self, contexts: Sequence[Context]) -> dist.TorchDistribution:
        """The distribution of the frames, given level 1's context at each; see `Emission`."""
        parts = [stack_frames(part) for part in zip(*contexts, strict=True)]
        leading = common_shape(*(part.shape[:-1] for part in parts))
        return self.emission(torch.cat([part.expand(*leading, -1) for part in parts], -1))

    # The bottom-up sweep

    def _decide(
        self, n: int, t: int, before: State, now: list[LevelState], posterior: Posterior | None
    ) -> LevelState:
        """Level n with its memory moved on and its gate decided."""
        gate = self.levels[n].gate
        past = before[n]
        h = memo(self._advance)(n, past.h, past.z, past.e) if t else past.h
        if gate is None:
            return past._replace(h=h, e=None)
        cell = self._gate(n)
        known = self.parts[n].known(h, past.z)
        g, logit = memo(cell.tick)(past.g, t, known, past.z)
        if t == 0:  # nothing to stay with: every level changes
            return past._replace(h=h, g=g, e=None)
        open = now[n - 1].e
        q = self._infer_gate(n, t, past._replace(h=h), before, logit, open, posterior)
        e = pyro.sample(
            sites.site(sites.GATE, n + 1, t), cell.prior(logit, open) if q is None else q
        )
        return past._replace(h=h, g=g, e=memo(_mask)(e))

    def _advance(self, n: int, h: Tensor, z: Tensor, e: Tensor | None) -> Tensor:
        moved = self.parts[n].advance(h, z)
        gate = self.levels[n].gate
        if moved is h or e is None or gate is None or not gate.block_memory:
            return moved
        return torch.where(e.unsqueeze(-1), moved, h)

    def _infer_gate(
        self,
        n: int,
        t: int,
        past: LevelState,
        before: State,
        logit: Tensor | Lazy,
        open: Tensor | None,
        posterior: Posterior | None,
    ) -> dist.TorchDistribution | None:
        """The posterior of e from a trial with the context from above as it stood (Eq. 25)."""
        if posterior is None:
            return None
        # Without a level above that may draw anew, the trial is the tick itself and is shared
        # with it through the memo; otherwise its graph would never be used.
        final = n + 1 == len(self.levels) or not self.levels[n + 1].clock.ticks(t)
        with torch.set_grad_enabled(torch.is_grad_enabled() and final):
            c = self._above(n, before)
            h, _ = memo(self._join)(n, past.h, past.z, c, None)
            q = self._posterior(n, t, h, c, posterior)
            if q is None:
                return None
        with torch.no_grad():
            change = self.parts[n].prior(h, c)
        assert past.belief is not None
        return self._gate(n).infer(q, change, past.belief, logit, open)

    # The top-down sweep

    def _draw(
        self, n: int, t: int, before: State, now: list[LevelState], posterior: Posterior | None
    ) -> LevelState:
        """Level n with its state drawn."""
        gate, dynamics = self.levels[n].gate, self.parts[n]
        past, held = now[n], before[n]
        c = self._above(n, tuple(now))
        joined, h = memo(self._join)(n, past.h, held.z, c, past.e)
        q = self._posterior(n, t, joined, c, posterior)
        name = sites.site(sites.STATE, n + 1, t)
        belief: Tensor | Lazy
        draws: dist.TorchDistribution
        if gate is None or t == 0:
            belief = self._prior(n, joined, c) if q is None else q
            draws = DiagonalNormal(belief)
        else:
            assert held.belief is not None and past.e is not None
            fresh = now[n - 1].e if gate.fresh_static else past.e
            if q is None:
                static = held.belief.detach() if gate.detach_static else held.belief
                draws = TemporalMixture(past.e, static, self._prior(n, joined, c))
                belief = Deferred(draws.choose, (), held.belief.shape)
            elif gate.fresh_static:
                belief = q if fresh is None else _where(fresh, q, held.belief)
                draws = DiagonalNormal(belief)
            else:
                draws = TemporalMixture(past.e, static=held.belief, change=q)
                belief = draws.parameters
            if fresh is not None and gate.static_sample == "copy":
                draws = Held(draws, held.z, fresh)
        z = pyro.sample(name, draws)
        kept = None
        if gate is not None:
            kept = pyro.sample(sites.site(sites.BELIEF, n + 1, t), Carried(belief))
        handed = memo(dynamics.context)(z, h, c)
        return LevelState(z=z, h=h, c=handed, e=past.e, belief=kept, g=past.g)

    def _join(
        self, n: int, h: Tensor, z: Tensor, c: Context, e: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """The memory that this tick's heads see, and the memory that stays."""
        joined = memo(self.parts[n].join)(h, z, c)
        gate = self.levels[n].gate
        if joined is h or e is None or gate is None or not gate.block_memory:
            return joined, joined
        return joined, torch.where(e.unsqueeze(-1), joined, h)

    # Shared by both sweeps

    def _prior(self, n: int, h: Tensor, c: Context) -> Lazy:
        """The level's prior; a bound computes it for all ticks at once."""
        batch = common_shape(h.shape[:-1], *(part.shape[:-1] for part in c))
        packed = (*batch, 2 * self.levels[n].state.size)
        return Deferred(self.parts[n].prior, (h, c), packed)

    def _posterior(
        self, n: int, t: int, h: Tensor, c: Context, posterior: Posterior | None
    ) -> Tensor | None:
        if posterior is None:
            return None
        dynamics = self.parts[n]
        shown = dynamics.shown(h, c)
        return posterior.belief(n, t, shown, dynamics.head)

    def _above(self, n: int, state: State) -> Context:
        if n + 1 < len(state):
            return state[n + 1].c
        return memo(self._zeros)(n, state[n].z.shape[-2])

    def _zeros(self, n: int, batch: int) -> Context:
        like = next(self.parameters())
        return tuple(like.new_zeros(batch, size) for size in self.parts[n].receives)

    def _gate(self, n: int) -> GateCell:
        cell = self._gates[n]
        assert cell is not None
        return cell


def _mask(e: Tensor) -> Tensor:
    return e > 0


def _where(mask: Tensor, new: Tensor, old: Tensor) -> Tensor:
    return torch.where(mask.unsqueeze(-1), new, old)
