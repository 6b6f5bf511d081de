"""The comparison in Markdown, padded so that it reads as well on a terminal."""

import math
from collections.abc import Mapping, Sequence

from pyrovp.compare.figures import LeftOut
from pyrovp.compare.numbers import arrow, score, several, with_spread
from pyrovp.compare.ranks import Ranks
from pyrovp.compare.sections import Beside, Section, beside, protocol_text
from pyrovp.compare.table import Column, Row, Table
from pyrovp.metrics.published import published

__all__ = ["left_out_markdown", "ranks_markdown", "section_markdown"]

_KINDS = {"model": "{}", "average sample": "{}", "baseline": "*{}*"}


def section_markdown(section: Section, pictures: Mapping[int, str]) -> str:
    """A data set: its tables, and what papers print.

    Args:
        section: The data set.
        pictures: By the number of a table in it, the picture's file.
    """
    parts = [f"## {section.title}"]
    shown: set[tuple[str, str, str]] = set()
    for number, table in enumerate(section.tables):
        if number:
            reasons = "; ".join(section.apart[number - 1].reasons)
            parts += [
                f"### Apart: protocol {_name(table)}",
                f"Not compared with the first table of {section.title}: {reasons}.",
            ]
        same = [one for one in beside(table, section.published) if not one.differs]
        shown |= {_key(one) for one in same}
        parts += [_head(table), _scores(table, same), *_notes(same)]
        if inner := _inside(table):
            parts.append(inner)
        if number in pictures:
            parts.append(f"![scores of {section.title}]({pictures[number]})")
    others = [one for one in beside(section.main, section.published) if _key(one) not in shown]
    if others:
        parts.append(_published_apart(section, others))
    return "\n\n".join(parts)


def ranks_markdown(ranks: Ranks | None, picture: str | None) -> str:
    """Mean ranks, and beside them the published ones.

    Args:
        ranks: Ours; None where there is nothing to rank.
        picture: Their picture's file; None where there is none.
    """
    parts = ["## Mean rank over data sets and metrics"]
    if ranks is None:
        parts.append("None: it takes two models in one column.")
    elif not ranks.means:
        parts.append("None: no two models stand in all columns.")
    else:
        count = len(ranks.columns)
        over = "; ".join(f"{column.label} on {title}" for title, column in ranks.columns)
        parts.append(f"1 is best; over {count} column{'s' * (count > 1)}: {over}.")
        rows = [[name, f"{mean:.2f}"] for name, mean in ranks.means.items()]
        parts.append(_grid(["model", "mean rank"], rows))
        if picture:
            parts.append(f"![mean ranks]({picture})")
    if ranks is not None and ranks.left_out:
        lines = [f"- not ranked: {one.what}: {one.reason}" for one in ranks.left_out]
        parts.append("\n".join(lines))
    for table in published():
        if "mean_rank" in table.columns:
            texts = [f"{row.name} {row.values['mean_rank'].text}" for row in table.rows]
            parts.append(
                f"Published ({table.paper.name}, {table.where}), among the paper's own models: "
                f"{', '.join(texts)}."
            )
    return "\n\n".join(parts)


def left_out_markdown(left_out: Sequence[LeftOut]) -> str:
    """What was not read, and why."""
    return "\n".join(["## Left out", "", *(f"- {one.what}: {one.reason}" for one in left_out)])


def _name(table: Table) -> str:
    return f"{table.protocol['name']} ({table.protocol['hash']})"


def _head(table: Table) -> str:
    split = "not recorded" if table.split is None else table.split
    return (
        f"Protocol {_name(table)}: {protocol_text(table.protocol)}. "
        f"{table.sequences} clip{'s' * (table.sequences > 1)} ({table.clips}), test split {split}."
    )


def _scores(table: Table, same: Sequence[Beside]) -> str:
    """Models, baselines and published figures of one protocol."""
    near = table.first < table.protocol["horizon"]
    header = ["", "seeds", "steps"]
    for column in table.columns:
        whole = f"{column.label}{arrow(column)}"
        header.append(whole)
        if near and _has_near(table, column):
            header.append(f"first {table.first}")
    models = table.of("model")
    best = {column: _best(column, models) for column in table.columns}
    rows = []
    for row in table.rows:
        seeds = ", ".join(map(str, row.seeds))
        steps = ", ".join(str(step) for step in dict.fromkeys(row.steps))
        cells = [_KINDS[row.kind].format(row.name), seeds, steps]
        for column in table.columns:
            cells.append(_cell(row, column, row is best[column]))
            if near and _has_near(table, column):
                cells.append(_near(row, column))
        rows.append(cells)
    for one in same:
        cells = [f"*{one.name}*", "", ""]
        for column in table.columns:
            printed = one.row.values.get(column.metric)
            cells.append(f"*{_literal(printed.text)}*" if printed else "–")
            if near and _has_near(table, column):
                cells.append("–")
        rows.append(cells)
    return _grid(header, rows)


def _has_near(table: Table, column: Column) -> bool:
    cells = [row.cells[column] for row in table.rows if column in row.cells]
    return any(math.isfinite(value) for cell in cells for value in cell.first)


def _best(column: Column, rows: Sequence[Row]) -> Row | None:
    """The best model of a column, where there are several and it is known which is better."""
    entrants = [row for row in rows if column in row.cells]
    entrants = [row for row in entrants if math.isfinite(row.cells[column].mean)]
    if len(entrants) < 2 or column.better is None:
        return None
    merit = {"higher": lambda x: x, "lower": lambda x: -x, "one": lambda x: -abs(x - 1)}
    return max(entrants, key=lambda row: merit[str(column.better)](row.cells[column].mean))


def _cell(row: Row, column: Column, best: bool) -> str:
    if column not in row.cells:
        return "–"
    cell = row.cells[column]
    text = with_spread(column, cell.mean, _told(row, cell.spread))
    return f"**{text}**" if best else text


def _near(row: Row, column: Column) -> str:
    if column not in row.cells:
        return "–"
    return score(column, float(row.cells[column].first.mean()))


def _told(row: Row, deviation: float) -> float:
    """The spread of a row; a baseline that knows nothing of the training has none."""
    return math.nan if row.kind == "baseline" and deviation < 1e-9 else deviation


def _notes(same: Sequence[Beside]) -> list[str]:
    """What is to be known of the published rows beside our own."""
    lines = []
    first = {(one.table.paper.name, one.table.where): one for one in reversed(same)}
    for (paper, where), one in reversed(first.items()):
        silent = f" The paper does not say: {', '.join(one.unknown)}." if one.unknown else ""
        notes = " ".join(one.table.notes) + silent
        lines.append(f"- {paper}, {where}: on the authors' own test clips. {notes}")
    return ["\n".join(lines)] if lines else []


def _inside(table: Table) -> str:
    """KLs, gates and reconstructions."""
    rows = [row for row in table.of("model") if row.inside]
    names = list(dict.fromkeys(name for row in rows for name in row.inside))
    if not names:
        return ""
    cells = [
        [row.name, f"{row.parameters:,}", *(several(row.inside.get(name, ())) for name in names)]
        for row in rows
    ]
    return _grid(["", "parameters", *names], cells)


def _published_apart(section: Section, others: Sequence[Beside]) -> str:
    metrics = dict.fromkeys(key for one in others for key in one.row.values)
    labels = [next(o.table.columns[m] for o in others if m in o.table.columns) for m in metrics]
    rows = []
    for one in others:
        figures = [one.row.values.get(metric) for metric in metrics]
        texts = [_literal(figure.text) if figure else "–" for figure in figures]
        rows.append([f"*{one.name}*", *texts, one.reason])
    return "\n\n".join([
        "### Apart: published under other protocols",
        f"Not compared with the first table of {section.title}, and on the authors' own clips.",
        _grid(["", *labels, "what differs"], rows, words=(0, len(labels) + 1)),
    ])  # fmt: skip


def _key(one: Beside) -> tuple[str, str, str]:
    return one.table.paper.name, one.table.where, one.row.name


def _literal(text: str) -> str:
    """A figure with stars that are not Markdown's."""
    return text.replace("*", "\\*")


def _grid(
    header: Sequence[str], rows: Sequence[Sequence[str]], words: Sequence[int] = (0,)
) -> str:
    """A Markdown table whose columns are as wide as their widest cell.

    Args:
        header: What stands above the columns.
        rows: Their cells.
        words: Numbers of the columns that begin at the left; the others end at the right.
    """
    lines = [[cell.replace("|", "\\|") for cell in line] for line in (header, *rows)]
    widths = [max(3, *(len(line[i]) for line in lines)) for i in range(len(header))]
    texts = []
    for line in lines:
        cells = [
            cell.ljust(width) if i in words else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        texts.append(f"| {' | '.join(cells)} |")
    rules = ["-" * w if i in words else f"{'-' * (w - 1)}:" for i, w in enumerate(widths)]
    return "\n".join([texts[0], f"| {' | '.join(rules)} |", *texts[1:]])
