"""Looking inside: operations on the traces of a model and its guide."""

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
    "event_f1",
    "infer_gates",
    "mean_levels",
    "predicted_change",
    "report",
]
