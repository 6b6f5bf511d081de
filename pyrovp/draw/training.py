"""How training went (`training.png`): the parts of the loss over the steps.

Rows are what a training loop logs, one dictionary each: `step`, `loss`, and the bound's parts in
nats per sequence, `frames` (reconstruction log-likelihood), `z_{level}` and `e_{level}` (KL of
states and gates); `change_{level}` is the share of open gates, `validation` the loss on held-out
sequences. Parts may stand in the row or in a dictionary inside it
(`{"step": 1, "parts": {"frames": ...}}`). What is missing is not drawn. Where a line is long, the
thin one holds the logged values and the thick one their centred moving mean.
"""

__all__ = ["training_figure", "training_png"]

import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pyrovp.draw.figures import LEVELS, new_figure, save, tidy, whole_numbers

_SMOOTHED = 40  # so many logged values or more get a moving mean


@dataclass(frozen=True)
class _Panel:
    """One panel: the quantities whose names match, and how they are drawn."""

    title: str
    pattern: str
    unit: str
    logarithmic: bool = False
    share: bool = False


_PANELS = (
    _Panel("loss", r"loss|validation", "loss as minimised"),
    _Panel("reconstruction", r"frames", "log-likelihood [nats per sequence]"),
    _Panel("KL of states", r"z_(\d+)", "KL [nats per sequence]", logarithmic=True),
    _Panel("KL of gates", r"e_(\d+)", "KL [nats per sequence]", logarithmic=True),
    _Panel("open gates", r"change_(\d+)", "share of sequences and frames", share=True),
)


def training_png(path: str | os.PathLike[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """Writes the picture of `training_figure` to a file.

    Args:
        path: The file to write.
        rows: As for `training_figure`.

    Raises:
        ValueError: If no row holds a step together with a quantity that can be drawn.
    """
    save(training_figure(rows), path)


def training_figure(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Draws one panel for every kind of quantity that the rows hold.

    Args:
        rows: Logged dictionaries with a number `step`, in any order; of two rows with the same
            step the later one counts (a resumed run repeats some steps).

    Raises:
        ValueError: If no row holds a step together with a quantity that can be drawn.
    """
    series = _series(rows)
    panels = [(p, names) for p in _PANELS if (names := _matching(p, series))]
    if not panels:
        known = sorted({key for row in rows for key in row})
        raise ValueError(
            "training rows need `step` and at least one of loss, frames, z_1, e_2, change_2; "
            f"got {len(rows)} rows with the keys {known}"
        )
    width = min(len(panels), 3)
    height = -(-len(panels) // width)
    figure = new_figure(4.6 * width, 3.6 * height)
    grid = figure.subplots(height, width, squeeze=False).flatten()
    for axes, (panel, names) in zip(grid, panels, strict=False):
        _draw(axes, panel, {name: series[name] for name in names})
    for axes in grid[len(panels) :]:
        axes.set_axis_off()
    return figure


def _series(rows: Sequence[Mapping[str, Any]]) -> dict[str, NDArray[np.float64]]:
    """By name, the finite numbers of the rows as [n, 2]: step and value, by increasing step."""
    values: dict[str, dict[float, float]] = {}
    for row in rows:
        step = row.get("step")
        if isinstance(step, (int, float)):
            for name, value in _numbers(row):
                values.setdefault(name, {})[float(step)] = value
    return {name: np.array(sorted(points.items())) for name, points in values.items()}


def _numbers(row: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """The finite numbers of a row, also those of dictionaries inside it."""
    for name, value in row.items():
        if isinstance(value, Mapping):
            yield from _numbers(value)
        elif isinstance(value, (int, float)) and math.isfinite(value):
            yield name, float(value)


def _matching(panel: _Panel, series: Mapping[str, Any]) -> list[str]:
    return sorted(name for name in series if re.fullmatch(panel.pattern, name))


def _draw(axes: Axes, panel: _Panel, lines: Mapping[str, NDArray[np.float64]]) -> None:
    for i, (name, points) in enumerate(lines.items()):
        level = re.search(r"\d+$", name)
        colour = LEVELS[(int(level.group()) - 1 if level else i) % len(LEVELS)]
        label = f"level {level.group()}" if level else name.replace("_", " ")
        steps, values = points.T
        if len(values) >= _SMOOTHED:
            axes.plot(steps, values, color=colour, alpha=0.25, linewidth=0.8)
            values = _smooth(values)
        marker = "o" if len(values) <= 12 else None
        axes.plot(steps, values, color=colour, linewidth=1.8, marker=marker, ms=4, label=label)
    tidy(axes, title=panel.title, x="training step", y=panel.unit)
    whole_numbers(axes)
    if panel.logarithmic and any((points[:, 1] > 0).any() for points in lines.values()):
        # Linear below a thousandth of a nat: a closed level's exact zero stays on the picture.
        axes.set_yscale("symlog", linthresh=1e-3)
        axes.set_ylim(bottom=-2e-4)
    if panel.share:
        axes.set_ylim(-0.03, 1.03)
    if len(lines) > 1:
        axes.legend(frameon=False, fontsize=9)


def _smooth(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over a centred window of about a twentieth of the series, narrower at its ends.

    Centred, because a mean over the past alone lags behind a falling loss.
    """
    index = np.arange(len(values))
    half = np.minimum(np.minimum(index, index[::-1]), max(1, len(values) // 40))
    total = np.concatenate([[0.0], values.cumsum()])
    return (total[index + half + 1] - total[index - half]) / (2 * half + 1)
