"""The distributions that hierarchies with clocks and gates need, as Pyro distributions."""

from pyrovp.distributions.bernoulli_frames import BernoulliFrames
from pyrovp.distributions.carried import Carried
from pyrovp.distributions.decided import Decided
from pyrovp.distributions.diagonal_normal import DiagonalNormal, normal_kl
from pyrovp.distributions.frames import IsotropicFrames
from pyrovp.distributions.held import Held
from pyrovp.distributions.laplace_frames import LaplaceFrames
from pyrovp.distributions.nested_bernoulli import NestedBernoulli
from pyrovp.distributions.relaxed_bernoulli import LogitRelaxedBernoulli, straight_through
from pyrovp.distributions.temporal_mixture import TemporalMixture

__all__ = [
    "BernoulliFrames",
    "Carried",
    "Decided",
    "DiagonalNormal",
    "Held",
    "IsotropicFrames",
    "LaplaceFrames",
    "LogitRelaxedBernoulli",
    "NestedBernoulli",
    "TemporalMixture",
    "normal_kl",
    "straight_through",
]
