"""Scores against distance into the future (`curves.png`): the model beside every baseline.

A line is the mean over sequences at each predicted frame, its band one standard error on either
side. The distance at which the model meets the baseline `random_sequence` is where it has
forgotten the video.
"""

__all__ = ["curves_figure", "curves_png"]

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pyrovp.draw.figures import new_figure, save, tidy, whole_numbers
from pyrovp.words import counted

_BASELINES = (
    ("#D55E00", "--"),
    ("#000000", ":"),
    ("#009E73", "-."),
    ("#CC79A7", (0, (5, 1, 1, 1, 1, 1))),
    ("#E69F00", (0, (1, 1))),
)


def curves_png(
    path: str | os.PathLike[str],
    table: Mapping[str, Any],
    metrics: Sequence[str] = ("psnr", "ssim"),
) -> None:
    """Writes the curves of `curves_figure` to a file.

    Args:
        path: The file to write.
        table: As for `curves_figure`.
        metrics: As for `curves_figure`.

    Raises:
        ValueError: If the table has no row or lacks one of the metrics.
    """
    save(curves_figure(table, metrics), path)


def curves_figure(table: Mapping[str, Any], metrics: Sequence[str] = ("psnr", "ssim")) -> Figure:
    """Draws one panel a metric, all rows in each.

    Args:
        table: What `pyrovp.metrics.metrics_table` returned, or `metrics.json` read back. The
            first row is drawn as the model's, all others as baselines.
        metrics: The metrics to draw, in this order.

    Raises:
        ValueError: If the table has no row or lacks one of the metrics.
    """
    rows, protocol = table["rows"], table["protocol"]
    missing = [metric for metric in metrics if metric not in table["labels"]]
    if missing or not rows or not metrics:
        raise ValueError(
            f"curves of {list(metrics)} need a table with rows and these metrics, "
            f"got rows {list(rows)} and metrics {list(table['labels'])}"
        )
    figure = new_figure(5.6 * len(metrics), 4.8)
    panels = figure.subplots(1, len(metrics), squeeze=False)[0]
    for axes, metric in zip(panels, metrics, strict=True):
        _panel(axes, rows, metric)
        start = f"1 = first after a context of {protocol['context']}"
        tidy(axes, x=f"predicted frame ({start})", y=table["labels"][metric])
    best = f", {protocol['selection']}" if protocol["samples"] > 1 else ""
    figure.suptitle(
        f"Protocol {protocol['name']} ({protocol['hash']}): "
        f"{counted(table['sequences'], 'sequence')}, "
        f"{counted(protocol['samples'], 'sample')}{best}; mean ± standard error",
        fontsize=11,
    )
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=len(labels), frameon=False, fontsize=10
    )
    return figure


def _panel(axes: Axes, rows: Mapping[str, Any], metric: str) -> None:
    """Draws all rows of one metric, the model's on top."""
    for i, (name, row) in enumerate(rows.items()):
        mean = np.array(row[metric]["per_frame"], dtype=float)  # None becomes nan, a gap
        error = np.array(row[metric]["per_frame_standard_error"], dtype=float)
        frames = np.arange(1, len(mean) + 1)
        colour, style = ("#0072B2", "-") if i == 0 else _BASELINES[(i - 1) % len(_BASELINES)]
        axes.plot(
            frames,
            mean,
            color=colour,
            linestyle=style,
            linewidth=2.4 if i == 0 else 1.3,
            marker="o" if len(mean) <= 12 else None,
            markersize=4,
            label=name.replace("_", " "),
            zorder=3 if i == 0 else 2,
        )
        axes.fill_between(frames, mean - error, mean + error, color=colour, alpha=0.15, lw=0)
    axes.set_xlim(1, max(2, len(mean)))
    whole_numbers(axes)
