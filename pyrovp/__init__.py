"""pyrovp: hierarchical latent video prediction as probabilistic programs.

Clocks, mixture gates, recurrent cells and wirings are composed into a `Hierarchy`;
`LatentDynamics` makes a Pyro model of it and `Filtering` a guide. Named systems are in
`pyrovp.models` and `pyrovp.guides`. `load` takes up a trained run.
"""

import importlib
from typing import TYPE_CHECKING, Any

from pyrovp.cells import GRU, LSTM, ConvLSTM, FromContext, Learned, NormedConvLSTM, Zeros
from pyrovp.clocks import Every
from pyrovp.describe import describe
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
from pyrovp.filtering import Filtering
from pyrovp.gates import Forced, KLComparison, MixtureGate, VaDE
from pyrovp.heads import Gaussian, GaussianMap
from pyrovp.hierarchy import Hierarchy
from pyrovp.infer import Exponential, HierarchyELBO, Linear, Objective
from pyrovp.levels import Level
from pyrovp.memo import memo, memoised
from pyrovp.nets import MLP, DCGANDecoder, DCGANEncoder, ResidualEncoder
from pyrovp.posteriors import OwnHead, SharedTrunk, Twin
from pyrovp.programs import LatentDynamics
from pyrovp.render import render
from pyrovp.state_space import StateSpace
from pyrovp.wiring import Dense, Parent, TopDown

if TYPE_CHECKING:
    from pyrovp.draw.hierarchy import draw_hierarchy
    from pyrovp.runs.trained import load

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
    "describe",
    "draw_hierarchy",
    "load",
    "memo",
    "memoised",
    "render",
]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name in ("models", "guides"):  # `import pyrovp` and then pyrovp.models
        return importlib.import_module(f"pyrovp.{name}")
    # What trains, and so what loads, takes Hydra along: only who asks imports it.
    if name == "load":
        from pyrovp.runs.trained import load

        return load
    if name == "draw_hierarchy":  # and only who draws imports matplotlib
        from pyrovp.draw.hierarchy import draw_hierarchy

        return draw_hierarchy
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
