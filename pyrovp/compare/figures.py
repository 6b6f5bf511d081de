"""The figures of one run: every `metrics.json` in its folder, read back.

    runs/NAME/seed0/metrics.json                        the run's own evaluation
    runs/NAME/seed0/evaluations/PROTOCOL/metrics.json   what experiments/evaluate.py wrote

Nothing is computed anew. A file says under which protocol and on which clips its scores were made;
`config.yaml` says what the run was built from.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from pyrovp.compare.inside import inside
from pyrovp.compare.settings import flat
from pyrovp.evaluation.clips import FrechetDistance
from pyrovp.evaluation.measures import LPIPS, PSNR, SSIM, Sharpness

__all__ = ["Figures", "LeftOut", "Score", "read_run"]


@dataclass(frozen=True)
class Score:
    """A row's scores by one metric, means over the sequences; nan is no number.

    Args:
        mean: Over the whole horizon.
        standard_error: Of that mean, over the sequences.
        first: Mean over the near future; nan where there is none.
        per_frame: At each predicted frame; empty for figures of whole clips.
    """

    mean: float
    standard_error: float
    first: float
    per_frame: tuple[float, ...]


@dataclass(frozen=True)
class Figures:
    """What one `metrics.json` says.

    Args:
        run: Folder of the run.
        own: Whether it is the run's own evaluation.
        model, data: Names.
        seed, step: Of the run, and of the weights.
        weights: "last" or "best".
        batch_statistics: Whether BatchNorms used their batch's statistics.
        protocol: All of its fields.
        split: Hash of the test material; None: an early run did not say.
        clips: Fingerprint of the very clips.
        sequences, first: How many clips; frames of the near future.
        labels: Of the metrics, with their definitions.
        better: Which figures of a metric are better, where that is known.
        rows: "model", "average_sample" where there are several samples, and the baselines; of
            true states also "true_frames", what a perfect prediction scores.
        inside: What the model did, in words -> figure.
        parameters: How many.
        settings: What the run was built from, by dotted key.
    """

    run: Path
    own: bool
    model: str
    data: str
    seed: int
    step: int
    weights: str
    batch_statistics: bool
    protocol: Mapping[str, Any]
    split: str | None
    clips: str
    sequences: int
    first: int
    labels: Mapping[str, str]
    better: Mapping[str, str]
    rows: Mapping[str, Mapping[str, Score]]
    inside: Mapping[str, float]
    parameters: int
    settings: Mapping[str, Any]


_STANDARD = {kind.name: kind.better for kind in (PSNR, SSIM, Sharpness, LPIPS)} | {
    FrechetDistance.name: FrechetDistance.better
}
"""Of early runs, which did not say it."""


@dataclass(frozen=True)
class LeftOut:
    """Something that is not compared, and why.

    Args:
        what: The run or the file, in words.
        reason: Why.
    """

    what: str
    reason: str


def read_run(folder: Path) -> tuple[list[Figures], list[LeftOut]]:
    """All figures of a run, and what could not be read.

    Args:
        folder: Of the run, with its `config.yaml`.
    """
    try:
        config: Any = OmegaConf.to_container(OmegaConf.load(folder / "config.yaml"), resolve=True)
        settings = flat(config)
    except Exception as error:  # a damaged file: of OmegaConf's or of its YAML reader's making
        return [], [LeftOut(str(folder), f"its config.yaml cannot be read: {_line(error)}")]
    files = [folder / "metrics.json", *sorted(folder.glob("evaluations/*/metrics.json"))]
    files = [file for file in files if file.is_file()]
    found: list[Figures] = []
    missing: list[LeftOut] = []
    for file in files:
        try:
            content = json.loads(file.read_text())
            found.append(_figures(folder, file.parent == folder, content, settings))
        except (OSError, ValueError) as error:
            missing.append(LeftOut(str(file), f"it cannot be read: {_line(error)}"))
        except (KeyError, TypeError, AttributeError) as error:
            missing.append(LeftOut(str(file), f"it holds no figures of a run ({_line(error)})"))
    if not files:
        reason = "no figures yet: the run is not finished; its command goes on with it"
        missing.append(LeftOut(str(folder), reason))
    return found, missing


def _figures(
    folder: Path, own: bool, content: Mapping[str, Any], settings: Mapping[str, Any]
) -> Figures:
    norms = settings.get("evaluate.batch_statistics", False)
    rows = {
        name: {metric: _score(score) for metric, score in row.items()}
        for name, row in content["rows"].items()
    }
    labels = dict(content["labels"])
    whole = content.get("clips") or {}
    if fvd := whole.get("fvd"):
        labels["fvd"], rows["model"]["fvd"] = _fvd(fvd)
    for name, found in whole.get("states", {}).get("scores", {}).items():
        labels[f"states/{name}"] = found["label"]
        for row, score in found["rows"].items():
            rows.setdefault(row, {})[f"states/{name}"] = _score(score)
    return Figures(
        run=folder,
        own=own,
        model=content["model"],
        data=content["data"],
        seed=content["seed"],
        step=content["step"],
        weights=content["weights"],
        batch_statistics=bool(content.get("asked", {}).get("batch_statistics", norms)),
        protocol=content["protocol"],
        split=(content.get("splits") or {}).get("test"),
        clips=content["test_set"],
        sequences=content["sequences"],
        first=content["first"],
        labels=labels,
        better=_STANDARD | content.get("better", {}),
        rows=rows,
        inside=inside(content),
        parameters=content["parameters"],
        settings=settings,
    )


def _score(content: Mapping[str, Any]) -> Score:
    return Score(
        _number(content["mean"]),
        _number(content["standard_error"]),
        _number(content.get("first_mean")),
        tuple(_number(value) for value in content["per_frame"]),
    )


def _fvd(facts: Mapping[str, Any]) -> tuple[str, Score]:
    """FVD, and a label that holds all that has to be equal before two are compared."""
    given = f"{facts['context']} of them given" if facts["context"] else "without the given ones"
    weights = f" {facts['sha256'][:10]}" if facts["sha256"] else ""
    label = (
        f"FVD ({facts['made']} clips of {facts['frames']} frames, {given}; "
        f"{facts['extractor']}{weights})"
    )
    return label, Score(_number(facts["distance"]), math.nan, math.nan, ())


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _line(error: Exception) -> str:
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    return f"no {text}" if isinstance(error, KeyError) else text
