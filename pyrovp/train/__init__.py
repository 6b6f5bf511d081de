"""Training: the loop, its checkpoints, its log and the folder of a run."""

from pyrovp.train.checkpoint import Best, Checkpoints
from pyrovp.train.errors import DamagedCheckpoint, LostProcess, NonFiniteLoss, RunError, Stopped
from pyrovp.train.log import Log, read_rows
from pyrovp.train.loop import Cadence, fit, validate
from pyrovp.train.optimiser import Warmup, adam
from pyrovp.train.run_directory import RunDirectory, fingerprint
from pyrovp.train.update import Bound, Outcome, Update, clip_gradient

__all__ = [
    "Best",
    "Bound",
    "Cadence",
    "Checkpoints",
    "DamagedCheckpoint",
    "Log",
    "LostProcess",
    "NonFiniteLoss",
    "Outcome",
    "RunDirectory",
    "RunError",
    "Stopped",
    "Update",
    "Warmup",
    "adam",
    "clip_gradient",
    "fingerprint",
    "fit",
    "read_rows",
    "validate",
]
