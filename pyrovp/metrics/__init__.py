"""Metrics of predicted video, defined once, so that two figures can be compared."""

from pyrovp.metrics.baselines import (
    baselines,
    black,
    copy_last,
    random_sequence,
    training_mean,
)
from pyrovp.metrics.protocol import NAMED, Best, Protocol, best_of, default, protocol
from pyrovp.metrics.psnr import psnr
from pyrovp.metrics.sharpness import relative_sharpness, sharpness
from pyrovp.metrics.ssim import PRESETS, SSIMPreset, ssim, ssim_preset
from pyrovp.metrics.table import metrics_table, render

__all__ = [
    "NAMED",
    "PRESETS",
    "Best",
    "Protocol",
    "SSIMPreset",
    "baselines",
    "best_of",
    "black",
    "copy_last",
    "default",
    "metrics_table",
    "protocol",
    "psnr",
    "random_sequence",
    "relative_sharpness",
    "render",
    "sharpness",
    "ssim",
    "ssim_preset",
    "training_mean",
]
