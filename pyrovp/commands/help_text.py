"""What `--help` prints: usage, what a command does, its groups, its keys, its flags.

    train.steps=600    Updates of the weights.

What a command does, with examples, is its script's docstring; what a key means and its default are
read from the settings' classes; what a name of a group stands for is its file's first comment. So
each is written once.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from inspect import cleandoc
from pathlib import Path
from textwrap import TextWrapper
from typing import Any, get_type_hints

__all__ = ["COMMON", "commented", "key_rows", "meanings", "page"]

_WIDTH = 99
_COLUMN = 26  # of the left column, at most

COMMON = {
    "--cfg job": "prints every key and its value, without running",
    "--config-dir=FOLDER": "adds your own configurations, see experiments/conf/README.md",
    "-sc install=bash": "completion of groups, names and keys, see experiments/conf/README.md",
    "--hydra-help": "what else Hydra offers",
}
"""Flags that all commands have."""


def page(usage: str, about: str | None, sections: Mapping[str, Mapping[str, str]]) -> str:
    """The whole text.

    Args:
        usage: What is typed.
        about: The script's docstring, or nothing.
        sections: Title -> rows, of what is typed and what it does.
    """
    text = cleandoc(about or "").replace(" See --help.", "")
    parts = [f"usage: {usage}", *([text] if text else [])]
    for title, rows in sections.items():
        if rows:
            parts.append(f"{title}:\n{_laid_out(rows)}")
    return "\n\n".join(parts)


def key_rows(settings: type[Any], keys: Sequence[str]) -> dict[str, str]:
    """Keys with their defaults, and what they mean; those that are explained together are a row.

    Args:
        settings: A dataclass with a section `Args`.
        keys: Dotted where a setting is a dataclass itself.

    Example:
        >>> from pyrovp.runs.settings import Settings
        >>> key_rows(Settings, ["train.batch", "evaluate.context", "evaluate.horizon"])
        {'train.batch=16': 'Sequences per step.', 'evaluate.context=12 evaluate.horizon=12': \
'Frames given and predicted.'}
    """
    rows: dict[tuple[Any, str], list[str]] = {}
    for key in keys:
        *way, name = key.split(".")
        inside = settings
        for section in way:
            inside = get_type_hints(inside)[section]
        meaning = meanings(inside)[name]
        rows.setdefault((inside, meaning), []).append(f"{key}={_default(inside, name)}")
    return {" ".join(written): meaning for (_, meaning), written in rows.items()}


def meanings(settings: type[Any]) -> dict[str, str]:
    """What each argument means, by the section `Args` of a class's docstring, in YAML's words."""
    found: dict[str, str] = {}
    text = cleandoc(settings.__doc__ or "").partition("\nArgs:\n")[2]
    for entry in re.split(r"\n(?=    \w)", re.split(r"\n\n\S", text)[0]):
        names, _, meaning = entry.strip().partition(":")
        for name in names.split(", "):
            found[name] = re.sub(r"\bNone\b", "null", " ".join(meaning.split()))
    return found


def commented(group: str, names: Sequence[str], folders: Sequence[Path]) -> dict[str, str]:
    """The first comment of each file of a group.

    Args:
        group: Its name.
        names: Of the files, without a suffix.
        folders: Of configurations; the first that has a file counts, as for Hydra.
    """
    found = {}
    for name in names:
        paths = (folder / group / f"{name}.yaml" for folder in folders)
        text = next((path.read_text() for path in paths if path.is_file()), "")
        first = re.search(r"^# (?!@package)(.*)", text, re.MULTILINE)
        found[name] = first[1] if first else ""
    return found


def _default(settings: type[Any], name: str) -> str:
    """A setting's default as one would type it."""
    (found,) = (one for one in fields(settings) if one.name == name)
    value = found.default if found.default is not MISSING else None
    return (
        str(value).lower() if isinstance(value, bool) else "null" if value is None else str(value)
    )


def _laid_out(rows: Mapping[str, str]) -> str:
    """Two columns; a long entry of the left one has a line to itself."""
    width = max([len(typed) for typed in rows if len(typed) <= _COLUMN], default=0) + 2
    lines = []
    for typed, text in rows.items():
        fill = TextWrapper(_WIDTH, subsequent_indent=" " * (2 + width), break_long_words=False)
        if len(typed) > _COLUMN:
            lines.append(f"  {typed}")
            fill.initial_indent = fill.subsequent_indent
        else:
            fill.initial_indent = f"  {typed:{width}}"
        lines.append(fill.fill(text) or f"  {typed}")
    return "\n".join(lines)
