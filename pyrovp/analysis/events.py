r"""Do gates open when something happens? Scores against a generator's true change times.

event F1      inferred changes matched one to one with true ones, `tolerance` frames apart
mean levels   L̄ = mean over sequences of (1/T) Σ_t Σ_n e_t^n
predicted     mean of p(e_t = 1) where the inferred e_t is 1, and where it is 0
"""

import math
from typing import Any, NamedTuple

import torch
from pyro import poutine
from torch import Tensor, nn

from pyrovp import sites
from pyrovp.infer.kl import kl_over_time
from pyrovp.lazy import force
from pyrovp.memo import memoised
from pyrovp.programs import LatentDynamics
from pyrovp.state_space import StateSpace

__all__ = [
    "Gates",
    "chance_f1",
    "event_f1",
    "infer_gates",
    "mean_levels",
    "predicted_change",
    "report",
]


class Gates(NamedTuple):
    """The gates of clips, inferred from all their frames.

    Args:
        e: 1 = the level changed (ungated levels: ticked), [B, L, T]; the first modelled frame
            always changes, and frames that are given, or only lead the guide, do not.
        probability: p(e = 1) of the prior before the frame was seen, nan where it has none
            (the first modelled frame, ungated levels); [B, L, T].
        kl: KL of the states in nats, [B, L, T].
    """

    e: Tensor
    probability: Tensor
    kl: Tensor


@torch.no_grad()
def infer_gates(model: LatentDynamics[StateSpace], guide: nn.Module, video: Tensor) -> Gates:
    """The gates that the guide infers, and what the prior had expected.

    Args:
        model, guide: The two programs.
        video: Whole clips [B, T, C, H, W].
    """
    with memoised():
        q = poutine.trace(guide).get_trace(video)
        p = poutine.trace(poutine.replay(model, trace=q)).get_trace(video)
    (batch, length), levels = video.shape[:2], model.hierarchy.levels
    frames = model.scored(length)
    e = video.new_zeros(batch, len(levels), length)
    for n, level in enumerate(levels):
        for t in frames:
            e[:, n, t] = float(level.clock.ticks(t - frames.start))
    probability = torch.full_like(e, torch.nan)
    for name, node in p.nodes.items():
        where = sites.parse(name)
        if where is None or where.t not in frames:
            continue
        at = (slice(None), where.level - 1, where.t)
        if where.kind == sites.GATE:
            e[at] = node["value"]
            logit = getattr(node["fn"], "raw", None)
            if logit is not None:
                probability[at] = force(logit).sigmoid()
        elif where.kind == sites.LOGIT_GATE:
            e[at] = (node["value"] > 0).to(e.dtype)
            probability[at] = node["fn"].logits.sigmoid()
    kl = torch.zeros_like(e)
    for n, ticks in kl_over_time(p, q, length).items():
        kl[:, n - 1] = ticks
    return Gates(e, probability, kl)


def event_f1(inferred: Tensor, true: Tensor, tolerance: int = 1) -> float:
    """F1 of inferred events against true ones, over all sequences.

    An event is matched with the earliest free true one within the tolerance, so a gate that is
    always open gains no precision from it.

    Args:
        inferred, true: Whether there is an event at a frame, [B, T].
        tolerance: Largest distance of a match, in frames.

    Returns:
        2 · matches / (inferred + true); nan where there is neither.
    """
    matches = 0
    for mine, theirs in zip(inferred, true, strict=True):
        free = torch.nonzero(theirs > 0).flatten().tolist()
        for t in torch.nonzero(mine > 0).flatten().tolist():
            while free and free[0] < t - tolerance:
                free.pop(0)
            if free and free[0] <= t + tolerance:
                free.pop(0)
                matches += 1
    total = int((inferred > 0).sum() + (true > 0).sum())
    return 2 * matches / total if total else float("nan")


def chance_f1(
    inferred: Tensor, true: Tensor, tolerance: int = 1, draws: int = 20, seed: int = 0
) -> float:
    """The mean F1 of a gate that opens as often as the inferred one, at random frames.

    Args:
        inferred, true: Changes, 0 or 1, [B, T].
        tolerance: See `event_f1`.
        draws: How many random gates the mean is taken over.
        seed: Of their frames.
    """
    generator = torch.Generator().manual_seed(seed)
    rate = (inferred > 0).double().mean().item()
    scores = [
        event_f1(torch.rand(true.shape, generator=generator) < rate, true, tolerance)
        for _ in range(draws)
    ]
    return sum(scores) / draws


def mean_levels(e: Tensor) -> float:
    """L̄, the mean number of levels that change at a frame; e is [B, L, T].

    Reference:
        Long-Horizon Video Prediction Using a Dynamic Latent Hierarchy (Zakharov, Guo, Fountas,
        2022), Table 2.
    """
    return e.sum(1).mean().item()


def predicted_change(gates: Gates, level: int) -> tuple[float, float]:
    """Mean p(e = 1) where the level changed, and where it stayed.

    Reference:
        As above, Table 3.

    Args:
        gates: Of `infer_gates`.
        level: The gated level, from 1.
    """
    e, p = gates.e[:, level - 1], gates.probability[:, level - 1]
    known = ~p.isnan()
    if level > 2:  # a gate that the one below holds shut has nothing to predict
        known &= gates.e[:, level - 2] > 0
    changed, stayed = p[known & (e > 0)], p[known & (e == 0)]
    return changed.mean().item(), stayed.mean().item()


def report(gates: Gates, change: Tensor) -> dict[str, Any]:
    """All of the above for each gated level, as JSON holds it: None where nothing is defined.

    Args:
        gates: Of `infer_gates`.
        change: True change times [B, T].
    """
    true = change[:, 1:].cpu()
    result: dict[str, Any] = {
        "mean_levels": mean_levels(gates.e),
        "true_change_rate": true.double().mean().item(),
        # Two levels and a gate that opens at frame 0 and at the true changes.
        "perfect_mean_levels": 1 + (1 + true.double().sum(1).mean().item()) / change.shape[1],
    }
    for level in range(1, gates.e.shape[1] + 1):
        if gates.probability[:, level - 1].isnan().all():
            continue
        e = gates.e[:, level - 1, 1:].cpu()
        changed, stayed = predicted_change(gates, level)
        result[f"e_{level}"] = {
            "rate": e.mean().item(),
            "f1": _defined(event_f1(e, true)),
            "chance_f1": _defined(chance_f1(e, true)),
            "predicted_where_changed": _defined(changed),
            "predicted_where_static": _defined(stayed),
        }
    return result


def _defined(value: float) -> float | None:
    return None if math.isnan(value) else value
