"""A `Curve`: lines with their bands, each with a colour, in one chart.

band      between `low` and `high`, where a line has them
gap       where a value is no number
mark      a dotted vertical line with its label
"""

__all__ = ["curve_figure", "curve_png"]

import os
from collections.abc import Sequence
from textwrap import fill

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pyrovp.analysis.findings import Curve, Line
from pyrovp.draw.figures import LEVELS, new_figure, save, tidy, whole_numbers

_STYLES = ("-", "--", ":", "-.")  # of the first seven lines, the next seven, ...
_DOTTED = 12  # so many points or fewer are marked


def curve_png(path: str | os.PathLike[str], curve: Curve) -> None:
    """Writes the picture of `curve_figure` to a file.

    Args:
        path: The file to write.
        curve: What is shown.

    Raises:
        ValueError: As `curve_figure`.
    """
    save(curve_figure(curve), path)


def curve_figure(curve: Curve) -> Figure:
    """Draws the lines in the order in which they are given.

    Args:
        curve: What is shown.

    Raises:
        ValueError: If there is no line, or a line's parts differ in length.
    """
    if not curve.lines:
        raise ValueError(f"curve {curve.title!r} has no line; give at least one")
    figure = new_figure(8.5, 4.8)
    axes = figure.subplots()
    for i, (label, line) in enumerate(curve.lines.items()):
        colour, style = LEVELS[i % len(LEVELS)], _STYLES[i // len(LEVELS) % len(_STYLES)]
        _draw(axes, label, _points(curve, label, line), colour, style)
    for label, place in curve.marks.items():
        axes.axvline(place, color="#444444", linestyle=":", linewidth=1.2)
        axes.annotate(
            label, (place, 1), xycoords=("data", "axes fraction"), xytext=(3, -3),
            textcoords="offset points", va="top", fontsize=9, color="#444444",
        )  # fmt: skip
    tidy(axes, title=fill(curve.title, 88), x=curve.x, y=curve.y)
    places = np.concatenate([np.asarray(line.get_xdata(), float) for line in axes.lines])
    if curve.log:
        _logarithmic(axes, places)
    elif np.array_equal(places, places.round()):
        whole_numbers(axes)
    rows = -(-len(curve.lines) // 4)
    figure.legend(
        loc="outside lower center", ncols=-(-len(curve.lines) // rows), frameon=False, fontsize=10
    )
    return figure


def _points(curve: Curve, label: str, line: Line) -> NDArray[np.float64]:
    """x, y and, where there is a band, low and high: [2 or 4, N]."""
    parts: dict[str, Sequence[float]] = {
        "x": range(len(line.y)) if line.x is None else line.x,
        "y": line.y,
    }
    if line.low is not None and line.high is not None:
        parts |= {"low": line.low, "high": line.high}
    lengths = {name: len(values) for name, values in parts.items()}
    if len(set(lengths.values())) != 1 or not len(line.y):
        raise ValueError(
            f"line {label!r} of curve {curve.title!r} needs as many values in all its parts, at "
            f"least one; got {lengths}"
        )
    return np.array([list(values) for values in parts.values()], dtype=float)  # None becomes nan


def _draw(axes: Axes, label: str, points: NDArray[np.float64], colour: str, style: str) -> None:
    x, y, *band = points
    # A lone point between two gaps has no line to be seen by.
    alone = np.isfinite(y).sum() <= _DOTTED or not np.isfinite(y[1:] + y[:-1]).any()
    axes.plot(
        x, y, color=colour, linestyle=style, linewidth=1.8, label=label,
        marker="o" if alone else None, markersize=4,
    )  # fmt: skip
    if band:
        axes.fill_between(x, *band, color=colour, alpha=0.15, lw=0)


def _logarithmic(axes: Axes, places: NDArray[np.float64]) -> None:
    # A zero on the axis, such as the state before the first step, has no logarithm.
    if (places > 0).all():
        axes.set_xscale("log")
    else:
        axes.set_xscale("symlog", linthresh=places[places > 0].min(initial=1.0))
