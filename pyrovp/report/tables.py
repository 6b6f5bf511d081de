"""Tables on the page: figures at the right, their columns sortable where scripts run.

A cell has the number that it is sorted by beside the text that is read.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pyrovp.report.html import Html, join, tag
from pyrovp.report.values import flat, shown, with_error
from pyrovp.words import counted

__all__ = ["Cell", "exhibit_table", "facts_table", "pairs", "scores_table", "table"]


class Cell(NamedTuple):
    """What is read, and what is sorted by: None stands last."""

    text: str
    value: float | None = None


def table(caption: str, columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> Html:
    """A table whose first cells name their rows.

    Args:
        caption: What it shows.
        columns: Names, the first that of the rows' names.
        rows: As many cells each.
    """
    figures = [any(row[i].value is not None for row in rows) for i in range(len(columns))]
    aligned = ["number" if figure else None for figure in figures]
    heads = zip(columns, aligned, strict=True)
    head = tag("tr", *(tag("th", name, scope="col", class_=class_) for name, class_ in heads))
    body = [
        tag(
            "tr",
            tag("th", row[0].text, scope="row"),
            *(_cell(cell, class_) for cell, class_ in zip(row[1:], aligned[1:], strict=True)),
        )
        for row in rows
    ]
    # The caption stands outside: a scrolled one could not be read on a narrow screen.
    made = tag(
        "table", tag("thead", head), tag("tbody", *body), class_="sortable", aria_label=caption
    )
    scrolled = tag("div", made, class_="scroll", tabindex=0, role="region", aria_label=caption)
    return tag("div", tag("p", caption, class_="caption"), scrolled, class_="table")


def _cell(cell: Cell, class_: str | None) -> Html:
    value = None if cell.value is None else repr(float(cell.value))
    return tag("td", cell.text, class_=class_, data_value=value)


def exhibit_table(title: str, columns: Sequence[Any], rows: Sequence[Sequence[Any]]) -> Html:
    """A `Table` that an analysis found."""
    cells = [[_typed(value) for value in row] for row in rows]
    return table(title, [str(column) for column in columns], cells)


def scores_table(metrics: Mapping[str, Any]) -> Html:
    """The model beside every baseline, of `pyrovp.metrics.metrics_table`.

    Raises:
        KeyError, TypeError: If it is no such table.
    """
    protocol, first = metrics["protocol"], metrics["first"]
    spans = {counted(protocol["horizon"], "frame"): ""}
    if first < protocol["horizon"]:
        spans[f"first {first}"] = "first_"
    labels: Mapping[str, str] = metrics["labels"]
    columns = ["prediction", *(f"{label}, {span}" for label in labels.values() for span in spans)]
    rows = [
        [Cell(str(name).replace("_", " "))]
        + [_score(row[metric], part, metric) for metric in labels for part in spans.values()]
        for name, row in metrics["rows"].items()
    ]
    samples, sequences = protocol["samples"], metrics["sequences"]
    caption = (
        f"Protocol {protocol['name']} ({protocol['hash']}): context {protocol['context']}, "
        f"{sequences} sequence{'s' * (sequences > 1)}, {samples} sample{'s' * (samples > 1)}"
        + (f", {protocol['selection']}" if samples > 1 else "")
        + ("; mean ± standard error over sequences" if sequences > 1 else "")
    )
    return table(caption, columns, rows)


def _score(score: Mapping[str, Any], part: str, metric: str) -> Cell:
    mean, error = score[f"{part}mean"], score[f"{part}standard_error"]
    return Cell(with_error(mean, error, 2 if metric == "psnr" else 3), mean)


def facts_table(facts: Mapping[str, Any]) -> Html | None:
    """Nested facts as two columns, behind a line that opens them; None where there are none."""
    rows = [
        tag("tr", tag("th", name, scope="row"), tag("td", shown(value)))
        for name, value in flat(facts)
    ]
    if not rows:
        return None
    listed = tag("div", tag("table", tag("tbody", *rows)), class_="scroll", tabindex=0)
    return tag("details", tag("summary", join("all figures (", str(len(rows)), ")")), listed)


def pairs(facts: Mapping[str, str]) -> Html:
    """Short facts side by side."""
    each = (tag("div", tag("dt", key), tag("dd", value)) for key, value in facts.items())
    return tag("dl", *each)


def _typed(value: Any) -> Cell:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return Cell(shown(value), value if number else None)
