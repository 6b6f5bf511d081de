"""Names of the random choices: the addresses by which everything finds them.

A latent site is `{kind}_{level}_{t}`: `z_2_36` is the state of level 2 at the tick of frame 36.
Levels count from 1 (fastest, nearest to the frames), frames from 0. The kinds:

| kind     | what stands there                                                          |
|----------|----------------------------------------------------------------------------|
| `z`      | the stochastic state of a level                                            |
| `e`      | the gate: 1 = the level changes, 0 = it stays                              |
| `elogit` | a relaxed gate's value in logit space, from which `e` is derived           |
| `belief` | the parameters of the belief a gated level holds; log-density 0, its value travels |
| `frames` | the observed video, one site for all frames                                |
"""

import re
from functools import lru_cache
from typing import NamedTuple

__all__ = ["BELIEF", "FRAMES", "GATE", "LOGIT_GATE", "STATE", "Site", "parse", "site"]

STATE = "z"
GATE = "e"
LOGIT_GATE = "elogit"
BELIEF = "belief"
FRAMES = "frames"

_LEVEL_KINDS = (STATE, GATE, LOGIT_GATE, BELIEF)
_PATTERN = re.compile(rf"({'|'.join(_LEVEL_KINDS)})_([1-9]\d*)_(\d+)")


class Site(NamedTuple):
    """What a site's name says.

    Args:
        kind: One of `z`, `e`, `elogit`, `belief`.
        level: The level, from 1.
        t: The frame of the tick, from 0.
    """

    kind: str
    level: int
    t: int


def site(kind: str, level: int, t: int) -> str:
    """The name of a level's random choice.

    Args:
        kind: `STATE`, `GATE`, `LOGIT_GATE` or `BELIEF`.
        level: From 1, the fastest.
        t: The frame, from 0.

    Example:
        >>> site(STATE, level=2, t=36)
        'z_2_36'
    """
    return f"{kind}_{level}_{t}"


@lru_cache(maxsize=65536)
def parse(name: str) -> Site | None:
    """Reads a site's name; None where it is not a level's (`frames`, a plate, a user's own).

    Example:
        >>> parse("belief_3_0")
        Site(kind='belief', level=3, t=0)
        >>> parse("frames") is None
        True
    """
    match = _PATTERN.fullmatch(name)
    if match is None:
        return None
    return Site(match[1], int(match[2]), int(match[3]))
