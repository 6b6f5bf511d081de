r"""Docstrings as they are written here, for a reader that expects reStructuredText.

- Mathematics is an indented block after a paragraph, which would be taken for a quotation and
  re-flowed: `::` before it says that it is literal. The text of a section (`Args:`) follows its
  heading without a blank line and is left to napoleon.
- `.mean`, `|x|` and `[..., *dims]` mean what they say; a backslash tells.
- A property's docstring is a sentence; napoleon takes what stands before its colon for a type.
"""

import re
from typing import Any

from sphinx.application import Sphinx

__all__ = ["escaped", "literal", "setup"]


def literal(lines: list[str]) -> list[str]:
    """The lines of a docstring with its indented blocks marked as literal, all else escaped.

    Example:
        >>> literal(["A level waits:", "", "    z = |z|", "", "and |t| goes on."])
        ['A level waits:', '', '::', '', '    z = |z|', '', 'and \\\\|t\\\\| goes on.']
    """
    result: list[str] = []
    before, verbatim, doctest = "", False, False
    for i, line in enumerate(lines):
        if not line.strip():
            doctest = False
            result.append(line)
            continue
        indented = line.startswith(" ")
        if not indented:
            verbatim = before.endswith("::")
        elif i and not lines[i - 1].strip() and before and not before.startswith(" "):
            if not before.endswith("::"):
                result += ["::", ""]
            verbatim = True
        doctest = doctest or line.lstrip().startswith(">>>")
        result.append(line if (verbatim and indented) or doctest else escaped(line))
        before = line
    return result


def escaped(line: str) -> str:
    r"""A line whose bars and single stars are themselves.

    Example:
        >>> print(escaped("|x|, *dims and *this* of `Level`s"))
        \|x\|, \*dims and *this* of `Level`\ s
    """
    line = re.sub(r"(?<!`)`(\.[^`]+)`(?!`)", r"``\1``", line)  # .mean names no target
    line = re.sub(r"(?<!\\)\|", r"\\|", line)
    line = re.sub(r"(?<![\w*\\])\*(?=[\w.])(?![^*]*\w\*)", r"\\*", line)
    return re.sub(r"(`[^`]+`)(?=\w)", r"\1\\ ", line)


def setup(app: Sphinx) -> dict[str, bool]:
    """Asks Sphinx to be called before napoleon reads a docstring, and once it has."""
    sentences: dict[str, list[str]] = {}

    def before(_: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
        lines[:] = literal(lines)
        if what in ("attribute", "data", "property"):
            sentences[name] = list(lines)

    def after(_: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
        lines[:] = sentences.pop(name, lines)

    app.connect("autodoc-process-docstring", before, priority=400)
    app.connect("autodoc-process-docstring", after, priority=550)
    return {"parallel_read_safe": True}
