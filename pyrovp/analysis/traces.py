r"""Operations on what a guide inferred: draw it, edit it, and let the model decode it.

    trace = infer(guide, video)         z, e ~ q(· | x)
    frames = decode(model, video, trace)       E[x | z, e], the model replayed against the trace

Between the two lines a trace may be edited. A site that is taken out is drawn from the prior when
the model is replayed: given everything above and before it, also what was put in its place there.

- `infer(..., blind={n})`: level n follows its prior *while* the others infer, given what it drew.
- `without(trace, n)`: level n is taken out of a finished trace; nothing re-infers.
- `exchanged(trace, n, order)`: level n's part of one sequence is put into another.

A level's beliefs belong to it: left in, they would hand its posterior on to the model.
"""

from collections.abc import Callable, Collection, Sequence
from typing import Any

import pyro
import torch
from pyro import poutine
from pyro.poutine import Trace
from torch import Tensor, nn

from pyrovp import sites
from pyrovp.programs import PLATE, LatentDynamics
from pyrovp.state_space import StateSpace

__all__ = ["decode", "edited", "exchanged", "infer", "replayed", "without"]

Model = LatentDynamics[StateSpace]


@torch.no_grad()
def infer(guide: nn.Module, video: Tensor, *, blind: Collection[int] = frozenset()) -> Trace:
    """What the guide draws for whole clips.

    Args:
        guide: A model's guide.
        video: [B, T, C, H, W].
        blind: Levels (from 1) that follow their prior while the others infer given that, the
            papers' "level reset".
    """
    return poutine.trace(guide).get_trace(video, blind=frozenset(blind))


@torch.no_grad()
def decode(model: Model, video: Tensor, trace: Trace) -> Tensor:
    """Means of the frames, given a trace's latents: [B, n, C, H, W].

    Args:
        model: The model; what the trace lacks it draws from its prior.
        video: The clips, for what the model takes as given or reads of the frame before.
        trace: What `infer` returned, edited or not.
    """
    frames = model.scored(video.shape[1])
    with pyro.plate(PLATE, len(video), dim=-1), poutine.replay(trace=trace):
        return model.hierarchy.follow(video, frames)[1].mean


@torch.no_grad()
def replayed(model: Model, video: Tensor, trace: Trace) -> Trace:
    """The model's own trace under those latents: its distributions, for KLs and entropies."""
    return poutine.trace(poutine.replay(model, trace=trace)).get_trace(video)


def edited(trace: Trace, edit: Callable[[sites.Site, Tensor], Tensor | None]) -> Trace:
    """A copy of a trace with other values at its levels' sites.

    Args:
        trace: Left as it is.
        edit: Given a site and its value [..., B, *event]; returns the value to put there, or None
            to take the site out.
    """
    copy = Trace()
    for name, node in trace.nodes.items():
        where = sites.parse(name)
        if where is None or node["type"] != "sample":
            copy.add_node(name, **node)
            continue
        value = edit(where, node["value"])
        if value is not None:
            copy.add_node(name, **{**node, "value": value})
    return copy


def without(trace: Trace, level: int, *, gates: bool = False) -> Trace:
    """A trace whose `level` has no states (and no beliefs): the model draws them.

    Args:
        trace: Left as it is.
        level: From 1.
        gates: Whether its gates go too; otherwise it changes when it was inferred to.
    """
    kept = () if gates else (sites.GATE, sites.LOGIT_GATE)

    def edit(where: sites.Site, value: Tensor) -> Tensor | None:
        return value if where.level != level or where.kind in kept else None

    return edited(trace, edit)


def exchanged(trace: Trace, level: int, order: Sequence[int]) -> Trace:
    """A trace in which sequence i has `level`'s states, beliefs and gates of sequence order[i].

    Args:
        trace: Left as it is.
        level: From 1.
        order: Whose part each sequence gets, as indices into the batch.
    """

    def edit(where: sites.Site, value: Tensor) -> Tensor:
        if where.level != level:
            return value
        node = trace.nodes[sites.site(*where)]
        batch = value.dim() - _event_dim(node) - 1
        return value.index_select(batch, torch.as_tensor(order, device=value.device))

    return edited(trace, edit)


def _event_dim(node: dict[str, Any]) -> int:
    return len(node["fn"].event_shape)
