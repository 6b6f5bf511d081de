"""How figures are written: with as many digits as their metric deserves."""

import math
from collections.abc import Sequence

from pyrovp.compare.table import Column, spread

__all__ = ["arrow", "score", "several", "with_spread"]

_DIGITS = {"psnr": 2, "fvd": 1}  # 3 of all others


def score(column: Column, value: float) -> str:
    """A figure of a metric; a dash where there is none.

    Example:
        >>> score(Column("psnr", "PSNR [dB]"), 16.0567), score(Column("ssim", "SSIM"), math.nan)
        ('16.06', '–')
    """
    return f"{value:.{_DIGITS.get(column.metric, 3)}f}" if math.isfinite(value) else "–"


def with_spread(column: Column, mean: float, deviation: float) -> str:
    """A mean with its spread, where it has one."""
    text = score(column, mean)
    return f"{text} ± {score(column, deviation)}" if math.isfinite(deviation) else text


def several(values: Sequence[float]) -> str:
    """Mean and spread of figures of any kind; a dash where there are none.

    Example:
        >>> several([12.5]), several([1.0, 3.0]), several([])
        ('12.5', '2 ± 1.4', '–')
    """
    if not values:
        return "–"
    text = f"{sum(values) / len(values):.4g}"
    return f"{text} ± {spread(values):.2g}" if len(values) > 1 else text


def arrow(column: Column) -> str:
    """Which figures are better: ↑, ↓ or → 1."""
    return {"higher": " ↑", "lower": " ↓", "one": " → 1", None: ""}[column.better]
