r"""DLH: a hierarchy whose levels change only where a mixture gate says so.

    e_t^1 = 1;  p(e_t^n = 1) = σ(w·GRU(h_t^n)) where e_t^{n-1} = 1, else 0       (nested)
    p(z_t^n | e_t^n) = the belief of t-1 where e_t^n = 0,  p(z | h_t^n, c_t^{n+1}) where e_t^n = 1
    c_t^n = MLP([z_t^n, c_t^{n+1}]);   h_{t+1}^n = GRU(z_t^n, h_t^n) where e_t^n = 1
    p(x_t | z_t) = N(deconv(c_t^1), σ²)

Notation: the paper's s is our z, d our memory h, o our frames x, its prior factor our gate. The
paper's c^n is our c^{n+1}: c^n is what level n hands down, and c^{N+1} = 0.

Reference:
    Long-Horizon Video Prediction Using a Dynamic Latent Hierarchy (Zakharov, Guo, Fountas,
    2022). https://arxiv.org/abs/2212.14376. No implementation was published. Our choices where
    the paper is silent: ELU in the dense networks, no activation on the image mean, a gate
    memory that ticks at every frame, a memory h that stands still where e = 0, and levels above
    the first that stays copying their sample.
"""

from functools import partial

import torch.nn.functional as F
from torch import nn

from pyrovp.cells import GRU
from pyrovp.checks import check_count
from pyrovp.emission import GaussianFrames, LearnedStd
from pyrovp.gates import Gate, MixtureGate
from pyrovp.heads import Gaussian
from pyrovp.hierarchy import Hierarchy
from pyrovp.levels import Level
from pyrovp.nets import DCGANDecoder, DCGANEncoder
from pyrovp.programs import LatentDynamics
from pyrovp.wiring import TopDown

__all__ = ["dlh"]


def dlh(
    *,
    std: float | None,
    levels: int = 3,
    state: int = 20,
    memory: int = 200,
    context: int = 200,
    hidden: tuple[int, ...] = (40, 40, 40),
    gate: Gate | None = None,
    channels: int = 1,
    resolution: int = 64,
    width: float = 1.0,
) -> LatentDynamics[Hierarchy]:
    """The Dynamic Latent Hierarchy's generative program; sizes default to the paper's.

    Args:
        std: σ of the pixels; None learns it. The paper does not give it, and the gate's life
            depends on it: at σ = 1 there is little to infer, and only level 1 changes.
        levels: N; level 1 changes at every frame, the others have gates.
        state, memory: Sizes of z and of h (the paper's s and d).
        context: Size of the features, of the top-down context and of their networks.
        hidden: Hidden layers of the heads.
        gate: The gate of levels 2 and above; None: `MixtureGate()` of the memory's size.
        channels, resolution: C and H = W of the frames (16, 32, 64 or 128 pixels).
        width: Multiplies the channels of the convolutions.

    Raises:
        ValueError: For fewer than one level or sizes that do not fit.

    Example:
        >>> model = dlh(std=0.2, levels=2, resolution=16, width=0.1)
        >>> model(length=3, batch=2).shape  # drawn from the prior
        torch.Size([2, 3, 1, 16, 16])
    """
    check_count("levels", levels)
    gate = MixtureGate(size=memory) if gate is None else gate
    return LatentDynamics(
        Hierarchy(
            levels=[
                Level(
                    memory=GRU(memory),
                    state=Gaussian(state, hidden=hidden, activation=F.elu),
                    gate=gate if n else None,
                )
                for n in range(levels)
            ],
            wiring=TopDown(context, activation=F.elu),
            encoder=DCGANEncoder(
                channels, resolution=resolution, width=width, padding="same", outputs=context
            ),
            emission=GaussianFrames(
                partial(
                    DCGANDecoder,
                    channels=channels,
                    resolution=resolution,
                    width=width,
                    output=nn.Identity(),
                ),
                std=LearnedStd() if std is None else std,
            ),
        )
    )
