"""Pictures of a run and of what analyses found, each written as one whole file."""

from pyrovp.draw.channels import channels_png
from pyrovp.draw.curves import curves_png
from pyrovp.draw.exhibits import draw
from pyrovp.draw.levels import levels_png
from pyrovp.draw.lines import curve_png
from pyrovp.draw.predictions import predictions_gif, predictions_png
from pyrovp.draw.rasters import raster_png
from pyrovp.draw.strips import strip_png
from pyrovp.draw.training import training_png

__all__ = [
    "channels_png",
    "curve_png",
    "curves_png",
    "draw",
    "levels_png",
    "predictions_gif",
    "predictions_png",
    "raster_png",
    "strip_png",
    "training_png",
]
