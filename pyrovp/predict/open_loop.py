r"""Open-loop prediction: the model continues what its guide has seen.

    context    the guide's trace, posteriors sampled; the model is replayed against it
    beyond     the very same model, now with nothing to replay: priors, sampled at every level
    frames     the mean of the emission, no pixel noise

Latents are stepped one frame at a time and frames are decoded in chunks, so memory does not grow
with the horizon unless the caller keeps the chunks.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

import pyro
import torch
from pyro import poutine
from torch import Tensor

from pyrovp import sites
from pyrovp.checks import check_video
from pyrovp.infer.kl import level_kls
from pyrovp.memo import memo, memoised
from pyrovp.programs import PLATE, Filtering, LatentDynamics
from pyrovp.state import State

__all__ = ["Chunk", "Rollout", "open_loop", "stream"]


class Chunk(NamedTuple):
    """Some consecutive frames of a rollout.

    Args:
        start: The first frame's time.
        frames: Decoded means [B, n, C, H, W].
        changes: e of each level, 1 = ticked and changed, [B, L, n].
        kl: By level, KL of the states at each frame in nats, [B, n]; only inside the context.
    """

    start: int
    frames: Tensor
    changes: Tensor
    kl: dict[int, Tensor]


class Rollout(NamedTuple):
    """A context and its continuation.

    Args:
        reconstruction: Decoded context [B, Tc, C, H, W].
        prediction: Decoded continuation [B, horizon, C, H, W].
        gates: e of each level and frame, 1 = changed (ungated levels: ticked), [B, L, Tc+horizon].
        kl: By level, KL of the states at each context frame in nats, [B, Tc].
    """

    reconstruction: Tensor
    prediction: Tensor
    gates: Tensor
    kl: dict[int, Tensor]


def open_loop(
    model: LatentDynamics,
    guide: Filtering,
    context: Tensor,
    horizon: int,
    *,
    policy: AbstractContextManager[object] | None = None,
) -> Rollout:
    """Predicts `horizon` frames after a context; see `stream` for the arguments."""
    chunks = list(stream(model, guide, context, horizon, policy=policy))
    frames = torch.cat([chunk.frames for chunk in chunks], 1)
    kls = [chunk.kl for chunk in chunks if chunk.kl]
    return Rollout(
        reconstruction=frames[:, : context.shape[1]],
        prediction=frames[:, context.shape[1] :],
        gates=torch.cat([chunk.changes for chunk in chunks], 2),
        kl={level: torch.cat([kl[level] for kl in kls], 1) for level in kls[0]},
    )


def stream(
    model: LatentDynamics,
    guide: Filtering,
    context: Tensor,
    horizon: int,
    *,
    policy: AbstractContextManager[object] | None = None,
    chunk: int = 50,
) -> Iterator[Chunk]:
    """Yields a context's reconstruction (first chunk) and its continuation (the others).

    A tick whose evidence window is not wholly inside the context follows its prior.

    Args:
        model, guide: The two programs.
        context: [B, Tc, C, H, W].
        horizon: Frames to predict, at least 0.
        policy: A handler for the steps beyond the context, such as `HoldStatic()`.
        chunk: Frames decoded at once beyond the context.

    Raises:
        ValueError: For a malformed context, a negative horizon or an empty chunk.
    """
    check_video(context, "context")
    if guide.hierarchy is not model.hierarchy:
        raise ValueError(
            "this guide belongs to another model: the two must share one hierarchy, as in "
            "guides.dlh(model) or Filtering(model.hierarchy)"
        )
    if horizon < 0:
        raise ValueError(f"the horizon is a number of frames, 0 or more, got {horizon}")
    if chunk < 1:
        raise ValueError(f"a chunk is a number of frames, 1 or more, got {chunk}")
    hierarchy, (batch, seen) = model.hierarchy, context.shape[:2]
    with torch.no_grad(), memoised():
        q = poutine.trace(guide).get_trace(context, ends=False)
        # The policy stands outside the replay, so it sees the context's values and changes none.
        with (
            policy or nullcontext(),
            _program(batch),
            poutine.trace() as recorded,
            poutine.replay(trace=q),
        ):
            state = memo(hierarchy.initial)(batch)
            states = []
            for t in range(seen):
                state = hierarchy.step(t, state)
                states.append(state)
        part = _chunk(model, 0, states, _kl_over_time(recorded.trace, q, seen))
    yield part
    for start in range(seen, seen + horizon, chunk):
        states = []
        # A caller's code runs between two chunks: no handler of ours stays open around it.
        with torch.no_grad(), _program(batch), policy or nullcontext():
            for t in range(start, min(start + chunk, seen + horizon)):
                state = hierarchy.step(t, state)
                states.append(state)
            part = _chunk(model, start, states, {})
        yield part


def _program(batch: int) -> AbstractContextManager[object]:
    return pyro.plate(PLATE, batch, dim=-1)


def _chunk(model: LatentDynamics, start: int, states: list[State], kl: dict[int, Tensor]) -> Chunk:
    levels = model.hierarchy.levels
    frames = model.hierarchy.emit([state[0].c for state in states]).mean
    changes = torch.stack(
        [
            torch.stack(
                [
                    _changed(level.clock.ticks(t), now.e, frames)
                    for level, now in zip(levels, state, strict=True)
                ]
            )
            for t, state in enumerate(states, start)
        ]
    )  # [n, L, B]
    return Chunk(start, frames, changes.permute(2, 1, 0), kl)


def _changed(ticks: bool, e: Tensor | None, like: Tensor) -> Tensor:
    batch = like.shape[:1]
    if not ticks or e is None:
        return like.new_full(batch, float(ticks))
    return e.to(like.dtype).expand(batch)  # an intervention may decide for all sequences at once


def _kl_over_time(model: poutine.Trace, guide: poutine.Trace, length: int) -> dict[int, Tensor]:
    """KL of the states by level, [B, T], 0 at frames without a tick."""
    result = {}
    for (kind, level), groups in level_kls(model, guide).items():
        if kind == sites.STATE:
            kl = groups[0].kl.new_zeros(length, groups[0].kl.shape[-1])
            for ticks in groups:
                kl[ticks.t] = ticks.kl
            result[level] = kl.t()
    return dict(sorted(result.items()))
