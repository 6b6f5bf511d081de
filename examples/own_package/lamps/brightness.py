"""A metric: how wrong a predicted frame's brightness is, wherever the lamp is.

| mean of all pixels of x̂_t / mean of all pixels of x_t  -  1 |
"""

from torch import Tensor

from pyrovp.evaluation import FrameMeasure
from pyrovp.metrics import Protocol

__all__ = ["Brightness"]


class Brightness(FrameMeasure):
    """Error of the mean brightness, as a fraction of the true one.

    Args:
        least: True means below this count as this much, since black frames have none.
    """

    name = "brightness"
    better = "lower"

    def __init__(self, least: float = 0.01) -> None:
        self.least = least

    def label(self, protocol: Protocol) -> str:
        """Its name in tables."""
        return "brightness error"

    def score(self, prediction: Tensor, truth: Tensor, unit: Tensor | None) -> Tensor:
        """[..., B, t, C, H, W] -> [..., B, t]"""
        true = truth.mean((-3, -2, -1)).clamp(min=self.least)
        return (prediction.mean((-3, -2, -1)) / true - 1).abs()
