"""pyrovp: hierarchical latent video prediction as probabilistic programs.

Clocks, mixture gates, recurrent cells and wirings are composed into a `Hierarchy`;
`LatentDynamics` makes a Pyro model of it and `Filtering` a guide. Named systems are in
`pyrovp.models` and `pyrovp.guides`.
"""

from pyrovp.cells import GRU
from pyrovp.clocks import Every
from pyrovp.emission import GaussianFrames, LearnedStd
from pyrovp.gates import Forced, KLComparison, MixtureGate, VaDE
from pyrovp.heads import Gaussian
from pyrovp.hierarchy import Hierarchy
from pyrovp.infer import HierarchyELBO, Linear, Objective
from pyrovp.levels import Level
from pyrovp.memo import memo, memoised
from pyrovp.nets import MLP, DCGANDecoder, DCGANEncoder
from pyrovp.posteriors import OwnHead, SharedTrunk
from pyrovp.programs import Filtering, LatentDynamics
from pyrovp.wiring import Parent, TopDown

__all__ = [
    "GRU",
    "MLP",
    "DCGANDecoder",
    "DCGANEncoder",
    "Every",
    "Filtering",
    "Forced",
    "Gaussian",
    "GaussianFrames",
    "Hierarchy",
    "HierarchyELBO",
    "KLComparison",
    "LatentDynamics",
    "LearnedStd",
    "Level",
    "Linear",
    "MixtureGate",
    "Objective",
    "OwnHead",
    "Parent",
    "SharedTrunk",
    "TopDown",
    "VaDE",
    "memo",
    "memoised",
]

__version__ = "0.1.0"
