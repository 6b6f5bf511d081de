r"""DLH's guide: gates by comparing KLs, then states.

    f^1 = conv(x),  f^{n+1} = MLP(f^n)
    bottom-up, where the level below changed: with the context c~ as it stood at t-1
        e^n = 1  iff  KL[q(f^n, c~) ‖ p(h^n, c~)] < KL[q(f^n, c~) ‖ the belief of t-1]
    top-down: q(z^n | f^n, c^{n+1}) where the level below changed; belief and sample are kept above

Notation: as in the model; the paper's x^n is our f^n, the features of level n.

The rule and its options belong to the model's gate (`MixtureGate`): the two programs must agree
on what staying means.

Reference:
    Long-Horizon Video Prediction Using a Dynamic Latent Hierarchy (Zakharov, Guo, Fountas,
    2022), Algorithm 1, Eq. 4, 10, 13, 25.
"""

import torch.nn.functional as F

from pyrovp.evidence import features_of
from pyrovp.filtering import Filtering
from pyrovp.hierarchy import Hierarchy
from pyrovp.programs import LatentDynamics, check_model

__all__ = ["dlh"]


def dlh(model: LatentDynamics[Hierarchy], *, lift: tuple[int, ...] | None = None) -> Filtering:
    """The guide of a `pyrovp.models.dlh`.

    Args:
        model: The model; its memories, contexts, gates and encoder are shared.
        lift: Hidden widths of the networks between the levels' features; None: one layer of
            the features' own size.
    """
    check_model(model)
    if lift is None:
        features = features_of(model.hierarchy.encoder)
        lift = (features,) if isinstance(features, int) else ()  # a pyramid needs no lifts
    return Filtering(model.hierarchy, lift=lift, activation=F.elu)
