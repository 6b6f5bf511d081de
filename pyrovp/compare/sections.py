"""Data sets, each with its tables, and what the papers print for it.

The first table of a data set is the one with most models; the others are listed apart, each with
the reason why its figures do not stand in the first. Two data sets of one name, such as digits of
two speeds, are two data sets.

Published figures stand beside a table whose protocol is theirs, as far as the paper says what it
was; all others are listed apart, with what differs. They are never ranked with our runs: the
papers' test clips were the authors' own.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pyrovp.compare.settings import differing, named, of_clips
from pyrovp.compare.table import Table
from pyrovp.metrics import ssim_preset
from pyrovp.metrics.published import PublishedRow, PublishedTable, published

__all__ = ["Apart", "Beside", "Section", "beside", "protocol_text", "sections_of"]

_FIELDS = ("context", "horizon", "samples", "ssim", "clip")


@dataclass(frozen=True)
class Apart:
    """A table that is not compared with the first of its data set.

    Args:
        table: It.
        reasons: Why not.
    """

    table: Table
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Section:
    """A data set.

    Args:
        title: Its name, with the settings that tell it from others of that name.
        main: The table with most models.
        apart: The others.
        published: What papers print for data of this name.
    """

    title: str
    main: Table
    apart: tuple[Apart, ...]
    published: tuple[PublishedTable, ...]

    @property
    def tables(self) -> list[Table]:
        """All tables, the main one first."""
        return [self.main, *(one.table for one in self.apart)]


@dataclass(frozen=True)
class Beside:
    """A published row, seen from a table.

    Args:
        table, row: It.
        differs: What is different in its protocol.
        unknown: What the paper does not say.
    """

    table: PublishedTable
    row: PublishedRow
    differs: tuple[str, ...]
    unknown: tuple[str, ...]

    @property
    def name(self) -> str:
        """As it is printed: with the paper and the table it is from."""
        return f"{self.row.name} (published: {self.table.paper.name}, {self.table.where})"

    @property
    def reason(self) -> str:
        """What differs and what is not known, in words; empty for the same protocol."""
        unknown = f"the paper does not say: {', '.join(self.unknown)}" if self.unknown else ""
        return "; ".join(filter(None, [*self.differs, unknown]))


def sections_of(tables: Iterable[Table]) -> list[Section]:
    """The data sets of these tables, in the order in which they come."""
    groups: dict[tuple[str, str], list[Table]] = {}
    for table in tables:
        groups.setdefault((table.data, repr(_material(table))), []).append(table)
    kinds: dict[str, list[Mapping[str, Any]]] = {}
    for (data, _), group in groups.items():
        kinds.setdefault(data, []).append(_material(group[0]))
    keys = {data: differing(several) for data, several in kinds.items()}
    return [_section(data, group, keys[data]) for (data, _), group in groups.items()]


def beside(table: Table, tables: Sequence[PublishedTable]) -> list[Beside]:
    """The published rows of scores, each with what differs from a table's protocol."""
    return [
        Beside(one, row, *_compared(row.protocol, table.protocol))
        for one in tables
        for row in one.rows
        if row.protocol is not None
    ]


def protocol_text(protocol: Mapping[str, Any]) -> str:
    """A protocol in words.

    Example:
        >>> protocol_text({"context": 36, "horizon": None, "samples": 1, "ssim": "svg",
        ...                "clip": False})
        'context 36, horizon not stated, 1 sample, SSIM svg, unclipped'
    """
    context, horizon, samples, ssim, clip = (protocol.get(field) for field in _FIELDS)
    best = f" ({protocol['selection']})" if protocol.get("selection", "none") != "none" else ""
    return ", ".join([
        f"context {_said(context)}",
        f"horizon {_said(horizon)}",
        f"{_said(samples)} sample{'s' * (samples != 1)}{best}",
        f"SSIM {_said(ssim['name'] if isinstance(ssim, Mapping) else ssim)}",
        "clipping not stated" if clip is None else "clipped" if clip else "unclipped",
    ])  # fmt: skip


def _said(value: Any) -> str:
    return "not stated" if value is None else str(value)


def _material(table: Table) -> dict[str, Any]:
    return of_clips(table.settings)


def _section(data: str, group: Sequence[Table], keys: Sequence[str]) -> Section:
    main = max(group, key=lambda table: (len(table.of("model")), table.sequences))
    return Section(
        title=named(data, _material(main), keys),
        main=main,
        apart=tuple(Apart(t, tuple(_reasons(t, main))) for t in group if t is not main),
        published=published(data),
    )


def _reasons(table: Table, main: Table) -> list[str]:
    """Why two tables of one data set are two."""
    differs, _ = _compared(table.protocol, main.protocol)
    reasons = [f"another protocol: {', '.join(differs)}"] if differs else []
    if None in (table.split, main.split) and table.split != main.split:
        reasons.append("the test split of one of them is not recorded")
    elif table.split != main.split:
        reasons.append(f"another test split: {table.split} instead of {main.split}")
    if table.sequences != main.sequences:
        reasons.append(f"other clips: {table.sequences} instead of {main.sequences}")
    return reasons or ["other clips of the same split"]


def _compared(
    protocol: Mapping[str, Any] | None, ours: Mapping[str, Any]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What differs between a protocol and ours, in words, and what is not known of it."""
    theirs: Mapping[str, Any] = protocol or {}
    differs, unknown = [], []
    for field in _FIELDS:
        value = theirs.get(field)
        if value is None:
            unknown.append({"ssim": "SSIM", "clip": "clipping"}.get(field, field))
        elif field == "ssim":
            if _definition(value) != _definition(ours["ssim"]):
                name = value["name"] if isinstance(value, Mapping) else value
                differs.append(f"SSIM {name} instead of {ours['ssim']['name']}")
        elif value != ours[field]:
            words = ("unclipped", "clipped")
            pair = (words[value], words[ours[field]]) if field == "clip" else (value, ours[field])
            prefix = "" if field == "clip" else f"{field} "
            differs.append(f"{prefix}{pair[0]} instead of {pair[1]}")
    return tuple(differs), tuple(unknown)


def _definition(ssim: str | Mapping[str, Any]) -> dict[str, Any]:
    """What counts of an SSIM: all but its name."""
    fields = dict(ssim) if isinstance(ssim, Mapping) else asdict(ssim_preset(ssim))
    return {key: value for key, value in fields.items() if key != "name"}
