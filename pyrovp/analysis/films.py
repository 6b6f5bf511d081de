r"""What analyses measure of films, and how they hand them on to be shown.

    distance      rms over a frame's pixels, sqrt(mean (a - b)²), in intensities
    scores        PSNR in dB and SSIM (preset `svg`) of every frame, clipped to [0, 1]

A cost is a difference on the same clips, so that its standard error is that of the differences.
"""

from collections.abc import Mapping
from typing import TypedDict

from torch import Tensor

from pyrovp.analysis.averages import average
from pyrovp.metrics.psnr import psnr
from pyrovp.metrics.ssim import ssim

__all__ = ["SHOWN", "SSIM", "Figures", "distance", "figures", "film", "scores"]

SSIM = "svg"
"""The preset of SSIM in analyses."""

SHOWN = 3
"""How many clips are shown; all are measured."""


class Figures(TypedDict):
    """Means over clips and frames, with standard errors over clips; no error of a single clip."""

    psnr: float
    psnr_error: float | None
    ssim: float
    ssim_error: float | None


def distance(a: Tensor, b: Tensor) -> Tensor:
    """Root mean square difference of frames, in intensities.

    Shapes:
        a, b: [..., C, H, W]
        returns: [...]
    """
    return (a - b).square().mean((-3, -2, -1)).sqrt()


def scores(made: Tensor, truth: Tensor) -> dict[str, Tensor]:
    """`psnr` in dB and `ssim` of every frame, both films clipped to [0, 1].

    Shapes:
        made, truth: [B, T, C, H, W]
        returns: [B, T] each
    """
    made, truth = made.clamp(0, 1), truth.clamp(0, 1)
    return {"psnr": psnr(made, truth), "ssim": ssim(made, truth, SSIM)}


def figures(scored: Mapping[str, Tensor]) -> Figures:
    """Means of what `scores` gave, or of differences of two such."""
    (level, error), (likeness, likeness_error) = (
        average(scored[name].mean(1)) for name in ("psnr", "ssim")
    )
    return {
        "psnr": level,
        "psnr_error": error,
        "ssim": likeness,
        "ssim_error": likeness_error,
    }


def film(frames: Tensor) -> Tensor:
    """Frames as a `Strip` shows them: in [0, 1], float32, on the CPU; [T, C, H, W]."""
    return frames.detach().clamp(0, 1).float().cpu()
