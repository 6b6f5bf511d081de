"""From figures to tables: one for every protocol and set of test clips.

Figures stand in one table only where protocol, test split and the very clips are the same, and in
one column only where their metric has the same definition.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from pyrovp.compare.figures import Figures, Score
from pyrovp.compare.settings import differing, learned, named
from pyrovp.compare.table import Cell, Column, Row, Table
from pyrovp.words import counted

__all__ = ["tables_of"]


def tables_of(figures: Iterable[Figures]) -> list[Table]:
    """All tables, in the order in which their first figures come.

    Args:
        figures: Of all runs, one record for each; see `pyrovp.compare.duplicates`.
    """
    kept = list(figures)
    split_of = {(f.data, f.clips): f.split for f in kept if f.split is not None}
    groups: dict[tuple[str, str, str | None, str], list[Figures]] = {}
    for one in kept:
        # An early run did not say its split; the same clips are of the same one.
        split = one.split or split_of.get((one.data, one.clips))
        key = (one.data, str(one.protocol["hash"]), split, one.clips)
        groups.setdefault(key, []).append(one)
    keys = _telling(groups.values())
    return [_table(group, split, keys) for (_, _, split, _), group in groups.items()]


def _telling(groups: Iterable[Sequence[Figures]]) -> dict[str, list[str]]:
    """By model, the settings in which its runs of one table differ, in any table."""
    keys: dict[str, list[str]] = {}
    for group in groups:
        for model in dict.fromkeys(one.model for one in group):
            kinds = [learned(one.settings) for one in group if one.model == model]
            keys[model] = list(dict.fromkeys([*keys.get(model, []), *differing(kinds)]))
    return keys


def _table(
    group: Sequence[Figures], split: str | None, keys: Mapping[str, Sequence[str]]
) -> Table:
    head = group[0]
    columns = tuple(
        dict.fromkeys(
            Column(metric, label, one.better.get(metric))
            for one in group
            for metric, label in one.labels.items()
        )
    )
    rows = _models(group, columns, keys)
    names = dict.fromkeys(name for one in group for name in one.rows)
    for name in names:
        if name not in ("model", "average_sample"):
            cells = _cells(group, columns, name)
            rows.append(Row(name.replace("_", " "), "baseline", cells))
    return Table(
        data=head.data,
        protocol=head.protocol,
        split=split,
        clips=head.clips,
        sequences=head.sequences,
        first=head.first,
        columns=columns,
        rows=tuple(rows),
        settings=head.settings,
    )


def _models(
    group: Sequence[Figures], columns: Sequence[Column], keys: Mapping[str, Sequence[str]]
) -> list[Row]:
    """A row for every configuration, and one for its average sample."""
    configurations: dict[tuple[Any, ...], list[Figures]] = {}
    for one in group:
        # Steps of the best weights are not a choice, but found.
        steps = one.step if one.weights == "last" else None
        key = (one.run.parent.name, one.weights, one.batch_statistics, steps)
        configurations.setdefault(key, []).append(one)
    found = [sorted(runs, key=lambda one: one.seed) for runs in configurations.values()]
    names = _names(found, keys)
    models, averages = [], []
    for name, runs in zip(names, found, strict=True):
        parts: dict[str, Any] = {
            "seeds": tuple(one.seed for one in runs),
            "steps": tuple(one.step for one in runs),
            "runs": tuple(str(one.run) for one in runs),
            "parameters": runs[0].parameters,
        }
        inside = {
            what: tuple(one.inside[what] for one in runs if what in one.inside)
            for what in dict.fromkeys(what for one in runs for what in one.inside)
        }
        models.append(Row(name, "model", _cells(runs, columns, "model"), inside=inside, **parts))
        if average := _cells(runs, columns, "average_sample"):
            averages.append(Row(f"{name}, average sample", "average sample", average, **parts))
    return models + averages


def _names(
    configurations: Sequence[Sequence[Figures]], keys: Mapping[str, Sequence[str]]
) -> list[str]:
    """Different names: by settings, then by weights, then by steps, at last by the folder."""
    heads = [runs[0] for runs in configurations]
    names = [named(one.model, one.settings, keys[one.model]) for one in heads]
    more = [
        [f", {one.weights} weights" for one in heads],
        [", batch statistics" * one.batch_statistics for one in heads],
        [f", {counted(one.step, 'step')}" for one in heads],
        [f", {one.run.parent.name.rpartition('-')[2]}" for one in heads],
    ]
    for suffixes in more:
        twice = {name for name in names if names.count(name) > 1}
        pairs = list(zip(names, suffixes, strict=True))
        telling = {n for n in twice if len({suffix for name, suffix in pairs if name == n}) > 1}
        names = [name + suffix if name in telling else name for name, suffix in pairs]
    return names


def _cells(group: Sequence[Figures], columns: Sequence[Column], row: str) -> dict[Column, Cell]:
    """The cells of a row, for the columns in which all of these figures stand."""
    cells = {}
    for column in columns:
        scores = [
            one.rows[row][column.metric]
            for one in group
            if one.labels.get(column.metric) == column.label
            and column.metric in one.rows.get(row, {})
        ]
        if scores and (row not in ("model", "average_sample") or len(scores) == len(group)):
            cells[column] = _cell(scores)
    return cells


def _cell(scores: Sequence[Score]) -> Cell:
    return Cell(
        values=np.array([score.mean for score in scores]),
        first=np.array([score.first for score in scores]),
        errors=np.array([score.standard_error for score in scores]),
        curves=np.array([score.per_frame for score in scores]),
    )
