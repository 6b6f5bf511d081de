"""Figures as people read them, and nested facts as a flat list.

None -> -      0.123456 -> 0.1235      12345 -> 12,345      True -> yes
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["flat", "shown", "spoken", "with_error"]

_LISTED = 8  # a list of so many numbers or fewer is written out


def shown(value: Any) -> str:
    """A value in a few characters.

    Example:
        >>> [shown(v) for v in (None, 0.123456, 12345, 2.0, True, float("nan"), "a", [1, 2.5])]
        ['-', '0.1235', '12,345', '2', 'yes', '-', 'a', '1, 2.5']
    """
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(shown, value)) if len(value) <= _LISTED else f"{len(value)} values"
    return str(value)


def with_error(mean: float | None, error: float | None, digits: int) -> str:
    """A mean and its standard error.

    Example:
        >>> with_error(16.884, 0.19, 2), with_error(1.0, None, 2), with_error(None, None, 2)
        ('16.88 ± 0.19', '1.00', '-')
    """
    if mean is None:
        return "-"
    return f"{mean:.{digits}f}" + ("" if error is None else f" ± {error:.{digits}f}")


def spoken(seconds: float) -> str:
    """A time.

    Example:
        >>> spoken(7.4), spoken(250), spoken(7322)
        ('7 s', '4 min 10 s', '2 h 2 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def flat(facts: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested facts with dotted names.

    Example:
        >>> list(flat({"a": {"b": 1, "c": [2]}, "d": None}))
        [('a.b', 1), ('a.c', [2]), ('d', None)]
    """
    for key, value in facts.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
