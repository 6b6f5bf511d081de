r"""HVRNN's guide: the prior's twin, which sees the frame itself.

    q(z_t^n | z_t^{>n}, x_{≤t}) = N(head'([h_t^n, up(z_t^{n+1}), ...]))
    h_t^n = ConvLSTM'(f^n(x_t), h_{t-1}^n)

The primes are networks of the guide's own; the encoder f is shared.

Reference:
    Improved Conditional VRNNs for Video Prediction (Castrejon, Ballas, Courville, 2019), Eq. 4
    and Section 4.2; no z_{t-1} enters a cell, see `pyrovp.models.hvrnn`.
"""

from pyrovp.filtering import Filtering
from pyrovp.hierarchy import Hierarchy
from pyrovp.posteriors import Twin
from pyrovp.programs import LatentDynamics, check_model

__all__ = ["hvrnn", "vrnn"]


def hvrnn(model: LatentDynamics[Hierarchy]) -> Filtering:
    """The guide of a `pyrovp.models.hvrnn`; the encoder is shared."""
    check_model(model)
    return Filtering(model.hierarchy, posterior=Twin())


vrnn = hvrnn
