"""The comparison as CSV: a line for every row and metric, with all that belongs to the figure."""

import csv
import io
import math
from collections.abc import Iterator, Sequence

from pyrovp.compare.sections import Section, beside, protocol_text
from pyrovp.compare.table import Cell, Column, Row, Table

__all__ = ["spreadsheet"]

HEADER = (
    "data", "protocol", "protocol_hash", "context", "horizon", "samples", "test_split",
    "test_clips", "sequences", "apart", "kind", "row", "metric", "definition", "mean", "spread",
    "seeds", "values", "standard_error", "first_mean", "steps", "parameters", "runs",
)  # fmt: skip


def spreadsheet(sections: Sequence[Section]) -> str:
    """All tables and all published figures of their data sets.

    `spread` is the standard deviation over seeds, `standard_error` over the sequences, `apart` why
    a figure is not compared with those of the first table of its data set.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEADER)
    for section in sections:
        reasons = ["", *("; ".join(one.reasons) for one in section.apart)]
        for table, reason in zip(section.tables, reasons, strict=True):
            writer.writerows(_own(section, table, reason))
        writer.writerows(_published(section))
    return text.getvalue()


def _own(section: Section, table: Table, reason: str) -> Iterator[list[str]]:
    protocol = table.protocol
    where = [
        section.title, protocol["name"], protocol["hash"], protocol["context"],
        protocol["horizon"], protocol["samples"], table.split or "", table.clips, table.sequences,
        reason,
    ]  # fmt: skip
    for row in table.rows:
        for column, cell in row.cells.items():
            yield [*map(str, where), row.kind, row.name, *_cell(column, cell, row)]


def _cell(column: Column, cell: Cell, row: Row) -> list[str]:
    return [
        column.metric,
        column.label,
        _number(cell.mean),
        _number(cell.spread),
        " ".join(map(str, row.seeds)),
        " ".join(map(_number, cell.values.tolist())),
        _number(cell.error),
        _number(float(cell.first.mean())),
        " ".join(map(str, dict.fromkeys(row.steps))),
        str(row.parameters) if row.parameters else "",
        " ".join(row.runs),
    ]


def _published(section: Section) -> Iterator[list[str]]:
    for one in beside(section.main, section.published):
        protocol = one.row.protocol or {}
        lengths = [protocol.get(key) for key in ("context", "horizon", "samples")]
        where = [
            section.title, protocol_text(protocol), "",
            *("" if length is None else str(length) for length in lengths),
            "", "", "", one.reason,
        ]  # fmt: skip
        for metric, printed in one.row.values.items():
            figures = [metric, one.table.columns[metric], printed.text, *[""] * 8]
            yield [*where, "published", one.name, *figures]


def _number(value: float) -> str:
    return repr(value) if math.isfinite(value) else ""
