"""Prediction: what a model makes of the frames after those that its guide has seen."""

from pyrovp.predict.open_loop import Chunk, Rollout, open_loop, stream
from pyrovp.predict.policies import HoldStatic, Jumpy, LikelyGates

__all__ = ["Chunk", "HoldStatic", "Jumpy", "LikelyGates", "Rollout", "open_loop", "stream"]
