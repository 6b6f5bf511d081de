"""Emissions: the distribution of frames, given what the lowest level hands down."""

from pyrovp.emission.base import Emission, Emitted, FrameModel
from pyrovp.emission.decoded import DecodedFrames, GaussianFrames
from pyrovp.emission.likelihood import (
    BernoulliLikelihood,
    GaussianLikelihood,
    LaplaceLikelihood,
    LearnedStd,
    Likelihood,
    PixelDistribution,
)
from pyrovp.emission.predicted import SkipFrames
from pyrovp.emission.upward import UpwardFrames

__all__ = [
    "BernoulliLikelihood",
    "DecodedFrames",
    "Emission",
    "Emitted",
    "FrameModel",
    "GaussianFrames",
    "GaussianLikelihood",
    "LaplaceLikelihood",
    "LearnedStd",
    "Likelihood",
    "PixelDistribution",
    "SkipFrames",
    "UpwardFrames",
]
