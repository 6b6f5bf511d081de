"""Digits that are squares of one shade, and a reader of shades: what is read is known."""

__all__ = ["SIDE", "ShadeReader", "Squares", "square"]

import numpy as np
import torch
from torch import Tensor

from pyrovp.data import Digits, Split
from pyrovp.metrics import DigitReader

SIDE = 6

_FIRST, _STEP = 0.3, 0.07


class Squares:
    """A handwriting: digit d is a square of brightness 0.3 + 0.07 d, in a margin of one pixel."""

    def load(self, split: Split, size: int) -> Digits:
        labels = np.arange(10)
        images = np.zeros((10, size, size), np.float32)
        images[:, 1:-1, 1:-1] = (_FIRST + _STEP * labels)[:, None, None]
        return Digits(images, labels)

    def source(self, split: Split, size: int) -> str:
        return "squares"

    def sha256(self) -> str:
        return "0" * 64


class ShadeReader(DigitReader):
    """Reads the brightest shade in a picture; a blank one as 0."""

    def __init__(self, size: int = SIDE) -> None:
        super().__init__(size)
        self.accuracy, self.read = 1.0, 10

    def labels(self, pictures: Tensor) -> Tensor:
        return ((pictures.amax((-2, -1)) - _FIRST) / _STEP).round().long().clamp(min=0)


def square(digit: int, corner: tuple[int, int], resolution: int = 24) -> Tensor:
    """One frame [1, R, R] with a digit whose box has its corner (x, y) there."""
    frame = torch.zeros(1, resolution, resolution)
    x, y = corner
    frame[0, y + 1 : y + SIDE - 1, x + 1 : x + SIDE - 1] = _FIRST + _STEP * digit
    return frame
