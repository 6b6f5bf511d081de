"""The files of an evaluation beside its record: scores frame by frame, curves and samples."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pyrovp.draw.curves import curves_png
from pyrovp.draw.strips import strip_gif, strip_png
from pyrovp.evaluation import Results
from pyrovp.evaluation.shown import samples_strip
from pyrovp.files import atomic_write

__all__ = ["FILES", "per_frame_csv", "write_files"]

FILES = ("per_frame.csv", "curves.png", "best_worst.png", "samples.gif")
"""Their names."""


def write_files(
    folder: Path, results: Results, title: str, sequences: int, metrics: Sequence[str]
) -> None:
    """Writes them, each whole or not at all.

    Args:
        folder: Where to; made if it is missing.
        results: What was found.
        title: Of the samples: which model, on which data.
        sequences: How many sequences are shown, at least 1.
        metrics: Which scores are drawn as curves.

    Raises:
        OSError: If the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_write(folder / "per_frame.csv") as temporary:
        temporary.write_text(per_frame_csv(results.table))
    curves_png(folder / "curves.png", results.table, metrics)
    shown, table = results.extremes, results.table
    if shown is not None:
        label = table["labels"][shown.measure]
        title += f": best and worst of {table['protocol']['samples']} samples by {label}"
    strip = samples_strip(results.films, shown, title, sequences)
    strip_png(folder / "best_worst.png", strip)
    strip_gif(folder / "samples.gif", strip)


def per_frame_csv(table: Mapping[str, Any]) -> str:
    """Scores of every row and metric at every predicted frame, counted from 1, as CSV.

    Args:
        table: What `pyrovp.metrics.metrics_table` returned.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["row", "metric", "frame", "mean", "standard_error"])
    for name, row in table["rows"].items():
        for metric, scores in row.items():
            pairs = zip(scores["per_frame"], scores["per_frame_standard_error"], strict=True)
            writer.writerows([name, metric, t, *pair] for t, pair in enumerate(pairs, 1))
    return text.getvalue()
