"""What an analysis found, in forms that everything can show.

An analysis returns numbers and arrays with labels, never pictures: whoever prints a table, writes
a file or builds a page (`pyrovp.draw`, `pyrovp.report`) knows these few forms and nothing of the
analysis. So a user's own analysis is drawn and reported like ours.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

__all__ = ["Curve", "Findings", "Line", "Raster", "Strip", "Table"]


@dataclass(frozen=True)
class Line:
    """One line of a chart.

    Args:
        y: Its values, one for each x.
        low, high: An interval around it, such as a standard error on each side; or neither.
        x: Its places; None: 0, 1, 2, ...
    """

    y: Sequence[float]
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None
    x: Sequence[float] | None = None


@dataclass(frozen=True)
class Curve:
    """A chart of lines.

    Args:
        title: What it shows, in a sentence without a full stop.
        x, y: What the axes mean, with units.
        lines: By label.
        marks: Places on the x axis that mean something, such as where the context ends: by label.
        log: Whether the x axis is logarithmic.
    """

    title: str
    x: str
    y: str
    lines: Mapping[str, Line]
    marks: Mapping[str, float] = field(default_factory=dict)
    log: bool = False


@dataclass(frozen=True)
class Strip:
    """Films under each other, frame by frame; also one moving picture.

    Args:
        title: What it shows.
        rows: By label, the frames in [0, 1]; all of one length and size.
        start: Time of the first frame.
        seen: How many of the frames were given to the model; they are bordered.

    Shapes:
        rows: [T, C, H, W]
    """

    title: str
    rows: Mapping[str, Tensor]
    start: int = 0
    seen: int = 0


@dataclass(frozen=True)
class Raster:
    """Where something is on, over time.

    Args:
        title: What it shows.
        rows: By label, values in [0, 1] over time.
        start: Time of the first value.

    Shapes:
        rows: [T]
    """

    title: str
    rows: Mapping[str, Tensor]
    start: int = 0


@dataclass(frozen=True)
class Table:
    """Rows of cells; a number is printed with three significant digits or more, None as "-".

    Args:
        title: What it shows.
        columns: Their names, with units.
        rows: As many cells each.

    Raises:
        ValueError: If a row has another number of cells.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str | float | int | None]]

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(
                    f"table {self.title!r} has the columns {list(self.columns)}, but a row has "
                    f"{len(row)} cells: {list(row)}"
                )


@dataclass(frozen=True)
class Findings:
    """All that an analysis found.

    Args:
        facts: Figures, of what JSON can hold.
        exhibits: By file name without a suffix: `Table`, `Curve`, `Strip`, `Raster`.
        sentences: The result in words, for the terminal and the page.
    """

    facts: Mapping[str, Any]
    exhibits: Mapping[str, Table | Curve | Strip | Raster] = field(default_factory=dict)
    sentences: Sequence[str] = ()
