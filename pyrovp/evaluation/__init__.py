"""Evaluation: held-out sequences are predicted, scored beside baselines, and kept as figures."""

from pyrovp.evaluation.clips import ClipMeasure, Conclusion, FrechetDistance, Seen
from pyrovp.evaluation.evaluator import EVALUATION_BATCH, evaluate
from pyrovp.evaluation.measures import (
    LPIPS,
    PSNR,
    SSIM,
    FrameMeasure,
    Sharpness,
    standard_measures,
)
from pyrovp.evaluation.results import Extremes, Films, Results
from pyrovp.evaluation.shards import Shards, key_of, weights_hash

__all__ = [
    "EVALUATION_BATCH",
    "LPIPS",
    "PSNR",
    "SSIM",
    "ClipMeasure",
    "Conclusion",
    "Extremes",
    "Films",
    "FrameMeasure",
    "FrechetDistance",
    "Results",
    "Seen",
    "Sharpness",
    "Shards",
    "evaluate",
    "key_of",
    "standard_measures",
    "weights_hash",
]
