"""One unrolled hierarchy on a page: where its places lie, and how nodes and arrows look.

A column is a frame wide, one unit; a level's row is 1.3 units high. Within a tick the memory lies
low at the left, the state high at the right, the gate between the last state and this one. What
comes from frames runs up beside the columns, so that it crosses no node on its way.
"""

__all__ = ["INK", "UNIT", "Panel"]

from collections.abc import Iterable
from typing import Any

from matplotlib.axes import Axes
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch, Polygon, Rectangle

from pyrovp.draw.unrolled import Arrow, Spot, ticks
from pyrovp.outline import Outline, sized

UNIT = 0.56  # inches
INK = "#222222"
COLOURS = {
    "time": "#444444",
    "predict": "#444444",
    "down": "#0072B2",
    "frames": "#D55E00",
    "gate": "#008060",
}

_ROW = 1.3
_BAR = 0.44
_RADIUS = 0.1
_RAIL = 0.36  # right of a column's middle
_LABEL = 1.95  # the room for a row's name
_PLACES = {
    "h": (-0.14, -0.22),
    "z": (0.14, 0.2),
    "e": (-0.3, 0.2),
    "q": (_RAIL, -0.02),
    "x": (0.0, 0.0),
}


class Panel:
    """Draws one unrolled hierarchy.

    Args:
        axes: To draw on; both directions are in units.
        outline: What is drawn.
        frames: The frames that are modelled.
        top: Where the panel begins.
    """

    def __init__(self, axes: Axes, outline: Outline, frames: range, top: float) -> None:
        self.axes, self.outline, self.frames = axes, outline, frames
        depth = len(outline.levels)
        self.middle = {n: top - _ROW * (depth - n + 0.5) for n in range(1, depth + 1)}
        self.middle[0] = top - _ROW * depth - 0.45
        self.given = range(max(0, outline.given - 2), outline.given)

    @staticmethod
    def height(outline: Outline) -> float:
        """In units."""
        return _ROW * len(outline.levels) + 0.85

    @staticmethod
    def left(outline: Outline) -> float:
        """The left edge, in columns."""
        return max(0, outline.given - 2) - 0.55 - _LABEL

    @staticmethod
    def width(outline: Outline, frames: range) -> float:
        """In units."""
        return frames.stop - 0.35 - Panel.left(outline)

    def levels(self) -> None:
        """The rows' names and the bars of their ticks."""
        first = self.given.start if self.given else self.frames.start
        for n, one in enumerate(self.outline.levels, 1):
            y, level = self.middle[n], one.level
            x = first - 0.5 - _LABEL + 0.05
            period = level.clock.period
            every = "every frame" if period == 1 else f"every {period} frames"
            self.axes.text(x, y + 0.36, f"level {n}", fontsize=9, weight="bold", va="center")
            sizes = [f"{k} {sized(s)}" for k, s in (("h", level.memory.output),
                                                    ("z", level.state.output))]  # fmt: skip
            lines = [every, *sizes] if max(map(len, sizes)) > 6 else [every, ", ".join(sizes)]
            for i, line in enumerate(lines):
                text = line.replace(" x ", "\N{MULTIPLICATION SIGN}")
                self.axes.text(x, y + 0.36 - 0.26 * (i + 1), text, fontsize=8.5, va="center",
                               color=INK)  # fmt: skip
            for t in ticks(self.outline, n, self.frames):
                last = t + period - 1
                end = last + _BAR if last < self.frames.stop else self.frames.stop
                self.bar(t - _BAR, end, y, _BAR)
        x = first - 0.5 - _LABEL + 0.05
        self.axes.text(x, self.middle[0], "frames", fontsize=9, weight="bold", va="center")

    def nodes(self) -> None:
        """States, memories, gates and frames."""
        for n, one in enumerate(self.outline.levels, 1):
            for t in ticks(self.outline, n, self.frames):
                gated = one.level.gate is not None and t > self.outline.given
                for kind in "hze" if gated else "hz":
                    self.node(kind, *self.place(Spot(kind, n, t)))
        for t in (*self.given, *self.frames):
            x, y = self.place(Spot("x", 0, t))
            self.node("given" if t in self.given else "x", x, y)
            self.axes.text(x, y, str(t), fontsize=8, ha="center", va="center", zorder=6)

    def place(self, spot: Spot) -> tuple[float, float]:
        """Where a node lies."""
        dx, dy = _PLACES[spot.kind]
        return spot.t + dx, self.middle[spot.level] + dy

    def arrows(self, arrows: Iterable[Arrow], pale: bool = False) -> None:
        """All arrows of a program, in their colours, or pale as a background."""
        for arrow in arrows:
            colour = "#d2d6da" if pale else COLOURS[arrow.kind]
            depth = 2.0 if pale else 3.0
            if arrow.start.kind == "x" and arrow.end.kind != "x":
                self._rail(arrow, colour, depth)
            else:
                self._straight(arrow, colour, depth)
            if arrow.end.kind == "q":
                self.node("q", *self.place(arrow.end))

    def _straight(self, arrow: Arrow, colour: str, depth: float) -> None:
        start, end = arrow.start, arrow.end
        to = self.place(end)
        steep = 0.0
        if start.kind == "held":  # from the bar's edge that is nearer
            up = start.level < end.level
            x = start.t + 0.2 if up else to[0]
            at = (x, self.middle[start.level] + (_BAR if up else -_BAR))
            gap = 0.0
        else:
            at, gap = self.place(start), _RADIUS
            if start.level - end.level > 1:  # past the levels between
                steep = 0.16
        if end.kind == "x":
            to = (to[0] + (0.06 if start.kind != "held" else 0.0), to[1])
        points = UNIT * 72
        into = 0.21 if end.kind == "x" else _RADIUS + 0.02
        out = 0.19 if start.kind == "x" else gap
        self.axes.add_patch(
            FancyArrowPatch(
                at, to, arrowstyle="-|>", mutation_scale=6, color=colour, linewidth=0.9,
                linestyle=(0, (3, 2)) if arrow.may else "-", zorder=depth,
                shrinkA=out * points, shrinkB=into * points,
                connectionstyle=f"arc3,rad={-steep}",
            )
        )  # fmt: skip

    def _rail(self, arrow: Arrow, colour: str, depth: float) -> None:
        """From a frame up beside its column, and into a node."""
        start, (x, y) = self.place(arrow.start), self.place(arrow.end)
        rail = start[0] + _RAIL
        if arrow.end.kind == "h":  # of the next frame: from below
            turn = (rail, y - 0.16)
        else:
            turn = (rail, self.middle[arrow.end.level] - 0.02)
        self.axes.plot(
            [start[0] + 0.19, rail, rail], [start[1], start[1] + 0.05, turn[1]],
            color=colour, linewidth=0.8, zorder=depth, solid_capstyle="round",
        )  # fmt: skip
        if arrow.end.kind == "q":
            return
        nearest = arrow.end.t - (arrow.end.kind == "h")
        if arrow.start.t != nearest:  # one of several frames: gathered on the way
            near = nearest + _RAIL
            self.axes.plot([rail, near], [turn[1]] * 2, color=colour, linewidth=0.8, zorder=depth)
            self.axes.plot(
                *turn, marker="o", markersize=2.5, color=colour, zorder=depth, linewidth=0
            )
            return
        self.axes.add_patch(
            FancyArrowPatch(
                turn, (x, y), arrowstyle="-|>", mutation_scale=6, color=colour, linewidth=0.8,
                shrinkA=0, shrinkB=(_RADIUS + 0.02) * UNIT * 72, zorder=depth,
            )
        )  # fmt: skip

    # How things look

    def node(self, kind: str, x: float, y: float) -> None:
        """A node's symbol, around a point."""
        r = _RADIUS
        look: dict[str, Any] = {
            "facecolor": "white",
            "edgecolor": INK,
            "linewidth": 1.0,
            "zorder": 5,
        }
        if kind == "z":
            self.axes.add_patch(Circle((x, y), r, **look))
        elif kind == "h":
            self.axes.add_patch(Rectangle((x - r, y - r), 2 * r, 2 * r, **look))
        elif kind == "e":
            look |= {"edgecolor": COLOURS["gate"]}
            corners = [(x - r, y), (x, y + r), (x + r, y), (x, y - r)]
            self.axes.add_patch(Polygon(corners, **look))
        elif kind == "q":
            look |= {"edgecolor": COLOURS["frames"]}
            self.axes.add_patch(Rectangle((x - 0.06, y - 0.06), 0.12, 0.12, **look))
        else:
            look |= {"facecolor": "#c9cfd6" if kind == "given" else "white"}
            self.axes.add_patch(Rectangle((x - 0.19, y - 0.15), 0.38, 0.3, **look))

    def bar(self, start: float, end: float, y: float, half: float) -> None:
        """A tick and the frames through which it lasts."""
        pad = half * 0.5
        self.axes.add_patch(
            FancyBboxPatch(
                (start + pad, y - half + pad), end - start - 2 * pad, 2 * (half - pad),
                boxstyle=f"round,pad={pad}", facecolor="#eaf0f6", edgecolor="#b9c6d3",
                linewidth=0.8, zorder=1,
            )
        )  # fmt: skip

    def stroke(self, x: float, y: float, kind: str, may: bool = False) -> None:
        """An arrow for the legend."""
        self.axes.add_patch(
            FancyArrowPatch(
                (x - 0.28, y), (x + 0.28, y), arrowstyle="-|>", mutation_scale=6,
                color=COLOURS[kind], linewidth=0.9, shrinkA=0, shrinkB=0,
                linestyle=(0, (3, 2)) if may else "-",
            )
        )  # fmt: skip
