r"""Which latent channels carry information? The KL of each, read from two traces.

    KL_c = mean over sequences and ticks of Σ_ij KL[q(z_tcij) ‖ p(z_tcij)]

in nats a frame: a channel is one feature, at all positions of a map, or one component of a vector.
A tick at which the level was closed counts as 0, a mixture as its chosen component. A channel is
active above 0.01 nats, and maximally so above 0.15.

The paper does not say how its KLs are "normalized". Ours are normalised over time. Over positions
they cannot be: its bound, 883 nats for ten frames, allows its 164,352 units at most 0.0005 nats
each, and none would be active.

Reference:
    Improved Conditional VRNNs for Video Prediction (Castrejon, Ballas, Courville, 2019),
    Section 5.1.2 and Figure 4, https://arxiv.org/abs/1904.12165.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from pyro import poutine
from pyro.poutine import Trace
from torch import Tensor
from torch.distributions import Independent, Normal

from pyrovp import sites
from pyrovp.distributions import DiagonalNormal, Held, TemporalMixture
from pyrovp.infer.kl import latents
from pyrovp.memo import memoised

__all__ = ["ACTIVE", "MAXIMAL", "channel_kls", "channel_report", "infer_channels"]

ACTIVE = 0.01
"""Nats a frame above which a channel is active."""

MAXIMAL = 0.15
"""Nats a frame above which a channel is maximally active."""


@torch.no_grad()
def infer_channels(
    model: Callable[..., Any], guide: Callable[..., Any], video: Tensor
) -> dict[int, Tensor]:
    """KL per channel of each level, of clips that are inferred from all their frames.

    The networks are used as they are: call `eval()` of both first where BatchNorm should use its
    running statistics.

    Args:
        model, guide: The two programs.
        video: Whole clips [B, T, C, H, W].

    Returns:
        See `channel_kls`: of several batches, concatenated along dimension 0.
    """
    with memoised():
        q = poutine.trace(guide).get_trace(video)
        p = poutine.trace(poutine.replay(model, trace=q)).get_trace(video)
    return channel_kls(p, q)


def channel_kls(model: Trace, guide: Trace) -> dict[int, Tensor]:
    """KL per channel of each level's states, means over ticks.

    Args:
        model: Trace of the model, replayed against the guide's.
        guide: Trace of the guide.

    Returns:
        By level, from 1 on, nats a frame of each sequence and channel.

    Shapes:
        returns: {level: [B, C]}, C being Z for vectors

    Raises:
        ValueError: If a state is not Gaussian, or the model lacks one of the guide's.
    """
    totals: dict[int, Tensor] = {}
    ticks: dict[int, int] = {}
    for name, node in latents(guide):
        where = sites.parse(name)
        if where is None or where.kind != sites.STATE:
            continue
        if name not in model.nodes:
            raise ValueError(
                f"the model's trace has no site {name}, which the guide's has; trace a model and "
                f"a guide that belong together, on the same video"
            )
        kl = _per_channel(name, node["fn"], model.nodes[name]["fn"])
        seen = where.level in totals
        totals[where.level] = totals[where.level] + kl if seen else kl
        ticks[where.level] = ticks.get(where.level, 0) + 1
    return {level: total / ticks[level] for level, total in sorted(totals.items())}


def channel_report(kl: Mapping[int, Tensor]) -> dict[str, Any]:
    """How many channels of each level are active, as JSON holds it.

    Args:
        kl: KL per level, sequence and channel, of `infer_channels`.

    Shapes:
        kl: {level: [B, C]}

    Example:
        >>> kl = torch.tensor([[0.0, 0.2, 0.04], [0.0, 0.6, 0.0]])
        >>> found = channel_report({1: kl})["z_1"]
        >>> found["channels"], found["active"], found["maximal"], round(found["mean"], 3)
        (3, 2, 1, 0.14)
    """
    report: dict[str, Any] = {"active_above": ACTIVE, "maximal_above": MAXIMAL}
    for level, values in kl.items():
        channels = values.detach().double().mean(0).cpu()
        report[f"z_{level}"] = {
            "channels": len(channels),
            "active": int((channels > ACTIVE).sum()),
            "maximal": int((channels > MAXIMAL).sum()),
            "mean": channels.mean().item(),
            "kl": channels.tolist(),
        }
    return report


def _per_channel(name: str, q: Any, p: Any) -> Tensor:
    """KL[q ‖ p] of a state, summed over positions; [B, C]."""
    masks = [d.open for d in (q, p) if isinstance(d, Held)]
    (q_mean, q_std), (p_mean, p_std) = _moments(name, q), _moments(name, p)
    ratio, shift = q_std / p_std, (q_mean - p_mean) / p_std
    units = 0.5 * (ratio.square() + shift.square() - 1) - ratio.log()
    positions = len(q.event_shape) - 1
    kl = units.sum(tuple(range(-positions, 0))) if positions else units
    for open in masks:
        kl = torch.where(open.unsqueeze(-1), kl, 0.0)
    return kl


def _moments(name: str, d: Any) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each unit, [B, C, ...]."""
    if isinstance(d, Held):
        return _moments(name, d.base)
    if isinstance(d, TemporalMixture):
        return _moments(name, d.component)
    stock = isinstance(d, Independent) and isinstance(d.base_dist, Normal)
    if not (stock or isinstance(d, DiagonalNormal)):
        raise ValueError(
            f"{name} is drawn from a {type(d).__name__}, but a channel's KL is known for Gaussian "
            f"states [C] or [C, r, r] only: DiagonalNormal, or Normal(...).to_event(1)"
        )
    return d.mean, d.stddev
