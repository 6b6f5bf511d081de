r"""Outlines: who reads what, of a model and of a guide, in plain values.

    takes       what moves a level's memory h at a tick
    predicts    what the prior of its state z sees
    decides     what the prior of its gate e sees
    emits       what a frame is made of
    sees        what the posterior of z sees, beside the evidence of frames

Texts, tables and pictures of a hierarchy are made from nothing else, so a state space of one's own
is described and drawn as soon as it has an `outline`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass
from functools import partial
from typing import Any, Literal, NamedTuple

from pyrovp.cells import Start
from pyrovp.levels import Level
from pyrovp.sizes import Map, Size

__all__ = ["Inferred", "LevelOutline", "Outline", "Value", "brief", "named", "sized"]


class Value(NamedTuple):
    """Something that is read.

    Args:
        kind: `z` a state, `h` a memory, `c` a context on its way down, `e` a gate, `x` a frame.
        level: Of which level, from 1; 0 for frames.
        last: Whether it is that of the tick before, or the frame before.
    """

    kind: Literal["z", "h", "c", "e", "x"]
    level: int = 0
    last: bool = False

    def __str__(self) -> str:
        name = "frame" if self.kind == "x" else f"{self.kind}_{self.level}"
        return f"last {name}" if self.last else name


@dataclass(frozen=True)
class LevelOutline:
    """A level of a model.

    Args:
        level: Its description.
        takes: What its memory takes in.
        predicts: What its prior sees.
        decides: What its gate sees; empty without a gate.
        starts: Whether its memory starts from the given frames.
    """

    level: Level
    takes: tuple[Value, ...] = ()
    predicts: tuple[Value, ...] = ()
    decides: tuple[Value, ...] = ()
    starts: bool = False


@dataclass(frozen=True)
class Outline:
    """A model.

    Args:
        levels: From level 1 upwards.
        wiring: How the levels are joined, in a word or two; "" where nobody says.
        encoder: What looks at frames.
        emission: What makes frames.
        emits: What it makes a frame of.
        remembers: Whether the emission has a memory of its own.
        given, tail: Frames before and after those that are modelled.
    """

    levels: tuple[LevelOutline, ...]
    wiring: str = ""
    encoder: str = ""
    emission: str = ""
    emits: tuple[Value, ...] = ()
    remembers: bool = False
    given: int = 0
    tail: int = 0


@dataclass(frozen=True)
class Inferred:
    """What a guide does for a level.

    Args:
        posterior: The name of the state's posterior.
        evidence: What it sees of the frames, in words.
        sees: What it sees beside them.
        frames: Frames of one tick's evidence, from the tick on.
        memory: Whether evidence passes through a memory of the guide's own, and which way in
            time.
        resets: Whether that memory starts anew where a gate opens.
        gate: How the gate is inferred; "" without one.
    """

    posterior: str
    evidence: str
    sees: tuple[Value, ...] = ()
    frames: int = 1
    memory: Literal["none", "forward", "backward"] = "none"
    resets: bool = False
    gate: str = ""


def named(values: Sequence[Value]) -> str:
    """Values in a row.

    Example:
        >>> named([Value("z", 1, last=True), Value("c", 2)]), named([])
        ('last z_1, c_2', '-')
    """
    return ", ".join(map(str, values)) or "-"


def sized(size: Size) -> str:
    """A vector's length, or a map's channels and place.

    Example:
        >>> sized(20), sized(Map(512, 8))
        ('20', '512 x 8 x 8')
    """
    if isinstance(size, Map):
        return f"{size.channels} x {size.resolution} x {size.resolution}"
    return str(size)


def brief(part: Any) -> str:
    """A description's name, with the networks and distributions that it is made of.

    Example:
        >>> from pyrovp.emission import GaussianFrames
        >>> from pyrovp.nets import DCGANDecoder
        >>> brief(GaussianFrames(partial(DCGANDecoder, channels=1), std=0.2))
        'GaussianFrames(DCGANDecoder, std 0.2)'
    """
    if not is_dataclass(part):
        return type(part).__name__
    inside = []
    for field in fields(part):
        value = getattr(part, field.name)
        if isinstance(value, partial):
            value = value.func
        if isinstance(value, float):
            inside.append(f"{field.name} {value:.4g}")
        elif isinstance(value, type):
            inside.append(value.__name__)
        elif is_dataclass(value) and not isinstance(value, Start):
            inside.append(brief(value))
    return type(part).__name__ + (f"({', '.join(inside)})" if inside else "")
