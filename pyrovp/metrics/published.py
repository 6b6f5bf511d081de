"""The papers' own tables, as data: figures to stand beside, never to be mixed in.

    published/cwvae.json    Table 1 (and its mean ranks, drawn as Figure 5), Table 2
    published/tald.json     Table 1
    published/dlh.json      Tables 1, 2, 3, 5
    published/hvrnn.json    Tables 1, 2, 3, and what the text says of two figures

A figure is kept as it is printed, "0.78*" or "0.668 ± 0.04", and read as a number beside it. A
protocol holds what the paper or its released code says, and null where neither does; the notes
of each table say which. Test clips are the authors' own: no figure here was made on ours.
"""

__all__ = ["Paper", "Printed", "PublishedRow", "PublishedTable", "Statement", "published",
           "statements"]  # fmt: skip

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

_FOLDER = resources.files("pyrovp.metrics") / "published"
_NUMBER = re.compile(r"-?(?:\d+\.?\d*|\.\d+)(?:e-?\d+)?")


@dataclass(frozen=True)
class Paper:
    """Where tables come from.

    Args:
        name: As the paper calls its system.
        title, authors: Its own.
        year: Of the first version.
        address: On the web; None where there is no stable one.
    """

    name: str
    title: str
    authors: str
    year: int
    address: str | None


@dataclass(frozen=True)
class Printed:
    """A figure as it is printed.

    Args:
        text: To the letter.

    Example:
        >>> Printed(".97 ± 0.01").value, Printed("0.78*").value, Printed("1.76e-4").value
        (0.97, 0.78, 0.000176)
    """

    text: str

    @property
    def value(self) -> float:
        """The number that the text begins with."""
        found = _NUMBER.match(self.text)
        if found is None:
            raise ValueError(f"a printed figure begins with a number, got {self.text!r}")
        return float(found[0])


@dataclass(frozen=True)
class PublishedRow:
    """A row of a table.

    Args:
        name: As printed.
        system: The same system's name in `pyrovp.models`; None where there is none.
        values: By the key of their column.
        protocol: Protocol of this row; None where the table has none.
        note: What else is known of it.
    """

    name: str
    system: str | None
    values: Mapping[str, Printed]
    protocol: Mapping[str, Any] | None
    note: str


@dataclass(frozen=True)
class PublishedTable:
    """A table of a paper, or its part for one data set.

    Args:
        paper: Which.
        where: Its number.
        title: What it shows.
        data: Name of the data set in `pyrovp.data`; None where it is of several.
        columns: By key, what is printed above them.
        better: By key, whether "higher" or "lower" figures are better; None: neither is.
        rows: In printing order.
        notes: Metrics, protocol and what is not known of them.
    """

    paper: Paper
    where: str
    title: str
    data: str | None
    columns: Mapping[str, str]
    better: Mapping[str, str | None]
    rows: tuple[PublishedRow, ...]
    notes: tuple[str, ...]

    @property
    def predicts(self) -> bool:
        """Whether its figures are scores of predictions, made under a protocol."""
        return any(row.protocol is not None for row in self.rows)


@dataclass(frozen=True)
class Statement:
    """What a paper's text says of figures that it only draws."""

    paper: Paper
    where: str
    data: str | None
    text: str


def published(data: str | None = None) -> tuple[PublishedTable, ...]:
    """The papers' tables.

    Args:
        data: Of this data set alone, by its name in `pyrovp.data`; None: all.

    Example:
        >>> [(table.paper.name, table.where) for table in published("stochastic_moving_mnist")]
        [('HVRNN', 'Table 3')]
    """
    tables = _read()[0]
    return tables if data is None else tuple(table for table in tables if table.data == data)


def statements() -> tuple[Statement, ...]:
    """What the papers say in words."""
    return _read()[1]


@cache
def _read() -> tuple[tuple[PublishedTable, ...], tuple[Statement, ...]]:
    tables: list[PublishedTable] = []
    said: list[Statement] = []
    files = [file for file in _FOLDER.iterdir() if file.name.endswith(".json")]
    for file in sorted(files, key=lambda file: file.name):
        content = json.loads(file.read_text(encoding="utf-8"))
        paper = Paper(**content["paper"])
        tables += [_table(paper, table) for table in content["tables"]]
        said += [Statement(paper, **statement) for statement in content["statements"]]
    return tuple(tables), tuple(said)


def _table(paper: Paper, content: Mapping[str, Any]) -> PublishedTable:
    columns = content["columns"]
    return PublishedTable(
        paper=paper,
        where=content["where"],
        title=content["title"],
        data=content["data"],
        columns={key: column["label"] for key, column in columns.items()},
        better={key: column["better"] for key, column in columns.items()},
        rows=tuple(_row(row, content["protocol"]) for row in content["rows"]),
        notes=tuple(content["notes"]),
    )


def _row(content: Mapping[str, Any], protocol: Mapping[str, Any] | None) -> PublishedRow:
    return PublishedRow(
        name=content["name"],
        system=content["system"],
        values={key: Printed(text) for key, text in content["values"].items()},
        protocol=None if protocol is None else {**protocol, **content.get("protocol", {})},
        note=content.get("note", ""),
    )
