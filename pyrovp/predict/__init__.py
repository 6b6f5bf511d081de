"""Prediction: what a model makes of the frames after those that its guide has seen."""

from pyrovp.predict.online import Belief, Forecast, OnlineFilter
from pyrovp.predict.open_loop import Chunk, Rollout, open_loop, stream
from pyrovp.predict.policies import HoldStatic, Jumpy, LikelyGates

__all__ = [
    "Belief",
    "Chunk",
    "Forecast",
    "HoldStatic",
    "Jumpy",
    "LikelyGates",
    "OnlineFilter",
    "Rollout",
    "open_loop",
    "stream",
]
