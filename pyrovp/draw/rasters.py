"""A `Raster`: one band a row over time, from light (0) to dark (1); its mean at the right.

What is no number is left white.
"""

__all__ = ["raster_figure", "raster_png"]

import os
from textwrap import fill

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pyrovp.analysis.findings import Raster
from pyrovp.draw.figures import new_figure, save, whole_numbers

_COLOURS = LinearSegmentedColormap.from_list("raster", ["#e6ebf0", "#1f3b57"]).with_extremes(
    bad="white"
)


def raster_png(path: str | os.PathLike[str], raster: Raster) -> None:
    """Writes the picture of `raster_figure` to a file.

    Args:
        path: The file to write.
        raster: What is shown.

    Raises:
        ValueError: As `raster_figure`.
    """
    save(raster_figure(raster), path)


def raster_figure(raster: Raster) -> Figure:
    """Draws the rows in the order in which they are given, the first on top.

    Args:
        raster: What is shown.

    Raises:
        ValueError: If there is nothing to show, rows differ in length, or values leave [0, 1].
    """
    values = _values(raster)
    count, length = values.shape
    figure = new_figure(10.5, 0.28 * count + 1.1)
    axes = figure.subplots()
    axes.imshow(
        values,
        cmap=_COLOURS,
        vmin=0,
        vmax=1,
        aspect="auto",
        interpolation="nearest",
        extent=(raster.start - 0.5, raster.start + length - 0.5, count, 0),
    )
    for row in range(1, count):
        axes.axhline(row, color="white", linewidth=2.5)
    middle = [row + 0.5 for row in range(count)]
    axes.set_yticks(middle, list(raster.rows), fontsize=9)
    right = axes.secondary_yaxis("right")
    right.set_yticks(middle, [_mean(row) for row in values], fontsize=9)
    for each in (axes, right):
        each.tick_params(length=0, axis="y")
        each.spines[:].set_visible(False)
    axes.tick_params(labelsize=9)
    title = f"{fill(raster.title, 88)}\n0 light, 1 dark; mean at the right"
    axes.set_title(title, fontsize=11, loc="left")
    axes.set_xlabel("frame", fontsize=10)
    whole_numbers(axes)
    return figure


def _values(raster: Raster) -> NDArray[np.float64]:
    shapes = {label: list(row.shape) for label, row in raster.rows.items()}
    first = next(iter(shapes.values()), [])
    if len(first) != 1 or not first[0] or any(shape != first for shape in shapes.values()):
        raise ValueError(
            f"the rows of raster {raster.title!r} must be [T] of one length, none empty; got "
            f"{shapes}"
        )
    values = np.stack([row.detach().double().cpu().numpy() for row in raster.rows.values()])
    outside = (values < 0) | (values > 1)
    if outside.any():
        label = list(raster.rows)[int(outside.any(1).argmax())]
        raise ValueError(
            f"row {label!r} of raster {raster.title!r} leaves [0, 1]: it lies between "
            f"{np.nanmin(values):.4g} and {np.nanmax(values):.4g}; scale it first"
        )
    return values


def _mean(row: NDArray[np.float64]) -> str:
    known = row[np.isfinite(row)]
    return f"{known.mean():.0%}" if len(known) else "-"
