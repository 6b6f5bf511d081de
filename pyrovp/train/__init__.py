"""Training: an update of the weights, the loop around it, its checkpoints and its log."""

from pyrovp.train.checkpoint import Best, Checkpoints
from pyrovp.train.log import Log, read_rows
from pyrovp.train.loop import Cadence, fit, validate
from pyrovp.train.optimiser import Warmup, adam
from pyrovp.train.update import Bound, Outcome, Update, clip_gradient

__all__ = [
    "Best",
    "Bound",
    "Cadence",
    "Checkpoints",
    "Log",
    "Outcome",
    "Update",
    "Warmup",
    "adam",
    "clip_gradient",
    "fit",
    "read_rows",
    "validate",
]
