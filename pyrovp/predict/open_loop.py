r"""Open-loop prediction: the model continues what its guide has seen.

    context    the guide's trace, posteriors sampled; the model is replayed against it
    beyond     the very same model, now with nothing to replay: priors, sampled at every level
    frames     the mean of the emission, no pixel noise

Latents are stepped one frame at a time and frames are decoded in chunks, so memory does not grow
with the horizon unless the caller keeps the chunks.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import pyro
import torch
import torch.nn.functional as F
from pyro import poutine
from torch import Tensor, nn

from pyrovp.checks import check_video
from pyrovp.infer.kl import kl_over_time
from pyrovp.memo import memo, memoised
from pyrovp.programs import PLATE, LatentDynamics, check_pair
from pyrovp.state_space import StateSpace

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

    A model that starts from given frames models the frames after them: G of the context's Tc are
    only looked at.

    Args:
        reconstruction: Decoded context [B, Tc - G, C, H, W].
        prediction: Decoded continuation [B, horizon, C, H, W].
        gates: e of each level and frame, 1 = changed (ungated levels: ticked), [B, L, Tc+horizon];
            0 at given frames.
        kl: By level, KL of the states at each context frame in nats, [B, Tc]; 0 at given ones.
        given: G.
    """

    reconstruction: Tensor
    prediction: Tensor
    gates: Tensor
    kl: dict[int, Tensor]
    given: int = 0


def open_loop(
    model: LatentDynamics[StateSpace],
    guide: nn.Module,
    context: Tensor,
    horizon: int,
    *,
    policy: AbstractContextManager[object] | None = None,
) -> Rollout:
    """Predicts `horizon` frames after a context.

    Args:
        model, guide: The two programs.
        context: [B, Tc, C, H, W].
        horizon: Frames to predict, at least 0.
        policy: A handler for the steps beyond the context, such as `HoldStatic()`.

    Raises:
        ValueError: As `stream`, of which this is all chunks joined.

    Example:
        >>> from pyrovp import guides, models
        >>> model = models.rssm(state=2, memory=8, hidden=8, resolution=16, width=0.1)
        >>> rollout = open_loop(model, guides.rssm(model), torch.rand(2, 3, 1, 16, 16), horizon=5)
        >>> rollout.prediction.shape
        torch.Size([2, 5, 1, 16, 16])
    """
    first, *rest = stream(model, guide, context, horizon, policy=policy)
    length, levels = context.shape[1], len(model.hierarchy.levels)
    missing = first.start
    kl = {level: first.kl.get(level) for level in range(1, levels + 1)}
    return Rollout(
        reconstruction=first.frames,
        prediction=torch.cat([chunk.frames for chunk in rest], 1) if rest else context[:, length:],
        gates=F.pad(torch.cat([chunk.changes for chunk in (first, *rest)], 2), (missing, 0)),
        kl={
            level: context.new_zeros(len(context), length) if ticks is None else ticks
            for level, ticks in kl.items()
        },
        given=missing,
    )


def stream(
    model: LatentDynamics[StateSpace],
    guide: nn.Module,
    context: Tensor,
    horizon: int,
    *,
    policy: AbstractContextManager[object] | None = None,
    chunk: int = 50,
) -> Iterator[Chunk]:
    """Yields a context's reconstruction (first chunk) and its continuation (the others).

    The first chunk starts after the frames that the model takes as given; it may be empty. A tick
    whose evidence window is not wholly inside the context follows its prior.

    Args:
        model, guide: The two programs.
        context: [B, Tc, C, H, W].
        horizon: Frames to predict, at least 0.
        policy: A handler for the steps beyond the context, such as `HoldStatic()`.
        chunk: Frames decoded at once beyond the context.

    Raises:
        ValueError: At the call, for a malformed or too short context, a guide of another model, a
            negative horizon, an empty chunk or a policy that is no handler.

    Example:
        >>> from pyrovp import guides, models
        >>> model = models.rssm(state=2, memory=8, hidden=8, resolution=16, width=0.1)
        >>> context = torch.rand(2, 3, 1, 16, 16)
        >>> for part in stream(model, guides.rssm(model), context, horizon=5, chunk=4):
        ...     print(part.start, part.frames.shape[1])
        0 3
        3 4
        7 1
    """
    check_pair(model, guide)
    check_video(context, "context")
    if not isinstance(horizon, int) or horizon < 0:
        raise ValueError(f"the horizon is a whole number of frames, 0 or more, got {horizon!r}")
    if not isinstance(chunk, int) or chunk < 1:
        raise ValueError(f"a chunk is a whole number of frames, 1 or more, got {chunk!r}")
    if policy is not None and not isinstance(policy, AbstractContextManager):
        raise ValueError(f"a policy is a handler such as HoldStatic() or Jumpy(), got {policy!r}")
    model.hierarchy.takes(context.shape[1])
    return _chunks(model.hierarchy, guide, context, horizon, policy, chunk)


def _chunks(
    hierarchy: StateSpace,
    guide: nn.Module,
    context: Tensor,
    horizon: int,
    policy: AbstractContextManager[object] | None,
    chunk: int,
) -> Iterator[Chunk]:
    """See `stream`."""
    batch, seen = context.shape[:2]
    given = hierarchy.takes(seen)
    with torch.no_grad(), memoised():
        states, part = _start(hierarchy, context), None
        if given < seen:
            q = poutine.trace(guide).get_trace(context, ends=False)
            # The policy stands outside the replay, so it sees the context's values and changes
            # none.
            with (
                policy or nullcontext(),
                _program(batch),
                poutine.trace() as recorded,
                poutine.replay(trace=q),
            ):
                states, frames = hierarchy.follow(context, range(given, seen))
            kl = kl_over_time(recorded.trace, q, seen)
            part = _chunk(hierarchy, given, states, frames.mean, kl)
    yield part or _nothing(hierarchy, context)
    state = states[-1]
    for start in range(seen, seen + horizon, chunk):
        states = []
        # A caller's code runs between two chunks: no handler of ours stays open around it.
        with torch.no_grad(), _program(batch), policy or nullcontext():
            for t in range(start, min(start + chunk, seen + horizon)):
                state = hierarchy.step(t, state)
                states.append(state)
            part = _chunk(hierarchy, start, states, hierarchy.emit(states).mean, {})
        yield part


def _start(hierarchy: StateSpace, context: Tensor) -> list[Any]:
    return [memo(hierarchy.begin)(context)]


def _program(batch: int) -> AbstractContextManager[object]:
    return pyro.plate(PLATE, batch, dim=-1)


def _chunk(
    hierarchy: StateSpace, start: int, states: list[Any], frames: Tensor, kl: dict[int, Tensor]
) -> Chunk:
    changes = torch.stack(
        [
            torch.stack([_over(e, frames) for e in hierarchy.changes(t, state)])
            for t, state in enumerate(states, start)
        ]
    )  # [n, L, B]
    return Chunk(start, frames, changes.permute(2, 1, 0), kl)


def _nothing(hierarchy: StateSpace, context: Tensor) -> Chunk:
    """The reconstruction of a context that is given as a whole."""
    none = context[:, :0]
    return Chunk(context.shape[1], none, none.new_zeros(len(none), len(hierarchy.levels), 0), {})


def _over(e: Tensor | None, frames: Tensor) -> Tensor:
    batch = frames.shape[:1]
    # An intervention may decide for all sequences at once.
    return frames.new_zeros(batch) if e is None else e.to(frames.dtype).expand(batch)
