r"""A hierarchy as a picture: levels are rows, frames are columns, as in the papers' figures.

    level 2   ( h z               ) ( h z      ...      a bar lasts from a tick to the next one
                |                     |
    level 1   ( h z ) ( h z ) ( h z ) ( h z )
                |       |       |       |
    frames     [0]     [1]     [2]     [3]

Above it the model, what is drawn from what; below, with a guide, the same in pale with what each
belief is inferred from. Dashed is what a gate may do.
"""

__all__ = ["draw_hierarchy", "hierarchy_figure"]

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from textwrap import wrap

import matplotlib
from matplotlib.figure import Figure
from torch import nn

from pyrovp.describe import inferences
from pyrovp.draw.figures import new_figure
from pyrovp.draw.panel import INK, UNIT, Panel
from pyrovp.draw.unrolled import frames_of, generated, inferred
from pyrovp.files import atomic_write
from pyrovp.outline import Inferred, Outline
from pyrovp.state_space import StateSpace

FORMATS = ("svg", "png", "pdf")
SMALL = 8.5  # points

_LINE = 0.145 / UNIT  # its height
_TITLE = 0.5
_SPACED = 1.45  # the legend's lines


def draw_hierarchy(
    model: nn.Module,
    guide: nn.Module | None = None,
    *,
    path: str | os.PathLike[str] | None = None,
    frames: int = 8,
) -> Figure:
    """Draws a hierarchy unrolled over a few frames, and writes the picture.

    Args:
        model: A model, or its hierarchy.
        guide: Its guide; None: the picture is of the model alone.
        path: The file to write, .svg, .png or .pdf; None: none is written.
        frames: Number of columns; up to two of them are given frames.

    Returns:
        The figure, 0.56 inches a column.

    Raises:
        ValueError: If the model has no hierarchy, or for fewer than one frame or another format.
        FileNotFoundError: If the file's folder does not exist.

    Example:
        >>> draw_hierarchy(model, guide, path="hierarchy.svg")          # doctest: +SKIP
    """
    if path is not None and Path(path).suffix.lstrip(".") not in FORMATS:
        raise ValueError(
            f"a picture of a hierarchy is written as {', '.join(FORMATS)}, by the file's suffix, "
            f"got {os.fspath(path)!r}"
        )
    if not isinstance(frames, int) or frames < 1:
        raise ValueError(f"a hierarchy is drawn over 1 or more frames, got frames={frames!r}")
    space = model if isinstance(model, StateSpace) else getattr(model, "hierarchy", None)
    if not isinstance(space, StateSpace):
        raise ValueError(
            "a model with a hierarchy is needed, such as pyrovp.models makes, or the hierarchy "
            f"itself, got a {type(model).__name__}"
        )
    figure = hierarchy_figure(space.outline(), inferences(guide), frames)
    if path is not None:
        # Letters stay letters, and the same picture is the same file.
        dateless = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}, ".png": None}
        with (
            atomic_write(path) as temporary,
            matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "pyrovp"}),
        ):
            figure.savefig(temporary, dpi=220, metadata=dateless[Path(path).suffix])
    return figure


def hierarchy_figure(outline: Outline, guide: Sequence[Inferred] = (), frames: int = 8) -> Figure:
    """The picture of an outline; see `draw_hierarchy`.

    Args:
        outline: Of the model.
        guide: Of its guide; empty: none is shown.
        frames: Number of columns.
    """
    shown = frames_of(outline, frames)
    left, width = Panel.left(outline), Panel.width(outline, shown)
    letters = int((width * UNIT - 0.15) / 0.0725)  # of a line, in inches
    titles = {"model: what is drawn from what": _model_notes(outline)}
    if guide:
        titles["guide: what beliefs are inferred from"] = _guide_notes(guide)
    texts = [[line for note in notes for line in _folded(note, letters)]
             for notes in titles.values()]  # fmt: skip
    legend, columns = _legend(outline, guide), max(1, letters // 36)
    panels = [_TITLE + Panel.height(outline) + len(lines) * _LINE + 0.25 for lines in texts]
    height = sum(panels) + -(-len(legend) // columns) * _LINE * _SPACED + 0.15
    figure = new_figure(width * UNIT, height * UNIT)
    figure.set_layout_engine("none")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set(xlim=(left, left + width), ylim=(0, height))
    top = height
    for title, lines, high in zip(titles, texts, panels, strict=True):
        axes.text(left + 0.1, top - 0.3, title, fontsize=10.5, weight="bold", va="center")
        panel = Panel(axes, outline, shown, top - _TITLE)
        _unrolled(panel, outline, guide if top < height else ())
        below = top - _TITLE - Panel.height(outline)
        for i, line in enumerate(lines, 1):
            axes.text(left + 0.1, below - i * _LINE, line, fontsize=SMALL, va="bottom", color=INK)
        top -= high
    for i, (glyph, text) in enumerate(legend):
        row, column = divmod(i, columns)
        x = left + 0.1 + column * (width - 0.2) / columns
        y = top - (row + 0.5) * _LINE * _SPACED
        glyph(panel, x + 0.3, y)
        axes.text(x + 0.7, y, text, fontsize=SMALL, va="center", color=INK)
    return figure


def _unrolled(panel: Panel, outline: Outline, guide: Sequence[Inferred]) -> None:
    """The model, or, pale under what its guide looks at, the same again."""
    panel.levels()
    panel.arrows(generated(outline, panel.frames), pale=bool(guide))
    panel.arrows(inferred(outline, guide, panel.frames))
    panel.nodes()


def _model_notes(outline: Outline) -> Iterator[str]:
    gates = [type(one.level.gate).__name__ for one in outline.levels if one.level.gate]
    if outline.wiring:
        yield f"wiring: {outline.wiring}"
    memories = dict.fromkeys(type(one.level.memory).__name__ for one in outline.levels)
    states = dict.fromkeys(type(one.level.state).__name__ for one in outline.levels)
    gate = f"; gate: {', '.join(dict.fromkeys(gates))}" if gates else ""
    yield f"memory: {', '.join(memories)}; state: {', '.join(states)}{gate}"
    if outline.emission:
        yield f"frames: {outline.emission}" + (
            ", with a memory of its own" if outline.remembers else ""
        )


def _guide_notes(guide: Sequence[Inferred]) -> Iterator[str]:
    for n, seen in reversed(list(enumerate(guide, 1))):
        beside = ", ".join(map(str, seen.sees))
        text = f"z_{n}: {seen.posterior} of {seen.evidence}" + (f", {beside}" if beside else "")
        yield text + (f"; e_{n}: {seen.gate}" if seen.gate else "")


def _folded(text: str, letters: int) -> list[str]:
    return wrap(text, letters, subsequent_indent="    ")


def _legend(
    outline: Outline, guide: Sequence[Inferred]
) -> list[tuple[Callable[[Panel, float, float], None], str]]:
    """Glyphs and what they mean, of those that the picture has."""
    gated = any(one.level.gate for one in outline.levels)
    held = any(one.level.clock.period > 1 for one in outline.levels)
    looks = any(value.kind == "x" for one in outline.levels for value in one.takes)
    looks = looks or any(one.starts for one in outline.levels)
    many = len(outline.levels) > 1
    entries: list[tuple[bool, Callable[[Panel, float, float], None], str]] = [
        (True, lambda p, x, y: p.node("z", x, y), "z, a state: drawn"),
        (True, lambda p, x, y: p.node("h", x, y), "h, a memory: computed"),
        (gated, lambda p, x, y: p.node("e", x, y), "e, a gate: change or stay"),
        (True, lambda p, x, y: p.node("x", x, y), "a frame"),
        (outline.given > 0, lambda p, x, y: p.node("given", x, y), "a given frame"),
        (
            any(seen.memory != "none" for seen in guide),
            lambda p, x, y: p.node("q", x, y),
            "the guide's own memory",
        ),
        (held, lambda p, x, y: p.bar(x - 0.28, x + 0.28, y, 0.09), "holds until the next tick"),
        (True, lambda p, x, y: p.stroke(x, y, "time"), "in time, and h to z"),
        (True, lambda p, x, y: p.stroke(x, y, "down"), "from above" if many else "to frames"),
        (looks or bool(guide), lambda p, x, y: p.stroke(x, y, "frames"), "from frames"),
        (gated, lambda p, x, y: p.stroke(x, y, "gate"), "what a gate sees"),
        (gated, lambda p, x, y: p.stroke(x, y, "time", may=True), "may: the gate decides"),
    ]
    return [(glyph, text) for there, glyph, text in entries if there]
