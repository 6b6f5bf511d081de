"""Looking inside: operations on the traces of a model and its guide."""

from pyrovp.analysis.channels import channel_kls, channel_report, infer_channels
from pyrovp.analysis.events import (
    Gates,
    chance_f1,
    event_f1,
    infer_gates,
    mean_levels,
    predicted_change,
    report,
)

__all__ = [
    "Gates",
    "chance_f1",
    "channel_kls",
    "channel_report",
    "event_f1",
    "infer_channels",
    "infer_gates",
    "mean_levels",
    "predicted_change",
    "report",
]
