"""Training: the loop, its checkpoints, its log and the folder of a run."""

from pyrovp.train.checkpoint import Best, Checkpoints
from pyrovp.train.errors import DamagedCheckpoint, NonFiniteLoss, RunError
from pyrovp.train.log import Log, read_rows
from pyrovp.train.loop import Bound, Cadence, clip_gradient, fit, validate
from pyrovp.train.optimiser import Warmup, adam
from pyrovp.train.run_directory import RunDirectory, fingerprint

__all__ = [
    "Best",
    "Bound",
    "Cadence",
    "Checkpoints",
    "DamagedCheckpoint",
    "Log",
    "NonFiniteLoss",
    "RunDirectory",
    "RunError",
    "Warmup",
    "adam",
    "clip_gradient",
    "fingerprint",
    "fit",
    "read_rows",
    "validate",
]
