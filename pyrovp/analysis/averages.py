r"""Figures over sequences: the mean of B of them, with its standard error s / √B.

One sequence has a mean and no error.
"""

from collections.abc import Sequence

from torch import Tensor

from pyrovp.analysis.findings import Line

__all__ = ["average", "average_line", "with_error"]


def average(values: Tensor) -> tuple[float, float | None]:
    """Mean and standard error over sequences; no error of a single one.

    Args:
        values: One for each sequence, [B].

    Example:
        >>> import torch
        >>> average(torch.tensor([1.0, 3.0]))
        (2.0, 1.0)
        >>> average(torch.tensor([5.0]))
        (5.0, None)
    """
    values = values.detach().double().cpu()
    error = values.std().item() / len(values) ** 0.5 if len(values) > 1 else None
    return values.mean().item(), error


def average_line(values: Tensor, x: Sequence[float]) -> Line:
    """The mean over sequences as a line, with its standard error on each side.

    Args:
        values: [B, N].
        x: The N places.
    """
    values = values.detach().double().cpu()
    mean = values.mean(0)
    if len(values) < 2:
        return Line(mean.tolist(), x=list(x))
    error = values.std(0) / len(values) ** 0.5
    return Line(mean.tolist(), (mean - error).tolist(), (mean + error).tolist(), list(x))


def with_error(mean: float, error: float | None) -> str:
    """A mean and its error in words.

    Example:
        >>> with_error(12.345, 0.5), with_error(12.345, None)
        ('12.35 ± 0.5', '12.35')
    """
    return f"{mean:.4g}" if error is None else f"{mean:.4g} ± {error:.2g}"
