"""What an evaluation found: the table, what the context showed, and frames for pictures."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from pyrovp.evaluation.clips import Conclusion
from pyrovp.metrics import Absent
from pyrovp.metrics.horizon import EffectiveHorizon
from pyrovp.words import counted

__all__ = ["Extremes", "Films", "Results"]


@dataclass(frozen=True)
class Films:
    """Frames of the first few sequences, for pictures; given frames stand for themselves.

    Shapes:
        context, reconstruction: [S, Tc, C, H, W]
        truth, prediction: [S, horizon, C, H, W]; the prediction is the first sample
    """

    context: Tensor
    truth: Tensor
    reconstruction: Tensor
    prediction: Tensor


@dataclass(frozen=True)
class Extremes:
    """The best and the worst sample of the first few sequences, by the time mean of one measure.

    Args:
        measure: Which.
        best, worst: Their frames.
        best_sample, worst_sample: Which samples they are, from 0.
        best_score, worst_score: Their time means.

    Shapes:
        best, worst: [S, horizon, C, H, W]
    """

    measure: str
    best: Tensor
    worst: Tensor
    best_sample: list[int]
    worst_sample: list[int]
    best_score: list[float]
    worst_score: list[float]


@dataclass(frozen=True)
class Results:
    """What an evaluation found.

    Args:
        table: What `pyrovp.metrics.metrics_table` returns: the model and every baseline. Of
            several samples "model" is the best by each metric, "average_sample" their mean.
        reconstruction: Means over the context: `psnr` in dB, `ssim`, `sharpness` (over truth's).
            Frames that the model takes as given do not count; empty where all are.
        kl: By level, KL of the states at each context frame in nats; of the first sample.
        gates: e of each level and frame, 1 = changed or ticked; of the first sample.
        gated: The levels (from 1) that have a gate.
        films: Frames for pictures.
        given: How many frames of the context the model takes as given.
        horizons: By metric, how far ahead the model beats a random sequence; of several samples
            their average does.
        clips: Figures of whole clips, by measure.
        absent: Why a metric that was asked for could not be measured.
        extremes: The best and the worst samples; None where they were not asked for.

    Shapes:
        kl: {level: [B, Tc]}
        gates: [B, L, Tc + horizon]
    """

    table: dict[str, Any]
    reconstruction: dict[str, float]
    kl: dict[int, Tensor]
    gates: Tensor
    gated: tuple[int, ...]
    films: Films
    given: int = 0
    horizons: Mapping[str, EffectiveHorizon] = field(default_factory=dict)
    clips: Mapping[str, Conclusion] = field(default_factory=dict)
    absent: Mapping[str, Absent] = field(default_factory=dict)
    extremes: Extremes | None = None

    def summary(self) -> dict[str, Any]:
        """All figures, of what JSON can hold: the content of `metrics.json`."""
        seen = self.table["protocol"]["context"]
        return self.table | {
            "given": self.given,
            "reconstruction": self.reconstruction or None,
            "kl_per_sequence": {
                f"z_{level}": kl.sum(1).mean().item() for level, kl in self.kl.items()
            },
            "change_rate": {
                f"e_{level}": {
                    # The first frame always changes and says nothing about the gate.
                    "context": _mean(self.gates[:, level - 1, self.given + 1 : seen]),
                    "prediction": _mean(self.gates[:, level - 1, seen:]),
                }
                for level in self.gated
            },
            "effective_horizon": {
                name: {"row": self._judged()} | found.summary()
                for name, found in self.horizons.items()
            },
            "clips": {name: dict(found.facts) for name, found in self.clips.items()},
            "absent": {name: absent.reason for name, absent in self.absent.items()},
        }

    def sentences(self) -> list[str]:
        """What the table does not say of the context and the gates, in words."""
        figures, summary = self.reconstruction, self.summary()
        seen = self.table["protocol"]["context"]
        if not figures:
            return [
                f"the model takes all {counted(seen, 'frame')} of the context as given",
                *self._rates(),
            ]
        which = f" (its last {counted(seen - self.given, 'frame')})" if self.given else ""
        lines = [
            f"context{which} reconstructed at {figures['psnr']:.2f} dB, SSIM "
            f"{figures['ssim']:.3f}, {figures['sharpness']:.2f} of the truth's sharpness",
            "KL in the context, nats per sequence: "
            + ", ".join(f"{k} {v:.4g}" for k, v in summary["kl_per_sequence"].items()),
        ]
        return [*lines, *self._rates()]

    def outlook(self) -> list[str]:
        """How far predictions carry, and figures of whole clips, in words."""
        labels, row = self.table["labels"], self._judged().replace("_", " ")
        lines = [f"{row}, {labels[m]}: {found.sentence()}" for m, found in self.horizons.items()]
        return lines + [text for found in self.clips.values() for text in found.sentences]

    def _judged(self) -> str:
        """The row whose horizon is taken."""
        return "average_sample" if "average_sample" in self.table["rows"] else "model"

    def _rates(self) -> list[str]:
        lines = []
        for name, rate in self.summary()["change_rate"].items():
            given = "-" if rate["context"] is None else f"{rate['context']:.3f}"
            lines.append(
                f"level {name.removeprefix('e_')} changes at {given} of the context's frames, "
                f"{rate['prediction']:.3f} of the predicted ones"
            )
        return lines


def _mean(values: Tensor) -> float | None:
    return values.mean().item() if values.numel() else None
