"""pyrovp: hierarchical latent video prediction as probabilistic programs.

Clocks, mixture gates, recurrent cells and wirings are composed into a `Hierarchy`;
`LatentDynamics` makes a Pyro model of it and `Filtering` a guide. Named systems are in
`pyrovp.models` and `pyrovp.guides`.
"""

from pyrovp.cells import GRU, LSTM, ConvLSTM, FromContext, Learned, NormedConvLSTM, Zeros
from pyrovp.clocks import Every
from pyrovp.emission import (
    BernoulliLikelihood,
    DecodedFrames,
    GaussianFrames,
    GaussianLikelihood,
    LaplaceLikelihood,
    LearnedStd,
    SkipFrames,
    UpwardFrames,
)
from pyrovp.evidence import PastFrame
from pyrovp.gates import Forced, KLComparison, MixtureGate, VaDE
from pyrovp.heads import Gaussian, GaussianMap
from pyrovp.hierarchy import Hierarchy
from pyrovp.infer import Exponential, HierarchyELBO, Linear, Objective
from pyrovp.levels import Level
from pyrovp.memo import memo, memoised
from pyrovp.nets import MLP, DCGANDecoder, DCGANEncoder, ResidualEncoder
from pyrovp.posteriors import OwnHead, SharedTrunk, Twin
from pyrovp.programs import Filtering, LatentDynamics
from pyrovp.state_space import StateSpace
from pyrovp.wiring import Dense, Parent, TopDown

__all__ = [
    "BernoulliLikelihood",
    "ConvLSTM",
    "DCGANDecoder",
    "DCGANEncoder",
    "DecodedFrames",
    "Dense",
    "Every",
    "Exponential",
    "Filtering",
    "Forced",
    "FromContext",
    "GRU",
    "Gaussian",
    "GaussianFrames",
    "GaussianLikelihood",
    "GaussianMap",
    "Hierarchy",
    "HierarchyELBO",
    "KLComparison",
    "LSTM",
    "LaplaceLikelihood",
    "LatentDynamics",
    "Learned",
    "LearnedStd",
    "Level",
    "Linear",
    "MLP",
    "MixtureGate",
    "NormedConvLSTM",
    "Objective",
    "OwnHead",
    "Parent",
    "PastFrame",
    "ResidualEncoder",
    "SharedTrunk",
    "SkipFrames",
    "StateSpace",
    "TopDown",
    "Twin",
    "UpwardFrames",
    "VaDE",
    "Zeros",
    "memo",
    "memoised",
]

__version__ = "0.1.0"
