r"""SVG-LP's guide: the prior's twin, which sees the frame itself.

    q(z_t | x_{≤t}) = N(head'(LSTM'(f(x_t))))

Reference:
    Stochastic Video Generation with a Learned Prior (Denton, Fergus, 2018), Section 3.1.
"""

from pyrovp.filtering import Filtering
from pyrovp.hierarchy import Hierarchy
from pyrovp.posteriors import Twin
from pyrovp.programs import LatentDynamics, check_model
from pyrovp.weights import draw_weights

__all__ = ["svg_lp"]


def svg_lp(model: LatentDynamics[Hierarchy]) -> Filtering:
    """The guide of a `pyrovp.models.svg_lp`; the encoder is shared.

    Its own networks start from the released code's initial weights.
    """
    check_model(model)
    guide = Filtering(model.hierarchy, posterior=Twin())
    draw_weights(guide.heads)
    return guide
