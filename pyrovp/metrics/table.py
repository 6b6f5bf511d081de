"""The table of a run: the model beside every baseline, with its uncertainty.

A sequence's score is its mean over the predicted frames. A row holds, over N sequences with
scores s_i,

    mean = (1/N) sum s_i,    standard error = sd(s) / sqrt(N),    sd with N - 1,

over the whole horizon and over its first five frames, and the same per frame. The standard error
measures the choice of the sequences, not the randomness of training. A number that is not finite
is stored as null, since JSON has no other word for it, and printed as `nan`.
"""

__all__ = ["FIRST", "metrics_table", "render"]

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from torch import Tensor

from pyrovp.metrics.protocol import Protocol
from pyrovp.words import counted

FIRST = 5
"""How many frames the near future has."""


def metrics_table(
    protocol: Protocol,
    scores: Mapping[str, Mapping[str, Tensor]],
    labels: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The content of `metrics.json`.

    Args:
        protocol: What the scores were made with.
        scores: By row (`model` and the baselines, in printing order), then by metric, what
            `Protocol.score` returned, over all sequences: [B, horizon].
        labels: Of the metrics, as they are printed; None: the protocol's.

    Returns:
        `protocol` (all its fields, `hash` and `selection`), `sequences` (B), `first` (frames of
        the near future), `labels` (metric -> name with preset and clip) and `rows`
        (row -> metric -> `mean`, `standard_error`, `first_mean`, `first_standard_error`,
        `per_frame` [horizon], `per_frame_standard_error` [horizon]). Only what JSON can hold.

    Raises:
        ValueError: If there is no row, or if rows differ in metrics or sequences.
    """
    shapes = {f"{r}/{m}": tuple(s.shape) for r, row in scores.items() for m, s in row.items()}
    shape = next(iter(shapes.values()), ())
    if len(shape) != 2 or shape[0] == 0 or set(shapes.values()) != {shape}:
        raise ValueError(f"every row needs scores [B, horizon] of one shape, got {shapes}")
    if shape[1] != protocol.horizon:
        raise ValueError(
            f"protocol {protocol.name!r} has a horizon of {protocol.horizon} frames, "
            f"got scores of {shape[1]}"
        )
    if len({frozenset(row) for row in scores.values()}) != 1:
        metrics = {name: list(row) for name, row in scores.items()}
        raise ValueError(f"every row needs the same metrics, got {metrics}")
    first = next(iter(scores.values()))
    return {
        "protocol": asdict(protocol) | {"hash": protocol.hash, "selection": protocol.selection},
        "sequences": shape[0],
        "first": min(FIRST, protocol.horizon),
        "labels": {m: labels[m] if labels else protocol.label(m) for m in first},
        "rows": {
            name: {metric: _summary(value) for metric, value in row.items()}
            for name, row in scores.items()
        },
    }


def _summary(scores: Tensor) -> dict[str, Any]:
    """Means and standard errors over the sequences of [B, horizon]."""
    scores = scores.detach().double().cpu()
    mean, error = _mean_and_error(scores.mean(1, keepdim=True))
    first_mean, first_error = _mean_and_error(scores[:, :FIRST].mean(1, keepdim=True))
    frames, frame_errors = _mean_and_error(scores)
    return {
        "mean": mean[0],
        "standard_error": error[0],
        "first_mean": first_mean[0],
        "first_standard_error": first_error[0],
        "per_frame": frames,
        "per_frame_standard_error": frame_errors,
    }


def _mean_and_error(values: Tensor) -> tuple[list[float | None], list[float | None]]:
    """Mean and standard error over the first dimension of [B, n]; one sequence has no error."""
    means = [value if math.isfinite(value) else None for value in values.mean(0).tolist()]
    if len(values) == 1:
        return means, [None] * len(means)
    errors = (values.std(0) / math.sqrt(len(values))).tolist()
    return means, [value if math.isfinite(value) else None for value in errors]


def render(table: Mapping[str, Any]) -> str:
    """The table as aligned plain text, one line a row, with everything needed to quote it.

    Args:
        table: What `metrics_table` returned, or what was read back from `metrics.json`.

    Returns:
        Lines without a newline at the end.
    """
    protocol, horizon = table["protocol"], table["protocol"]["horizon"]
    near = table["first"] < horizon
    spans = [counted(horizon, "frame"), f"first {table['first']}"][: 2 if near else 1]
    header, below = [""], [""]
    for label in table["labels"].values():
        header += [label, ""][: len(spans)]
        below += spans
    lines = [header, below]
    for name, row in table["rows"].items():
        cells = [name.replace("_", " ")]
        for metric in table["labels"]:
            cells.append(_cell(row[metric]["mean"], row[metric]["standard_error"], metric))
            if near:
                value = row[metric]
                cells.append(_cell(value["first_mean"], value["first_standard_error"], metric))
        lines.append(cells)
    sequences, samples = table["sequences"], protocol["samples"]
    title = (
        f"protocol {protocol['name']} ({protocol['hash']}): context {protocol['context']}, "
        f"{sequences} sequence{'s' * (sequences > 1)}, "
        f"{samples} sample{'s' * (samples > 1)}"
        + (f", {protocol['selection']}" if samples > 1 else "")
        + ("; mean ± standard error over sequences" if sequences > 1 else "")
    )
    return "\n".join([title, *_aligned(lines, paired=near)])


def _cell(mean: float | None, error: float | None, metric: str) -> str:
    digits = 2 if metric == "psnr" else 3
    text = "nan" if mean is None else f"{mean:.{digits}f}"
    return text if error is None else f"{text} ± {error:.{digits}f}"


def _aligned(lines: Sequence[Sequence[str]], paired: bool) -> list[str]:
    """Columns as wide as their widest cell; a metric's label spans its pair of columns."""
    header, *body = lines
    widths = [max(len(line[i]) for line in body) for i in range(len(header))]
    step = 2 if paired else 1
    for i in range(1, len(header), step):
        missing = len(header[i]) - sum(widths[i : i + step]) - 2 * (step - 1)
        widths[i] += max(0, missing)
    texts = []
    spans = [" " * widths[0]]
    for i in range(1, len(header), step):
        spans.append(header[i].rjust(sum(widths[i : i + step]) + 2 * (step - 1)))
    texts.append("  ".join(spans))
    for line in body:
        cells = [cell.rjust(width) for cell, width in zip(line, widths, strict=True)]
        texts.append("  ".join([line[0].ljust(widths[0]), *cells[1:]]))
    return texts
