r"""A hierarchy unrolled over a few frames, as places and arrows.

    time      h -> h, z -> h at the level's next tick;  z -> z where a gate may leave it as it is
    predict   h -> z
    down      what a level is handed from above, and what a frame is made of
    frames    from frames to memories, and to what a guide infers
    gate      what a gate sees, and the gate of the level above, which opens only where this does

A level that does not tick at a frame still stands there: arrows from it start at its `held` place.
"""

__all__ = ["Arrow", "Spot", "frames_of", "generated", "inferred", "ticks"]

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from pyrovp.outline import Inferred, LevelOutline, Outline, Value


class Spot(NamedTuple):
    """A place in the picture.

    Args:
        kind: `z`, `h`, `e`, `x`; `held`, a level as a whole; `q`, a guide's own memory.
        level: From 1; 0 for frames.
        t: The frame.
    """

    kind: str
    level: int
    t: int


class Arrow(NamedTuple):
    """From one place to another.

    Args:
        start, end: The places.
        kind: What it stands for, see above.
        may: Whether a gate decides about it.
    """

    start: Spot
    end: Spot
    kind: Literal["time", "predict", "down", "frames", "gate"]
    may: bool = False


def frames_of(outline: Outline, count: int) -> range:
    """The frames that are modelled, where `count` are shown in all, two given ones among them."""
    shown = min(outline.given, 2)
    return range(outline.given, outline.given + max(1, count - shown))


def ticks(outline: Outline, n: int, frames: range) -> list[int]:
    """The frames at which level n ticks; clocks count from the first frame that is modelled."""
    clock = outline.levels[n - 1].level.clock
    return [t for t in frames if clock.ticks(t - outline.given)]


def generated(outline: Outline, frames: range) -> Iterator[Arrow]:
    """The arrows of the model."""
    for n, one in enumerate(outline.levels, 1):
        before = None
        for t in ticks(outline, n, frames):
            yield from _tick(outline, n, one, t, before)
            before = t
    for t in frames:
        yield from _from_above(outline, outline.emits, Spot("x", 0, t))
        if Value("x", last=True) in outline.emits:
            yield Arrow(Spot("x", 0, t - 1), Spot("x", 0, t), "frames")


def _tick(
    outline: Outline, n: int, one: LevelOutline, t: int, before: int | None
) -> Iterator[Arrow]:
    h, z, e = (Spot(kind, n, t) for kind in "hze")
    yield from _from_above(outline, one.takes, h)
    yield from _from_above(outline, one.predicts, z)
    yield Arrow(h, z, "predict")
    first = t - min(outline.given, 2) if one.starts and before is None else t - 1
    if Value("x", last=True) in one.takes or first < t - 1 or (one.starts and before is None):
        for frame in range(first, t):
            yield Arrow(Spot("x", 0, frame), h, "frames")
    if before is None:
        return
    last = Spot("z", n, before)
    yield Arrow(Spot("h", n, before), h, "time")
    if Value("z", n, last=True) in one.takes:
        yield Arrow(last, h, "time")
    if one.level.gate is None:
        return
    yield Arrow(last, e, "time", may=True)
    yield Arrow(e, z, "time", may=True)
    for value in one.decides:
        if value == Value("z", n, last=True):
            continue  # the held state, which is there already
        if value.last and value.level != n:
            yield Arrow(Spot("held", value.level, t - 1), e, "gate")
        else:
            at = before if value.last else t
            yield Arrow(Spot(value.kind, value.level, at), e, "gate", may=value.kind == "e")


def _from_above(outline: Outline, values: Sequence[Value], end: Spot) -> Iterator[Arrow]:
    """From each level above that is read: its state, or the level as a whole where it holds."""
    for level in dict.fromkeys(value.level for value in values):
        kinds = {v.kind for v in values if v.level == level and not v.last}
        if level <= end.level or not kinds & {"z", "c", "h"}:
            continue
        clock = outline.levels[level - 1].level.clock
        alone = "h" not in kinds and clock.ticks(end.t - outline.given)
        yield Arrow(Spot("z" if alone else "held", level, end.t), end, "down")


def inferred(outline: Outline, guide: Sequence[Inferred], frames: range) -> Iterator[Arrow]:
    """The arrows of the guide's beliefs; those of the model stand for the rest."""
    for n, seen in enumerate(guide, 1):
        at = ticks(outline, n, frames)
        for i, t in enumerate(at):
            z, q = Spot("z", n, t), Spot("q", n, t)
            yield from _from_above(outline, seen.sees, z)
            if Value("h", n) in seen.sees:
                yield Arrow(Spot("h", n, t), z, "predict")
            for frame in range(t, min(t + seen.frames, frames.stop)):
                yield Arrow(Spot("x", 0, frame), z if seen.memory == "none" else q, "frames")
            if seen.memory == "none":
                continue
            yield Arrow(q, z, "frames")
            if i:
                ends = Spot("q", n, at[i - 1]), q
                start, end = ends if seen.memory == "forward" else ends[::-1]
                yield Arrow(start, end, "frames", may=seen.resets)
