"""Gates: whether a level changes at a tick, and the rules by which a guide infers that."""

from pyrovp.gates.boundary import Boundary, BoundaryCell
from pyrovp.gates.forced import Forced
from pyrovp.gates.gate import Gate, GateCell
from pyrovp.gates.mixture import MixtureGate
from pyrovp.gates.rules import KLComparison, Rule, VaDE
from pyrovp.gates.segment_prior import Counts, SegmentPrior

__all__ = [
    "Boundary",
    "BoundaryCell",
    "Counts",
    "Forced",
    "Gate",
    "GateCell",
    "KLComparison",
    "MixtureGate",
    "Rule",
    "SegmentPrior",
    "VaDE",
]
