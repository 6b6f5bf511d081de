"""Mean rank over data sets and metrics: one number for each model.

In every column of every data set's main table the models are ranked by their means over seeds; 1
is best, and equals share the better rank. A model's mean rank is the mean over all these columns.
From the figures of CW-VAE's Table 1 this gives the mean ranks that it prints (Figure 5).

Means over different columns are no ranking. So only models that stand in all columns take part;
tables of a single model, and metrics of which it is not known which figures are better (or of
which none is, as of sharpness, that should be 1), give no column.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pyrovp.compare.figures import LeftOut
from pyrovp.compare.sections import Section
from pyrovp.compare.table import Column, Row

__all__ = ["Ranks", "mean_ranks", "ranked"]


@dataclass(frozen=True)
class Ranks:
    """Mean ranks.

    Args:
        means: By model, the best first.
        columns: What the ranks are over: titles of data sets and metrics.
        left_out: Models that do not take part.
    """

    means: Mapping[str, float]
    columns: tuple[tuple[str, Column], ...]
    left_out: tuple[LeftOut, ...]


def ranked(scores: Sequence[float], better: str) -> list[int]:
    """The rank of each score, from 1; equals share the better rank.

    Args:
        scores: Of one metric.
        better: "higher" or "lower".

    Example:
        >>> ranked([0.65, 0.56, 0.66, 0.56], "higher")
        [2, 3, 1, 3]
    """
    sign = 1 if better == "higher" else -1
    return [1 + sum(sign * other > sign * score for other in scores) for score in scores]


def mean_ranks(sections: Sequence[Section]) -> Ranks | None:
    """The mean ranks over these data sets; None where fewer than two models can be ranked."""
    fields = {
        (section.title, column): _entrants(section, column)
        for section in sections
        for column in section.main.columns
        if column.better in ("higher", "lower")
    }
    fields = {place: entrants for place, entrants in fields.items() if len(entrants) > 1}
    if not fields:
        return None
    names = list(dict.fromkeys(name for entrants in fields.values() for name in entrants))
    taking = [name for name in names if all(name in entrants for entrants in fields.values())]
    left = tuple(LeftOut(n, _missing(n, fields)) for n in names if n not in taking)
    if len(taking) < 2:
        return Ranks({}, tuple(fields), left)
    sums = dict.fromkeys(taking, 0)
    for (_, column), entrants in fields.items():
        places = ranked([entrants[name] for name in taking], column.better or "")
        for name, place in zip(taking, places, strict=True):
            sums[name] += place
    means = {name: total / len(fields) for name, total in sums.items()}
    return Ranks(dict(sorted(means.items(), key=lambda pair: pair[1])), tuple(fields), left)


def _entrants(section: Section, column: Column) -> dict[str, float]:
    """The models with a number in a column."""
    rows: list[Row] = [row for row in section.main.of("model") if column in row.cells]
    means = {row.name: row.cells[column].mean for row in rows}
    return {name: mean for name, mean in means.items() if math.isfinite(mean)}


def _missing(name: str, fields: Mapping[tuple[str, Column], Mapping[str, float]]) -> str:
    lacking = [f"{c.label} on {title}" for (title, c), e in fields.items() if name not in e]
    return f"no figure for {', '.join(lacking)}"
