r"""CW-VAE: a latent hierarchy whose levels tick at fixed, exponentially slower rates.

    p(x, z) = Π_t p(x_t | z_t^1, h_t^1) Π_n Π_{t: k^{n-1} | t} p(z_t^n | h_t^n)
    h_t^n = GRU(relu(W [z_{t-k^{n-1}}^n, c_t]), h_{t-k^{n-1}}^n),   c_t = (z_t^{n+1}, h_t^{n+1})

Notation: the paper's s is our z, its deterministic state h; its level l is ours; its temporal
abstraction factor k is `factor`. The released code counts levels from 0.

TALD, NoTmpAbs and RSSM are the same program: TALD trains it with other rates (and reports its
KLs in bits), NoTmpAbs has factor 1, RSSM one level.

Reference:
    Clockwork Variational Autoencoders (Saxena, Ba, Hafner, 2021). https://arxiv.org/abs/2102.09532
    Video Prediction with Variational Temporal Hierarchies (ICLR 2021 submission): TALD.
    Learning Latent Dynamics for Planning from Pixels (Hafner et al., 2019): RSSM.
Where the paper and the released code differ we follow the code, with which the published figures
were made: the 0.54 added to the std layer's input, the smallest std 1e-4, the tanh output.
"""

from functools import partial

import torch
from torch import nn

from pyrovp.cells import GRU
from pyrovp.checks import check_count
from pyrovp.clocks import Every
from pyrovp.emission import GaussianFrames, LearnedStd
from pyrovp.heads import Gaussian
from pyrovp.hierarchy import Hierarchy
from pyrovp.levels import Level
from pyrovp.nets import DCGANDecoder, DCGANEncoder
from pyrovp.programs import LatentDynamics
from pyrovp.wiring import Parent

__all__ = ["cwvae", "notmpabs", "rssm", "tald"]


def cwvae(
    *,
    levels: int = 3,
    factor: int = 6,
    state: int = 20,
    memory: int = 200,
    hidden: int = 200,
    channels: int = 1,
    resolution: int = 64,
    width: float = 1.0,
    std: float | None = 1.0,
) -> LatentDynamics[Hierarchy]:
    """The Clockwork VAE's generative program; the defaults are the paper's for Moving MNIST.

    Args:
        levels: L; level n ticks every factor^(n-1) frames.
        factor: k, the temporal abstraction factor.
        state, memory, hidden: S, D and E, the sizes of z, h and the hidden layers.
        channels, resolution: C and H = W of the frames (16, 32, 64 or 128 pixels).
        width: Multiplies the channels of the convolutions.
        std: σ of the pixels: 1.0 Moving MNIST, 0.1 mazes, 0.4 MineRL; None learns it.

    Raises:
        ValueError: For fewer than one level, a factor below 1, or sizes that do not fit.

    Example:
        >>> model = cwvae(factor=4, resolution=16, width=0.1)
        >>> [level.clock.period for level in model.hierarchy.levels]
        [1, 4, 16]
        >>> model(length=3, batch=2).shape  # drawn from the prior
        torch.Size([2, 3, 1, 16, 16])
    """
    check_count("levels", levels)
    check_count("factor (1: every level ticks at every frame)", factor)
    return LatentDynamics(
        Hierarchy(
            levels=[
                Level(
                    clock=Every(factor**n),
                    memory=GRU(memory, inputs=hidden),
                    state=Gaussian(state, hidden=(hidden,), activation=torch.relu, shift=0.54),
                )
                for n in range(levels)
            ],
            wiring=Parent(),
            encoder=DCGANEncoder(channels, resolution=resolution, width=width),
            emission=GaussianFrames(
                partial(
                    DCGANDecoder,
                    channels=channels,
                    resolution=resolution,
                    width=width,
                    output=nn.Tanh(),
                ),
                std=LearnedStd() if std is None else std,
            ),
        )
    )


tald = cwvae
"""TALD's program: CW-VAE's. What differs is its training (learning rate, batch; GQN: 2 levels)."""


def notmpabs(
    *,
    levels: int = 3,
    state: int = 20,
    memory: int = 200,
    hidden: int = 200,
    channels: int = 1,
    resolution: int = 64,
    width: float = 1.0,
    std: float | None = 1.0,
) -> LatentDynamics[Hierarchy]:
    """NoTmpAbs: a CW-VAE without temporal abstraction, every level at every frame (k = 1).

    Args:
        levels, state, memory, hidden, channels, resolution, width, std: See `cwvae`.
    """
    return cwvae(
        levels=levels,
        factor=1,
        state=state,
        memory=memory,
        hidden=hidden,
        channels=channels,
        resolution=resolution,
        width=width,
        std=std,
    )


def rssm(
    *,
    state: int = 20,
    memory: int = 200,
    hidden: int = 200,
    channels: int = 1,
    resolution: int = 64,
    width: float = 1.0,
    std: float | None = 1.0,
) -> LatentDynamics[Hierarchy]:
    """RSSM as CW-VAE's baseline: one level at every frame.

    Args:
        state, memory, hidden, channels, resolution, width, std: See `cwvae`.
    """
    return notmpabs(
        levels=1,
        state=state,
        memory=memory,
        hidden=hidden,
        channels=channels,
        resolution=resolution,
        width=width,
        std=std,
    )
