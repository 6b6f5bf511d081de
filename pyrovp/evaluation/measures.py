"""What is measured of every predicted frame, so that frames may come in pieces.

    unit    of the whole truth, once for a batch (what a score is relative to), or nothing
    score   of some frames against the true ones

A score of a frame depends on that frame, the true one and the unit, and on no other frame: so it
does not matter how many frames are scored together. `PSNR`, `SSIM` and `Sharpness` are defined in
`pyrovp.metrics`; a user's own measure is a subclass of `FrameMeasure`.
"""

import abc
from typing import Literal

import torch
from torch import Tensor, device

from pyrovp.metrics import LPIPS as LearnedDistance
from pyrovp.metrics import Protocol, psnr, relative_sharpness, sharpness, ssim

__all__ = ["LPIPS", "PSNR", "SSIM", "FrameMeasure", "Sharpness", "standard_measures"]

_FRAMES = 50  # of a clip at once


class FrameMeasure(abc.ABC):
    """A score of every predicted frame against the true frame.

    Law: `score` treats frames one by one. Frames come clipped where the protocol says so.

    Attributes:
        name: Its key in tables and files.
        better: Which scores are better: the "higher", the "lower", or those nearer to "one".
    """

    name: str
    better: Literal["higher", "lower", "one"] = "higher"

    @abc.abstractmethod
    def label(self, protocol: Protocol) -> str:
        """Its name as it is printed, with its definition."""

    @abc.abstractmethod
    def score(self, prediction: Tensor, truth: Tensor, unit: Tensor | None) -> Tensor:
        """Scores of some frames.

        Shapes:
            prediction, truth: [..., B, t, C, H, W]
            unit: What `unit` returned; broadcasts over the samples in front
            returns: [..., B, t]
        """

    def unit(self, truth: Tensor) -> Tensor | None:
        """What the scores of a batch are relative to.

        Args:
            truth: All true frames [B, horizon, C, H, W].
        """
        return None

    def merit(self, score: Tensor) -> Tensor:
        """A number that is larger where a score is better."""
        if self.better == "one":
            return -(score - 1).abs()
        return -score if self.better == "lower" else score

    def to(self, where: device) -> "FrameMeasure":
        """The measure, ready for frames on that device."""
        return self

    def identity(self) -> str:
        """What decides its scores beside the protocol; scores under two identities differ."""
        return self.name


class PSNR(FrameMeasure):
    """See `pyrovp.metrics.psnr`."""

    name = "psnr"

    def label(self, protocol: Protocol) -> str:
        return protocol.label(self.name)

    def score(self, prediction: Tensor, truth: Tensor, unit: Tensor | None) -> Tensor:
        return psnr(prediction, truth)


class SSIM(FrameMeasure):
    """See `pyrovp.metrics.ssim`.

    Args:
        protocol: Says which SSIM it is.
    """

    name = "ssim"

    def __init__(self, protocol: Protocol) -> None:
        self.preset = protocol.ssim

    def label(self, protocol: Protocol) -> str:
        return protocol.label(self.name)

    def score(self, prediction: Tensor, truth: Tensor, unit: Tensor | None) -> Tensor:
        return ssim(prediction, truth, self.preset)


class Sharpness(FrameMeasure):
    """Sharpness over the truth's; see `pyrovp.metrics.relative_sharpness`."""

    name = "sharpness"
    better = "one"

    def label(self, protocol: Protocol) -> str:
        return protocol.label(self.name)

    def unit(self, truth: Tensor) -> Tensor:
        parts = [sharpness(part) for part in truth.split(_FRAMES, 1)]
        return torch.cat(parts, 1).mean(-1, keepdim=True)

    def score(self, prediction: Tensor, truth: Tensor, unit: Tensor | None) -> Tensor:
        return relative_sharpness(prediction, truth, unit)


class LPIPS(FrameMeasure):
    """Learned perceptual distance.

    Args:
        network: See `pyrovp.metrics.LPIPS`.
    """

    name = "lpips"
    better = "lower"

    def __init__(self, network: LearnedDistance) -> None:
        self.network = network

    def label(self, protocol: Protocol) -> str:
        clip = "clipped" if protocol.clip else "unclipped"
        return f"LPIPS ({self.network.net}, {clip})"

    def score(self, prediction: Tensor, truth: Tensor, unit: Tensor | None) -> Tensor:
        distance: Tensor = self.network(prediction, truth)
        return distance

    def to(self, where: device) -> "LPIPS":
        self.network.to(where)
        return self

    def identity(self) -> str:
        return f"{self.name}/{self.network.net}"


def standard_measures(protocol: Protocol) -> tuple[FrameMeasure, ...]:
    """Those that need nothing but frames: PSNR, SSIM and sharpness."""
    return PSNR(), SSIM(protocol), Sharpness()
