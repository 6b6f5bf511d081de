"""Bounds, their annealing and the training objective."""

from pyrovp.infer.annealing import Exponential, Linear, Tempered
from pyrovp.infer.elbo import Bound, HierarchyELBO
from pyrovp.infer.evidence import importance_weighted_evidence
from pyrovp.infer.kl import level_kls
from pyrovp.infer.objective import Evaluation, Objective

__all__ = [
    "Bound",
    "Evaluation",
    "Exponential",
    "HierarchyELBO",
    "Linear",
    "Objective",
    "Tempered",
    "importance_weighted_evidence",
    "level_kls",
]
