r"""CW-VAE's guide: each tick infers from the frames of its own window.

    f^1 = conv(x),  f^{n+1} = MLP(f^n)         per frame
    q(z_t^n) = head([h_t^n, Σ_{window} f^n])    z_{t-1} and the level above come in through h

Prior and posterior share the memory. In the released code the posterior's head is its own (two
hidden layers); in the paper only its output layer is (`posterior=SharedTrunk()`).

Reference:
    Clockwork Variational Autoencoders (Saxena, Ba, Hafner, 2021), Section 2, "Inference".
"""

import torch

from pyrovp.filtering import Filtering
from pyrovp.heads import Gaussian
from pyrovp.hierarchy import Hierarchy
from pyrovp.posteriors import OwnHead, PosteriorHead
from pyrovp.programs import LatentDynamics, check_model

__all__ = ["cwvae", "notmpabs", "rssm", "tald"]


def cwvae(
    model: LatentDynamics[Hierarchy],
    *,
    lift: tuple[int, ...] = (1000, 1000),
    hidden: int | None = None,
    posterior: PosteriorHead | None = None,
) -> Filtering:
    """The guide of a `pyrovp.models.cwvae`.

    Args:
        model: The model; its memories and encoder are shared.
        lift: Hidden widths of the networks between the levels' features.
        hidden: Width of the posterior's two hidden layers; None: the prior's.
        posterior: The posterior's head; None: the released code's own head.

    Raises:
        ValueError: If a width is to be the prior's, and its head has no hidden layer.
    """
    check_model(model)
    if posterior is None:
        width = _hidden(model.hierarchy) if hidden is None else hidden
        posterior = OwnHead(hidden=(width, width))
    return Filtering(model.hierarchy, lift=lift, activation=torch.relu, posterior=posterior)


def _hidden(hierarchy: Hierarchy) -> int:
    """The width of the prior's hidden layers."""
    state = hierarchy.levels[0].state
    if not isinstance(state, Gaussian) or not state.hidden:
        raise ValueError(
            f"the posterior's hidden layers are as wide as the prior's, but level 1's state is "
            f"{state}, whose head has none: give hidden=200, say"
        )
    return state.hidden[0]


tald = cwvae
notmpabs = cwvae
rssm = cwvae
