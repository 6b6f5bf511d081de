"""Checks of what a user passes to a data set: one clear error before any clip is made.

Each function returns the value in its plain Python type, so that a constructor checks and stores
in one line.
"""

import difflib
import math
from collections.abc import Sequence
from numbers import Integral, Real

__all__ = ["fraction", "number", "one_of", "whole"]


def one_of(name: str, value: object, options: Sequence[str]) -> str:
    """Returns `value` if it is one of `options`.

    Raises:
        ValueError: Otherwise, with the nearest option where one is near.

    Example:
        >>> one_of("split", "val", ["train", "validation", "test"])
        Traceback (most recent call last):
        ...
        ValueError: split must be 'train', 'validation' or 'test', got 'val'; \
did you mean 'validation'?
    """
    if isinstance(value, str) and value in options:
        return value
    listed = " or ".join([", ".join(map(repr, options[:-1])), repr(options[-1])])
    near = difflib.get_close_matches(str(value).lower(), options, n=1, cutoff=0.4)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise ValueError(f"{name} must be {listed}, got {value!r}{hint}")


def whole(name: str, value: object, minimum: int = 1) -> int:
    """Returns `value` if it is a whole number of at least `minimum`.

    Raises:
        ValueError: Otherwise.
    """
    if not isinstance(value, Integral) or value < minimum:
        raise ValueError(f"{name} must be a whole number of at least {minimum}, got {value!r}")
    return int(value)


def fraction(name: str, value: object) -> float:
    """Returns `value` if it is a number from 0 to 1, both included.

    Raises:
        ValueError: Otherwise.
    """
    if not isinstance(value, Real) or not 0 <= float(value) <= 1:
        raise ValueError(f"{name} must be a number from 0 to 1, got {value!r}")
    return float(value)


def number(name: str, value: object, above: float = 0.0, most: float = math.inf) -> float:
    """Returns `value` if it is a finite number with `above < value <= most`.

    Raises:
        ValueError: Otherwise.
    """
    if isinstance(value, Real) and math.isfinite(value) and above < float(value) <= most:
        return float(value)
    limit = "" if most == math.inf else f" and at most {most:g}"
    raise ValueError(f"{name} must be a number above {above:g}{limit}, got {value!r}")
