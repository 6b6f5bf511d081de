"""All batches of an evaluation as one: the table, the horizons and the figures of whole clips."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pyrovp.evaluation.batch import Part
from pyrovp.evaluation.clips import ClipMeasure, Conclusion
from pyrovp.evaluation.measures import FrameMeasure
from pyrovp.evaluation.results import Extremes, Films, Results
from pyrovp.evaluation.scorer import Scores
from pyrovp.evaluation.selection import joined_extremes
from pyrovp.metrics import Absent, Protocol, metrics_table
from pyrovp.metrics.horizon import EffectiveHorizon, effective_horizon

__all__ = ["Scored", "joined"]


@dataclass(frozen=True)
class Scored:
    """Of one batch: one score for each sequence and frame, and all else that it left.

    Args:
        scores: By row and measure.
        part: Without its scores.
        extremes: The best and worst samples of its first sequences, where they are shown.

    Shapes:
        scores: [B, horizon]
    """

    scores: dict[str, Scores]
    part: Part
    extremes: Extremes | None


def joined(
    batches: Sequence[Scored],
    protocol: Protocol,
    measures: Sequence[FrameMeasure],
    clip_measures: Sequence[ClipMeasure],
    gated: tuple[int, ...],
) -> Results:
    """What all batches together show.

    Args:
        batches: In the order of their sequences, at least one.
        protocol: How predictions were made and scored.
        measures, clip_measures: What was measured.
        gated: The levels that have a gate.
    """
    parts = [batch.part for batch in batches]
    scores = {
        row: {m: torch.cat([batch.scores[row][m] for batch in batches]) for m in metrics}
        for row, metrics in batches[0].scores.items()
    }
    labels = {measure.name: measure.label(protocol) for measure in measures}
    better = {measure.name: measure.better for measure in measures}
    shown = [batch.extremes for batch in batches if batch.extremes is not None]
    clips, absent = _conclusions(parts, clip_measures)
    return Results(
        table=metrics_table(protocol, scores, labels) | {"better": better},
        reconstruction={
            name: torch.cat([part.reconstruction[name] for part in parts]).mean().item()
            for name in parts[0].reconstruction
        },
        kl={level: torch.cat([part.kl[level] for part in parts]) for level in parts[0].kl},
        gates=torch.cat([part.gates for part in parts]),
        gated=gated,
        films=_films(parts),
        given=parts[0].given,
        horizons=_horizons(scores, measures),
        clips=clips,
        absent=absent,
        extremes=joined_extremes(shown) if shown else None,
    )


def _horizons(
    scores: dict[str, Scores], measures: Sequence[FrameMeasure]
) -> dict[str, EffectiveHorizon]:
    """How far ahead the model beats a random sequence; of several samples their average."""
    judged, chance = scores.get("average_sample", scores["model"]), scores["random_sequence"]
    return {
        measure.name: effective_horizon(
            judged[measure.name],
            chance[measure.name],
            lower_is_better=measure.better == "lower",
        )
        for measure in measures
        if measure.better != "one"  # more of it is not better
    }


def _conclusions(
    parts: Sequence[Part], measures: Sequence[ClipMeasure]
) -> tuple[dict[str, Conclusion], dict[str, Absent]]:
    """Figures of whole clips, and why there is none."""
    found: dict[str, Conclusion] = {}
    absent: dict[str, Absent] = {}
    for measure in measures:
        kept = [part.kept[measure.name] for part in parts]
        result = measure.conclude({k: torch.cat([one[k] for one in kept]) for k in kept[0]})
        if isinstance(result, Absent):
            absent[measure.name] = result
        else:
            found[measure.name] = result
    return found, absent


def _films(parts: Sequence[Part]) -> Films:
    """The films of all batches that have some."""
    kept = [part.films for part in parts if part.films is not None]

    def every(name: str) -> Tensor:
        return torch.cat([getattr(film, name) for film in kept]) if kept else torch.empty(0)

    return Films(every("context"), every("truth"), every("reconstruction"), every("prediction"))
