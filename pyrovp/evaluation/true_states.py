"""Figures of predictions against the true states of generated clips."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from pyrovp.evaluation.clips import ClipMeasure, Conclusion, Seen
from pyrovp.metrics import Absent, copy_last
from pyrovp.metrics.states import StateScores

__all__ = ["TrueStates"]

_ROWS = ("model", "true_frames", "copy_last")


class TrueStates(ClipMeasure):
    """Whether what is predicted stays itself, and where it should be; of the first sample.

    Beside the model stand the true frames, which is what a perfect prediction scores, and the last
    given frame. A score that is undefined at a frame is no part of a mean; see
    `pyrovp.metrics.states`.

    Args:
        scores: What a data set's states are compared with.
    """

    name = "states"

    def __init__(self, scores: StateScores) -> None:
        self.scores = scores

    def look(self, clips: Seen) -> dict[str, Tensor]:
        """Scores of every row and frame, "model/identity" -> [B, horizon]."""
        seen, horizon = clips.context.shape[1], clips.truth.shape[1]
        states = {name: s[:, seen : seen + horizon] for name, s in clips.states.items()}
        shown = (clips.prediction, clips.truth, copy_last(clips.context, horizon))
        return {
            f"{row}/{name}": scores
            for row, frames in zip(_ROWS, shown, strict=True)
            for name, scores in self.scores(frames, states).items()
        }

    def conclude(self, kept: Mapping[str, Tensor]) -> Conclusion | Absent:
        facts: dict[str, Any] = {}
        sentences = []
        for name, label in self.scores.labels.items():
            rows = {row: _row(kept[f"{row}/{name}"]) for row in _ROWS if f"{row}/{name}" in kept}
            if not rows:
                continue  # not defined for these clips
            facts[name] = {"label": label, "rows": rows}
            told = ", ".join(f"{row.replace('_', ' ')} {_said(r)}" for row, r in rows.items())
            sentences.append(f"{label}: {told}")
        note = [self.scores.note] if self.scores.note else []
        return Conclusion({"scores": facts, "note": self.scores.note}, sentences + note)

    def identity(self) -> str:
        return f"{self.name}/{type(self.scores).__name__}/{self.scores.note}"


def _row(scores: Tensor) -> dict[str, Any]:
    """Of [N, horizon]: mean and standard error over sequences, and the mean at every frame."""
    scores = scores.double()
    each = scores.nanmean(1)
    each = each[~each.isnan()]
    many = len(each) > 1
    return {
        "mean": each.mean().item() if len(each) else None,
        "standard_error": each.std().div(len(each) ** 0.5).item() if many else None,
        "per_frame": [None if v != v else v for v in scores.nanmean(0).tolist()],
        "defined": (~scores.isnan()).double().mean().item(),
    }


def _said(row: Mapping[str, Any]) -> str:
    return "undefined" if row["mean"] is None else f"{row['mean']:.3g}"
