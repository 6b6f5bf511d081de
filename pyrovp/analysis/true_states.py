r"""Does what is predicted stay itself, and where it should be? Frames against the true states.

    score_d = mean over clips (and samples) of a frame's score at distance d from the context

for what a generator knows of its clips (`pyrovp.metrics.states`): a digit's identity and position,
the Moving Ball's position and colour. Distances up to 0 are the context's own frames,
reconstructed: what is lost there was never taken in. Beside the model stand the true frames, the
most that a score can reach; the last given frame, held; and the true frames of another clip, which
is what a score comes to by chance.

Of the Moving Ball the changes of its colour are looked at too (`pyrovp.analysis.colour_changes`).

A score that is undefined at a frame (nothing is visible) is no part of a mean.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pyrovp.analysis.averages import average, with_error
from pyrovp.analysis.base import Analysis, Clips
from pyrovp.analysis.colour_changes import change_table, colour_changes
from pyrovp.analysis.findings import Curve, Findings, Line, Table
from pyrovp.analysis.questions import check_context
from pyrovp.data import EmbeddedDigits, Handwriting
from pyrovp.metrics.digit_reader import make_digit_reader
from pyrovp.metrics.states import BallStates, DigitStates, StateScores
from pyrovp.predict import stream
from pyrovp.programs import LatentDynamics, check_model
from pyrovp.state_space import StateSpace

__all__ = ["TrueStates"]

_CHUNK = 50
"""Frames times samples that are decoded at once."""

_NEAR = 5
"""Frames of the near future."""

Scores = dict[str, Tensor]


@dataclass(frozen=True)
class TrueStates(Analysis):
    """Identity, position and colour of what is predicted, against what the generator knows.

    Args:
        horizon: Frames to predict beyond the context; None: all that the clips have.
        samples: Futures of each clip; a clip's score is their mean.
        handwriting: Where the clips' digits come from; None: the digits of the package.
        digit_size: Width of a digit's box in px; None: 28 px of 64, as the data sets have it
            unless told otherwise.

    Raises:
        ValueError: If a number is no whole one from 1.
    """

    horizon: int | None = None
    samples: int = 1
    handwriting: Handwriting | None = None
    digit_size: int | None = None

    def __post_init__(self) -> None:
        for name in ("horizon", "samples", "digit_size"):
            value = getattr(self, name)
            if value is None and name != "samples":
                continue
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"TrueStates: {name} is a whole number from 1, got {value!r}")

    @torch.no_grad()
    def __call__(
        self, model: LatentDynamics[StateSpace], guide: nn.Module, clips: Clips
    ) -> Findings:
        """Predicts on from each clip's context and looks at the frames.

        Raises:
            ValueError: If the clips are too short, or know nothing of digits or the ball.
        """
        check_model(model)
        length, seen = clips.video.shape[1], clips.context
        check_context(seen, length)
        horizon = length - seen if self.horizon is None else self.horizon
        if not 1 <= horizon <= length - seen:
            raise ValueError(
                f"true states are known of the clips' own frames: {length} frames, {seen} of them "
                f"given, leave {length - seen} to be predicted, but horizon={self.horizon}; use "
                "longer clips or a shorter context"
            )
        measure = self._measure(clips)
        first, made, shown = self._made(model, guide, clips, horizon, measure)
        rows = {"model": made} | _beside(clips, horizon, first, measure)
        facts: dict[str, Any] = {
            "sequences": len(clips.video),
            "context": seen,
            "horizon": horizon,
            "samples": self.samples,
            "note": measure.note,
            "scores": {
                name: {
                    "label": label,
                    "rows": {row: _row(rows[row][name], horizon) for row in rows},
                }
                for name, label in measure.labels.items()
                if name in made
            },
        }
        exhibits: dict[str, Table | Curve] = {"true_states": _table(facts)}
        for name in facts["scores"]:
            curve = _curve(measure.labels[name], rows, name, horizon)
            if curve.lines:
                exhibits[name] = curve
        if isinstance(measure, BallStates):
            shown["true frames"] = measure.shown(clips.video[:, seen : seen + horizon]).colour
            facts["changes"] = colour_changes(shown, clips.states["colour"], seen)
            exhibits["colour_changes"] = change_table(facts["changes"])
        return Findings(facts, exhibits, _sentences(facts))

    def _measure(self, clips: Clips) -> StateScores:
        """What the clips' states can be compared with."""
        resolution = clips.video.shape[-1]
        if {"position", "colour"} <= clips.states.keys():
            return BallStates(resolution)
        if not {"position", "digit"} <= clips.states.keys():
            raise ValueError(
                "true states are compared with what is predicted, but of these clips neither "
                "position and digit nor position and colour are known (known: "
                f"{', '.join(sorted(clips.states)) or 'nothing'}); use clips of generated digits "
                "or of the Moving Ball"
            )
        size = round(28 * resolution / 64) if self.digit_size is None else self.digit_size
        if (clips.states["position"] + size > resolution + 1).any():
            raise ValueError(
                f"boxes of {size} px at the digits' true positions leave the frame of "
                f"{resolution} px; set digit_size to that of the data set"
            )
        handwriting = EmbeddedDigits() if self.handwriting is None else self.handwriting
        return DigitStates(make_digit_reader(handwriting, size))

    def _made(
        self,
        model: LatentDynamics[StateSpace],
        guide: nn.Module,
        clips: Clips,
        horizon: int,
        measure: StateScores,
    ) -> tuple[int, Scores, dict[str, Tensor]]:
        """The model's scores [B, n], from which frame on, and the colours it showed [B*S, n]."""
        seen = clips.context
        context = clips.video[:, :seen].repeat_interleave(self.samples, 0)
        parts: list[Scores] = []
        colours: list[Tensor] = []
        first = seen
        chunk = max(1, _CHUNK // self.samples)
        for piece in stream(model, guide, context, horizon, chunk=chunk):
            count = piece.frames.shape[1]
            if not count:
                continue
            first = min(first, piece.start)
            # [B*S, n, ...] -> [S, B, n, ...]
            frames = piece.frames.unflatten(0, (-1, self.samples)).transpose(0, 1)
            scores = measure(frames, _part(clips, piece.start, piece.start + count))
            parts.append({name: score.nanmean(0).cpu() for name, score in scores.items()})
            if isinstance(measure, BallStates) and piece.start >= seen:
                colours.append(measure.shown(piece.frames).colour)
        scores = {name: torch.cat([part[name] for part in parts], 1) for name in parts[0]}
        return first, scores, {"model": torch.cat(colours, 1)} if colours else {}


def _beside(clips: Clips, horizon: int, first: int, measure: StateScores) -> dict[str, Scores]:
    """Scores of what stands beside the model, of the true frames from `first` on; [B, n]."""
    seen, stop = clips.context, clips.context + horizon

    def scored(frames: Tensor, start: int) -> Scores:
        scores = measure(frames, _part(clips, start, stop))
        return {name: score.cpu() for name, score in scores.items()}

    future = clips.video[:, seen:stop]
    rows = {
        "true frames": scored(clips.video[:, first:stop], first),
        "copy last": scored(clips.video[:, seen - 1 : seen].expand_as(future), seen),
    }
    if len(future) > 1:
        rows["another clip"] = scored(future.roll(1, 0), seen)
    return rows


def _part(clips: Clips, start: int, stop: int) -> dict[str, Tensor]:
    return {name: state[:, start:stop] for name, state in clips.states.items()}


def _defined(values: Tensor) -> tuple[float, float | None] | tuple[None, None]:
    """Mean and standard error of those of [B] that are numbers."""
    values = values[~values.isnan()]
    return average(values) if len(values) else (None, None)


def _row(score: Tensor, horizon: int) -> dict[str, Any]:
    """Of [B, n], the last `horizon` frames being the predicted ones."""
    context, predicted = score[:, :-horizon], score[:, -horizon:]
    mean, error = _defined(predicted.nanmean(1))
    return {
        "mean": mean,
        "standard_error": error,
        "first": _defined(predicted[:, :_NEAR].nanmean(1))[0],
        "last": _defined(predicted[:, -1])[0],
        "context": _defined(context.nanmean(1))[0],
        "defined": (~predicted.isnan()).double().mean().item(),
        "over_distance": [_defined(frame)[0] for frame in predicted.unbind(1)],
    }


def _curve(label: str, rows: Mapping[str, Scores], name: str, horizon: int) -> Curve:
    lines = {}
    for row, scores in rows.items():
        score = scores[name]
        start = horizon - score.shape[1] + 1
        found = [(start + d, *_defined(frame)) for d, frame in enumerate(score.unbind(1))]
        known = [(d, mean, error or 0.0) for d, mean, error in found if mean is not None]
        if known:
            lines[row] = Line(
                [mean for _, mean, _ in known],
                [mean - error for _, mean, error in known],
                [mean + error for _, mean, error in known],
                [d for d, _, _ in known],
            )
    return Curve(
        f"{label[0].upper()}{label[1:]}, the further the prediction",
        x="distance from the context [frames]",
        y=label,
        lines=lines,
        marks={"the context ends": 0.5},
    )


def _table(facts: Mapping[str, Any]) -> Table:
    horizon = facts["horizon"]
    columns = {
        "context": "context",
        "first": f"first {min(_NEAR, horizon)} predicted",
        "last": "last predicted",
        "mean": f"mean of {horizon}",
        "standard_error": "standard error",
        "defined": "share defined",
    }
    rows = [
        [score["label"], row, *(fact[key] for key in columns)]
        for score in facts["scores"].values()
        for row, fact in score["rows"].items()
    ]
    return Table(
        "Predicted frames against true states", ["score", "frames", *columns.values()], rows
    )


def _sentences(facts: Mapping[str, Any]) -> list[str]:
    lines = []
    for score in facts["scores"].values():
        listed = ", ".join(
            f"{row} {_figure(fact['mean'], fact['standard_error'])}"
            for row, fact in score["rows"].items()
        )
        lines.append(f"{score['label']}, mean of {facts['horizon']} predicted frames: {listed}")
    for row, fact in facts.get("changes", {}).items():
        lines.append(
            f"{row}: the colour changes at {fact['rate']:.3f} of the frames (truly at "
            f"{fact['true_rate']:.3f}), F1 {_figure(fact['f1'])} (by chance "
            f"{_figure(fact['chance_f1'])})"
        )
    return [*lines, facts["note"]] if facts["note"] else lines


def _figure(mean: float | None, error: float | None = None) -> str:
    return "-" if mean is None else with_error(mean, error)
