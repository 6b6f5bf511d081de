"""The comparison in pictures.

    scores      above: at each predicted frame, mean over seeds; its band is their spread
                below: over the whole horizon; a dot for each seed, a bar for their spread
    ranks       mean rank of each model, 1 being best

The average of several samples has its model's colour, dotted and hollow. Baselines are grey.
Published figures are hollow diamonds, beside a table of their protocol only.
"""

import math
import os
from collections.abc import Mapping, Sequence
from textwrap import shorten

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pyrovp.compare.numbers import arrow
from pyrovp.compare.sections import Beside
from pyrovp.compare.table import Cell, Column, Row, Table
from pyrovp.draw.figures import LEVELS, new_figure, save, tidy, whole_numbers
from pyrovp.words import counted

__all__ = ["ranks_png", "scores_figure", "scores_png"]

_MOST = 6  # so many metrics fit into a picture
_STYLES = ("-", "--", "-.")  # of the first six models, the next six, ...
_COLOURS = LEVELS[:6]
_GREYS = (
    ("#555555", "--"),
    ("#555555", ":"),
    ("#bbbbbb", "-"),
    ("#888888", "-."),
    ("#222222", (0, (6, 1, 1, 1, 1, 1))),
)


def scores_png(
    path: str | os.PathLike[str], title: str, table: Table, same: Sequence[Beside]
) -> None:
    """Writes the picture of `scores_figure` to a file."""
    save(scores_figure(title, table, same), path)


def scores_figure(title: str, table: Table, same: Sequence[Beside]) -> Figure:
    """Draws one panel a metric in each line, the first six metrics.

    Args:
        title: Of the data set.
        table: What is drawn.
        same: Published figures of its protocol.
    """
    columns = table.columns[:_MOST]
    rows = table.of("model", "average sample")
    below = 1.2 + 0.3 * (len(rows) + len(same))
    figure = new_figure(max(7.0, 4.6 * len(columns)), 4.6 + below)
    panels = figure.subplots(
        2, len(columns), squeeze=False, gridspec_kw={"height_ratios": [3.4, below]}
    )
    for i, column in enumerate(columns):
        _curves(panels[0][i], table, column)
        _dots(panels[1][i], table, column, same, names=i == 0)
    protocol = table.protocol
    figure.suptitle(
        f"{title}: protocol {protocol['name']} ({protocol['hash']}), context "
        f"{protocol['context']}, {counted(protocol['samples'], 'sample')}, "
        f"{counted(table.sequences, 'clip')}; mean ± spread over seeds",
        fontsize=11,
    )
    found: dict[str, Artist] = {}
    for axes in panels.flat:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    labels = list(found)
    lines = -(-len(labels) // (3 * len(columns)))
    figure.legend(
        list(found.values()), labels, loc="outside lower center",
        ncols=-(-len(labels) // max(1, lines)), frameon=False, fontsize=9,
    )  # fmt: skip
    return figure


def ranks_png(path: str | os.PathLike[str], means: Mapping[str, float], columns: int) -> None:
    """Writes a bar for each model, the best on top.

    Args:
        path: The file to write.
        means: Mean rank by model.
        columns: Over how many columns.
    """
    figure = new_figure(7.0, 1.4 + 0.36 * len(means))
    axes = figure.subplots()
    places = np.arange(len(means))[::-1]
    axes.barh(places, list(means.values()), color=_COLOURS[0], height=0.62)
    for place, value in zip(places, means.values(), strict=True):
        axes.text(value, place, f" {value:.2f}", va="center", fontsize=9)
    axes.set_yticks(places, [_short(name) for name in means])
    axes.set_xlim(0, len(means) + 0.5)
    title = f"Mean rank over {columns} column{'s' * (columns > 1)} (data sets and metrics)"
    tidy(axes, title=title, x=f"rank, 1 is best and {len(means)} worst")
    axes.grid(visible=False, axis="y")
    save(figure, path)


def _curves(axes: Axes, table: Table, column: Column) -> None:
    """Scores at each predicted frame."""
    tidy(axes, title=f"{column.label}{arrow(column)}", x="predicted frame")
    drawn = False
    for row, colour, style in _looks(table):
        cell = row.cells.get(column)
        if cell is None or not cell.curves.size:
            continue
        drawn = True
        frames = np.arange(1, cell.curves.shape[1] + 1)
        mean = cell.curves.mean(0)
        model = row.kind != "baseline"
        axes.plot(
            frames, mean, color=colour, linestyle=style, linewidth=1.8 if model else 1.2,
            label=_short(row.name), zorder=3 if model else 2,
            marker="o" if len(frames) <= 2 else None,
        )  # fmt: skip
        if model and len(cell.curves) > 1:
            deviation = cell.curves.std(0, ddof=1)
            axes.fill_between(
                frames, mean - deviation, mean + deviation, color=colour, alpha=0.15, lw=0
            )
    if drawn:
        whole_numbers(axes)
    else:
        axes.text(0.5, 0.5, "of whole clips", ha="center", transform=axes.transAxes, fontsize=9)
        axes.set_xticks([])
        axes.set_yticks([])


def _dots(
    axes: Axes, table: Table, column: Column, same: Sequence[Beside], *, names: bool
) -> None:
    """Scores over the whole horizon: a line for each model and each published figure."""
    looks = _looks(table)
    models = [look for look in looks if look[0].kind != "baseline"]
    count = len(models) + len(same)
    for i, (row, colour, _) in enumerate(models):
        if cell := row.cells.get(column):
            _dot(axes, cell, count - 1 - i, colour, hollow=row.kind == "average sample")
    for i, one in enumerate(same, len(models)):
        if printed := one.row.values.get(column.metric):
            axes.plot(
                printed.value, count - 1 - i, marker="D", markersize=6, color="#555555",
                fillstyle="none", linestyle="none",
            )  # fmt: skip
    for row, colour, style in looks:
        cell = row.cells.get(column)
        if row.kind == "baseline" and cell is not None:
            axes.axvline(cell.mean, color=colour, linestyle=style, linewidth=1.2, zorder=1,
                         label=_short(row.name))  # fmt: skip
    texts = [_short(row.name) for row, _, _ in models] + [_short(one.name) for one in same]
    axes.set_yticks(range(count - 1, -1, -1), texts if names else [""] * count)
    axes.set_ylim(-0.6, count - 0.4)
    tidy(axes, x=f"{column.label}, {counted(table.protocol['horizon'], 'frame')}")


def _dot(axes: Axes, cell: Cell, place: int, colour: str, *, hollow: bool) -> None:
    face = "white" if hollow else colour
    if len(cell.values) > 1:
        axes.plot(cell.values, [place] * len(cell.values), ".", color=colour, alpha=0.5, zorder=3)
    deviation = cell.spread if math.isfinite(cell.spread) else None
    axes.errorbar(
        cell.mean, place, xerr=deviation, fmt="o", color=colour, markerfacecolor=face,
        markersize=6, capsize=3, zorder=4,
    )  # fmt: skip


def _looks(table: Table) -> list[tuple[Row, str, object]]:
    """Every row with its colour and line style."""
    looks: list[tuple[Row, str, object]] = []
    for i, row in enumerate(table.of("model")):
        looks.append((row, _COLOURS[i % len(_COLOURS)], _STYLES[i // len(_COLOURS) % 3]))
    colours = {row.runs: colour for row, colour, _ in looks}
    looks += [(row, colours[row.runs], ":") for row in table.of("average sample")]
    greys = [(row, *_GREYS[i % len(_GREYS)]) for i, row in enumerate(table.of("baseline"))]
    return looks + greys


def _short(name: str) -> str:
    return shorten(name, 46, placeholder="…")
