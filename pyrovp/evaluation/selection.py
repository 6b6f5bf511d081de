"""Which of several samples counts: the best by the time mean, for every measure by itself."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from pyrovp.evaluation.batch import Batch
from pyrovp.evaluation.futures import Futures
from pyrovp.evaluation.measures import FrameMeasure
from pyrovp.evaluation.results import Extremes
from pyrovp.metrics import Best, best_of

__all__ = ["best_samples", "extremes", "joined_extremes", "worst_samples"]


def best_samples(scores: Tensor, measure: FrameMeasure) -> Best:
    """The scores of the best sample of every sequence, and which it is.

    Args:
        scores: Of all samples; one whose mean is no number is never selected while another is
            left.
        measure: Says which scores are better.

    Shapes:
        scores: [N, B, horizon]
        returns: scores [B, horizon], chosen [B]
    """
    return _selected(scores, measure.merit(scores.mean(-1, keepdim=True)))


def worst_samples(scores: Tensor, measure: FrameMeasure) -> Best:
    """The same of the worst sample; what is no number is not selected either."""
    return _selected(scores, -measure.merit(scores.mean(-1, keepdim=True)))


def _selected(scores: Tensor, merit: Tensor) -> Best:
    chosen = best_of(merit).chosen
    return Best(scores[chosen, torch.arange(scores.shape[1])], chosen)


def extremes(
    batch: Batch, futures: Futures, scores: Tensor, measure: FrameMeasure, sequences: int
) -> Extremes:
    """The best and the worst sample of the first sequences of a batch, drawn again.

    Args:
        batch: The sequences.
        futures: Theirs.
        scores: The measure's, of all samples [N, B, horizon].
        measure: By which samples are judged.
        sequences: How many sequences, from the first of the batch on.
    """
    best, worst = best_samples(scores, measure), worst_samples(scores, measure)
    count = min(sequences, len(batch.video))
    wanted = {
        name: found.chosen[:count].tolist() for name, found in (("best", best), ("worst", worst))
    }
    frames = _frames_of([*wanted["best"], *wanted["worst"]], futures, count)
    return Extremes(
        measure=measure.name,
        best=frames[:count],
        worst=frames[count:],
        best_sample=wanted["best"],
        worst_sample=wanted["worst"],
        best_score=best.scores.mean(-1)[:count].tolist(),
        worst_score=worst.scores.mean(-1)[:count].tolist(),
    )


def joined_extremes(parts: Sequence[Extremes]) -> Extremes:
    """Those of several batches as one."""

    def every(name: str) -> list[Any]:
        return [value for part in parts for value in getattr(part, name)]

    return Extremes(
        parts[0].measure,
        torch.stack(every("best")),
        torch.stack(every("worst")),
        every("best_sample"),
        every("worst_sample"),
        every("best_score"),
        every("worst_score"),
    )


def _frames_of(samples: Sequence[int], futures: Futures, count: int) -> Tensor:
    """Frames of these samples, sample i being one of sequence i mod count: [len, horizon, ...]."""
    found: dict[int, Tensor] = {}
    for drawn in futures.passes():
        places = [i for i, sample in enumerate(samples) if sample in drawn]
        if not places:
            continue
        # One pass at a time, and of it only the rows that are wanted.
        rows = torch.tensor([
            (samples[i] - drawn.start) * len(futures.context) + i % count for i in places
        ])  # fmt: skip
        chunks = futures.draw(drawn)
        next(chunks)  # the context
        parts = [chunk.frames[rows.to(chunk.frames.device)].cpu() for chunk in chunks]
        found |= dict(zip(places, torch.cat(parts, 1), strict=True))
    return torch.stack([found[i] for i in range(len(samples))])
