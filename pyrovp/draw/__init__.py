"""Pictures of a run: frames, scores, levels and training, each written as one whole file."""

from pyrovp.draw.channels import channels_png
from pyrovp.draw.curves import curves_png
from pyrovp.draw.levels import levels_png
from pyrovp.draw.predictions import predictions_gif, predictions_png
from pyrovp.draw.training import training_png

__all__ = [
    "channels_png",
    "curves_png",
    "levels_png",
    "predictions_gif",
    "predictions_png",
    "training_png",
]
