"""Whether a sample follows a law; each says no to one that does once in a million.

`strays_from_uniform` is Kolmogorov and Smirnov's test: it compares the empirical distribution
function of n values with the exact one. By the inequality of Dvoretzky, Kiefer and Wolfowitz
(Massart's constant) the two are further apart than sqrt(log(2 / a) / 2n) with probability at most
a. `strays_from_even` is Pearson's chi-square test of equally frequent values, with the limit law
of many values. With the fixed seeds of the data sets neither outcome changes from run to run.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

__all__ = ["ALARM", "strays_from_even", "strays_from_uniform"]

ALARM = 1e-6
"""Probability of a false alarm."""


def strays_from_uniform(values: NDArray[np.float64], low: float, high: float) -> bool:
    """Whether values are not from U[low, high]."""
    exact = (np.sort(values) - low) / (high - low)
    n = len(exact)
    steps = np.arange(n + 1) / n
    distance = max(np.abs(exact - steps[1:]).max(), np.abs(exact - steps[:-1]).max())
    return bool(distance > np.sqrt(np.log(2 / ALARM) / (2 * n)))


def strays_from_even(values: NDArray[np.generic], options: Sequence[int]) -> bool:
    """Whether values are not from U{options}; at least 20 of each are expected."""
    counts = np.array([(values == option).sum() for option in options])
    if counts.sum() < values.size:
        return True  # a value that is no option
    expected = values.size / len(options)
    assert expected >= 20, "too few values for the limit law"
    distance = torch.tensor(((counts - expected) ** 2 / expected).sum() / 2)
    freedom = torch.tensor((len(options) - 1) / 2, dtype=distance.dtype)
    return bool(torch.special.gammaincc(freedom, distance) < ALARM)
