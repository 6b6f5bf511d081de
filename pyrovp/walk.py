r"""Along a given video: level by level where the frames alone move the memories.

A level whose memory reads past frames, which has no gate and ticks at every frame (HVRNN, SVG) is
known for the whole clip once its features are: its cell runs over all frames, its heads see all
ticks at once, and only the draws are made one by one. Other levels walk frame by frame. Contexts
only run downwards, so the levels are taken from the top in blocks of either kind:

    frame by frame     for t: sweep(levels of the block)
    level by level     h = cell over all frames;  beliefs = head([h, c]);  for t: z_t ~ beliefs_t

Both orders draw the same: `Hierarchy.step`, which generates, is the frame-by-frame one.
"""

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

import pyro
from torch import Tensor

from pyrovp import sites
from pyrovp.distributions import DiagonalNormal
from pyrovp.evidence import Features, before, encode
from pyrovp.lazy import Deferred, Table, stack_frames
from pyrovp.memo import memo
from pyrovp.shapes import common_shape
from pyrovp.sizes import Size, batch_of, dims
from pyrovp.state import Context, LevelState, State
from pyrovp.sweep import Posterior

if TYPE_CHECKING:
    from pyrovp.hierarchy import Hierarchy

__all__ = ["walk"]


class _Column(NamedTuple):
    """A level along the video.

    Args:
        states: After each frame.
        contexts: What it hands down, as sequences, where they were made as such.
    """

    states: list[LevelState]
    contexts: Context | None = None


def walk(
    hierarchy: "Hierarchy", video: Tensor, frames: range, posterior: Posterior | None = None
) -> tuple[list[State], Context]:
    """The states of consecutive frames, each after the true one before, and level 1's contexts.

    Of a level that was known for the whole clip only the last state holds the memory.

    Args:
        hierarchy: The levels.
        video: [B, T, C, H, W].
        frames: From `hierarchy.given` on.
        posterior: What stands in for the priors.

    Shapes:
        contexts: [..., B, len(frames), *dims(size)] each
    """
    start: State = memo(hierarchy.begin)(video)
    past: Features | None = None
    if hierarchy.looks:
        past = before(memo(encode)(hierarchy.encoder, video), frames)
    columns: dict[int, _Column] = {}
    order = reversed(range(len(hierarchy.levels)))
    for known, members in groupby(order, lambda n: _known_ahead(hierarchy, n)):
        if known:
            for n in members:
                columns[n] = _level_by_level(
                    hierarchy, n, video, frames, start, columns, posterior
                )
        else:
            block = sorted(members)
            columns |= _frame_by_frame(hierarchy, block, frames, start, past, columns, posterior)
    states = [
        start._replace(levels=tuple(columns[n].states[i] for n in range(len(columns))))
        for i in range(len(frames))
    ]
    contexts = columns[0].contexts
    if contexts is None:
        contexts = _stacked(hierarchy, 0, columns)
    return states, contexts


def _known_ahead(hierarchy: "Hierarchy", n: int) -> bool:
    level = hierarchy.levels[n]
    return level.reads is not None and level.gate is None and level.clock.period == 1


def _frame_by_frame(
    hierarchy: "Hierarchy",
    members: Sequence[int],
    frames: range,
    start: State,
    past: Features | None,
    above: dict[int, _Column],
    posterior: Posterior | None,
) -> dict[int, _Column]:
    columns: dict[int, _Column] = {n: _Column([]) for n in members}
    held: Sequence[LevelState] = start.levels
    look = any(hierarchy.levels[n].reads is not None for n in members)
    for i, t in enumerate(frames):
        now = list(held)
        for n, column in above.items():
            now[n] = column.states[i]
        seen = before(past, range(i + 1, i + 2)) if look and past is not None else None
        held = hierarchy.sweep(t, members, held, seen, posterior, now)
        for n in members:
            columns[n].states.append(held[n])
    return columns


def _level_by_level(
    hierarchy: "Hierarchy",
    n: int,
    video: Tensor,
    frames: range,
    start: State,
    above: dict[int, _Column],
    posterior: Posterior | None,
) -> _Column:
    level, part = hierarchy.levels[n], hierarchy.parts[n]
    # What is made here of the same objects is the same object in both programs: see `memo`.
    seen = memo(_seen)(hierarchy, n, video, frames)
    if n + 1 < len(hierarchy.levels):
        c = above[n + 1].contexts or _stacked(hierarchy, n + 1, above)
    else:
        c = memo(_nothing)(part.receives, seen)
    h, memory = memo(part.cell.run)(start.levels[n].h, seen)
    events = level.state.event_dim
    q = None
    if posterior is not None:
        q = posterior.beliefs(n, part.shown(h, c), part.head)
    if q is None:
        lead = [batch_of(h, level.memory.output), *map(batch_of, c, part.receives)]
        q_or_p: Tensor | Deferred = Deferred(
            part.prior, (h, c), (*common_shape(*lead), *level.state.packed)
        )
    else:
        q_or_p = q
    drawn = [
        pyro.sample(sites.site(sites.STATE, n + 1, t), DiagonalNormal(row, events))
        for t, row in zip(frames, Table(q_or_p, -1 - events).rows(), strict=True)
    ]
    z = memo(stack_frames)(tuple(drawn), events)
    contexts = memo(part.context)(z, h, c)
    rows = memo(_rows)(contexts, part.hands_down)
    # The memories between are nobody's business: an empty one would be refused by a cell.
    memories = [memory.new_empty(0)] * (len(frames) - 1) + [memory]
    states = [
        LevelState(z=z_t, h=h_t, c=row)
        for z_t, h_t, row in zip(drawn, memories, rows, strict=True)
    ]
    return _Column(states, contexts)


def _seen(hierarchy: "Hierarchy", n: int, video: Tensor, frames: range) -> Tensor:
    """What a memory takes in at these frames."""
    features = memo(encode)(hierarchy.encoder, video)
    return hierarchy.evidence(hierarchy.levels[n], before(features, frames))


def _nothing(receives: Sequence[Size], like: Tensor) -> Context:
    """What the top level receives."""
    return tuple(like.new_zeros(1, 1, *dims(size)) for size in receives)


def _rows(contexts: Context, sizes: Sequence[Size]) -> list[Context]:
    """Contexts of all frames, frame by frame."""
    times = [-1 - len(dims(size)) for size in sizes]
    rows = (part.unbind(time) for part, time in zip(contexts, times, strict=True))
    return list(zip(*rows, strict=True))


def _stacked(hierarchy: "Hierarchy", n: int, columns: dict[int, _Column]) -> Context:
    """The contexts that a level handed down frame by frame, as sequences."""
    parts = zip(*(state.c for state in columns[n].states), strict=True)
    sizes = hierarchy.parts[n].hands_down
    return tuple(
        memo(stack_frames)(tuple(part), len(dims(size)))
        for part, size in zip(parts, sizes, strict=True)
    )
