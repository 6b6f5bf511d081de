"""Metrics of predicted video, defined once, so that two figures can be compared."""

from pyrovp.metrics.baselines import (
    baselines,
    black,
    copy_last,
    random_sequence,
    training_mean,
)
from pyrovp.metrics.digit_reader import DigitReader, make_digit_reader
from pyrovp.metrics.frechet import frechet_distance
from pyrovp.metrics.fvd import FVD, FVDFigure, make_fvd
from pyrovp.metrics.i3d import InceptionI3D, read_i3d
from pyrovp.metrics.perceptual import LPIPS, make_lpips
from pyrovp.metrics.pretrained import Absent, find_weights, load_weights
from pyrovp.metrics.protocol import NAMED, Best, Protocol, best_of, default, protocol
from pyrovp.metrics.psnr import psnr
from pyrovp.metrics.sharpness import relative_sharpness, sharpness
from pyrovp.metrics.ssim import PRESETS, SSIMPreset, ssim, ssim_preset
from pyrovp.metrics.states import (
    BallStates,
    DigitStates,
    StateScores,
    make_state_scores,
)
from pyrovp.metrics.table import metrics_table, render

__all__ = [
    "FVD",
    "LPIPS",
    "NAMED",
    "PRESETS",
    "Absent",
    "BallStates",
    "Best",
    "DigitReader",
    "DigitStates",
    "FVDFigure",
    "InceptionI3D",
    "Protocol",
    "SSIMPreset",
    "StateScores",
    "baselines",
    "best_of",
    "black",
    "copy_last",
    "default",
    "find_weights",
    "frechet_distance",
    "load_weights",
    "make_digit_reader",
    "make_fvd",
    "make_lpips",
    "make_state_scores",
    "metrics_table",
    "protocol",
    "psnr",
    "random_sequence",
    "read_i3d",
    "relative_sharpness",
    "render",
    "sharpness",
    "ssim",
    "ssim_preset",
    "training_mean",
]
