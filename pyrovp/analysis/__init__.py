"""Looking inside: questions to a model and its guide, and operations on their traces."""

from pyrovp.analysis.base import Analysis, Clips
from pyrovp.analysis.channel_kl import ChannelKL
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
from pyrovp.analysis.evidence import Evidence
from pyrovp.analysis.findings import Curve, Findings, Line, Raster, Strip, Table
from pyrovp.analysis.gate_raster import GateRaster
from pyrovp.analysis.inpaint import Inpaint
from pyrovp.analysis.level_kl import LevelKL
from pyrovp.analysis.level_reset import LevelReset
from pyrovp.analysis.level_rollout import LevelRollout
from pyrovp.analysis.level_samples import LevelSamples
from pyrovp.analysis.prior_entropy import PriorEntropy
from pyrovp.analysis.swap import Swap
from pyrovp.analysis.true_states import TrueStates
from pyrovp.analysis.what_if import WhatIf

__all__ = [
    "Analysis",
    "ChannelKL",
    "Clips",
    "Curve",
    "Evidence",
    "Findings",
    "GateRaster",
    "Gates",
    "Inpaint",
    "LevelKL",
    "LevelReset",
    "LevelRollout",
    "LevelSamples",
    "Line",
    "PriorEntropy",
    "Raster",
    "Strip",
    "Swap",
    "Table",
    "TrueStates",
    "WhatIf",
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
