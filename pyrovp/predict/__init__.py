"""Prediction: what a model makes of the frames after those that its guide has seen."""

from pyrovp.predict.open_loop import Chunk, Rollout, open_loop, stream
from pyrovp.predict.policies import HoldStatic, LikelyGates

__all__ = ["Chunk", "HoldStatic", "LikelyGates", "Rollout", "open_loop", "stream"]
