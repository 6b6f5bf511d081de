r"""A table of runs under one protocol: its columns, its rows and their cells.

A row is one configuration, trained with one or several seeds s, with scores m_s:

    mean = (1/S) sum m_s,    spread = sd(m_s) with S - 1,

the randomness of training. (The standard error over the sequences, which each run's own table
prints, is another thing; it is kept beside.) Rows of baselines are means over all runs of a
table; theirs differ where a baseline knows the training clips.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["Cell", "Column", "Row", "Table", "spread"]


@dataclass(frozen=True)
class Column:
    """A metric with its definition.

    Args:
        metric: Its key.
        label: As it is printed; two definitions have two labels.
        better: Which figures are: "higher", "lower", or nearer to "one"; None: not said.
    """

    metric: str
    label: str
    better: str | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Cell:
    """The figures of a row by one metric.

    Args:
        values: By seed, or one for each run of a baseline.
        first: The same over the near future.
        errors: The standard errors over the sequences.
        curves: At each predicted frame; empty for figures of whole clips.

    Shapes:
        values, first, errors: [S]
        curves: [S, horizon]
    """

    values: NDArray[np.float64]
    first: NDArray[np.float64]
    errors: NDArray[np.float64]
    curves: NDArray[np.float64]

    @property
    def mean(self) -> float:
        """Over seeds; nan where one of them has no number."""
        return float(self.values.mean())

    @property
    def spread(self) -> float:
        """Standard deviation over seeds; nan for one seed."""
        return spread(self.values)

    @property
    def error(self) -> float:
        """Mean of the standard errors over the sequences."""
        return float(self.errors.mean())


@dataclass(frozen=True)
class Row:
    """A configuration or a baseline.

    Args:
        name: As it is printed.
        kind: What it is.
        cells: By column.
        seeds: Of a model's runs.
        steps: Trained, by run.
        runs: Their folders.
        parameters: How many; 0 for baselines.
        inside: What the model did, in words -> a figure for each run that has it.
    """

    name: str
    kind: Literal["model", "average sample", "baseline"]
    cells: Mapping[Column, Cell]
    seeds: tuple[int, ...] = ()
    steps: tuple[int, ...] = ()
    runs: tuple[str, ...] = ()
    parameters: int = 0
    inside: Mapping[str, tuple[float, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Table:
    """All figures under one protocol on one set of clips.

    Args:
        data: Name of the data set.
        protocol: All of its fields.
        split: Hash of the test material; None where no run said.
        clips: Fingerprint of the clips.
        sequences, first: How many clips; frames of the near future.
        columns: In printing order.
        rows: Models, average samples and baselines, in this order.
        settings: Of one of the runs, by dotted key.
    """

    data: str
    protocol: Mapping[str, Any]
    split: str | None
    clips: str
    sequences: int
    first: int
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    settings: Mapping[str, Any]

    def of(self, *kinds: str) -> list[Row]:
        """The rows of these kinds."""
        return [row for row in self.rows if row.kind in kinds]


def spread(values: Sequence[float] | NDArray[np.float64]) -> float:
    """Standard deviation with N - 1; nan for one value.

    Example:
        >>> spread([1.0, 2.0, 3.0])
        1.0
    """
    return float(np.std(values, ddof=1)) if len(values) > 1 else math.nan
