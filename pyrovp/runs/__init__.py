"""Runs in folders: what they are built from, what they leave, and how they are taken up again.

settings -> parts -> training -> folder -> load, evaluate, analyse, predict
"""

from pyrovp.runs.run_directory import RunDirectory, fingerprint
from pyrovp.runs.settings import EvaluateSettings, OptimiserSettings, Settings, TrainSettings
from pyrovp.runs.trained import Trained, load, read_settings

__all__ = [
    "EvaluateSettings",
    "OptimiserSettings",
    "RunDirectory",
    "Settings",
    "TrainSettings",
    "Trained",
    "fingerprint",
    "load",
    "read_settings",
]
