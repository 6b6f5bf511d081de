"""Charts share one look, and no global state.

A `Figure` with its own Agg canvas needs no display, no pyplot registry and no backend choice: it
is an ordinary object, drawn in any thread or process and collected when it is dropped.
"""

__all__ = ["LEVELS", "new_figure", "save", "tidy", "whole_numbers"]

import os

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pyrovp.files import atomic_write

LEVELS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Colours of level 1, 2, 3, ...: the palette of Okabe and Ito, repeated for deep hierarchies."""


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of a size in inches at 110 pixels per inch, laid out without overlaps."""
    figure = Figure(figsize=(width, height), dpi=110, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def tidy(axes: Axes, title: str = "", x: str = "", y: str = "") -> None:
    """Labels axes and leaves only the lines that carry information."""
    axes.set_title(title, fontsize=11, loc="left")
    axes.set_xlabel(x, fontsize=10)
    axes.set_ylabel(y, fontsize=10)
    axes.tick_params(labelsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.set_axisbelow(True)


def whole_numbers(axes: Axes) -> None:
    """Puts the ticks of the horizontal axis at whole numbers only: frames and steps."""
    axes.xaxis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10], integer=True))


def save(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Writes the figure as PNG, whole or not at all.

    Raises:
        FileNotFoundError: If the folder does not exist.
    """
    with atomic_write(path) as temporary:
        figure.savefig(temporary, format="png")
