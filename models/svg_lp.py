r"""SVG-LP: a VRNN with a learned prior, a predictor on vectors, and skips past it.

    p(z_t | x_{<t}) = N(head(LSTM(f(x_{t-1}))))
    p(x_t | z_{≤t}, x_{<t}) = N(decoder(predictor([f(x_{t-1}), z_t]), maps of a past frame), ½)

Frame 0 is given. Every later one is scored, the context too; the decoder reads the encoder's maps
of frame min(t - 1, context - 1).

Notation: the paper's g_t is our d_t, its h_t the encoder's vector f(x_t).

Reference:
    Stochastic Video Generation with a Learned Prior (Denton, Fergus, 2018).
    https://arxiv.org/abs/1802.07687
The paper's objective, Σ_t mean squared error + β KL with β = 1e-4, is the bound with σ² = ½
divided by the D pixels of a frame, its KL weighted by β D.
"""

from collections.abc import Callable
from functools import partial
from typing import Literal

from torch import nn

from pyrovp.cells import LSTM
from pyrovp.emission import GaussianLikelihood, LearnedStd, SkipFrames
from pyrovp.evidence import PastFrame
from pyrovp.heads import Gaussian, half_log_variance
from pyrovp.hierarchy import Hierarchy
from pyrovp.levels import Level
from pyrovp.nets import SkipDCGANDecoder, SkipDCGANEncoder, VGGDecoder, VGGEncoder
from pyrovp.nets.batch_norm import Statistics
from pyrovp.nets.skip_decoder import SkipDecoder
from pyrovp.programs import LatentDynamics
from pyrovp.weights import draw_weights
from pyrovp.wiring import Dense

__all__ = ["svg_lp"]

STD = 2**-0.5
"""With which the log-density is the sum of squared errors."""

NETWORKS: dict[str, tuple[Callable[..., nn.Module], Callable[..., SkipDecoder]]] = {
    "dcgan": (SkipDCGANEncoder, SkipDCGANDecoder),
    "vgg": (VGGEncoder, VGGDecoder),
}


def svg_lp(
    *,
    network: Literal["dcgan", "vgg"] = "dcgan",
    state: int = 10,
    memory: int = 256,
    features: int = 128,
    context: int = 5,
    channels: int = 1,
    resolution: int = 64,
    width: float = 1.0,
    statistics: Statistics = "each",
    std: float | None = STD,
) -> LatentDynamics[Hierarchy]:
    """SVG-LP's generative program; the defaults are the paper's for Stochastic Moving MNIST.

    Args:
        network: Encoder and decoder: DCGAN, or VGG (KTH, BAIR).
        state: Size of z: 10 Moving MNIST, 24 KTH, 64 BAIR.
        memory: Size of the LSTMs.
        features: Size g of a frame's vector.
        context: Frames whose maps the decoder reads; the released code's is one fewer than the
            context it trains with.
        channels, resolution: C and H = W of the frames (16, 32, 64 or 128 pixels).
        width: Multiplies the channels of the convolutions.
        statistics: Of the BatchNorms in training: of "each" time step, as the released code's, or
            "pooled" over time, which is another function, and faster.
        std: σ of the pixels; √½ makes squared errors of the log-density. None learns it.

    Raises:
        ValueError: For an unknown network, or sizes that do not fit.

    Example:
        >>> model = svg_lp(resolution=16, width=0.1)
        >>> model.hierarchy.levels[0].memory.size, model.hierarchy.given
        (256, 1)
    """
    if network not in NETWORKS:
        raise ValueError(f"SVG's network is dcgan or vgg, got {network!r}")
    encode, decode = NETWORKS[network]
    shape = {
        "channels": channels,
        "resolution": resolution,
        "features": features,
        "width": width,
        "statistics": statistics,
    }
    model = LatentDynamics(
        Hierarchy(
            levels=[
                Level(
                    reads=PastFrame(resolution=1),
                    memory=LSTM(memory, inputs=memory),
                    state=Gaussian(state, hidden=(), min_std=0.0, std=half_log_variance),
                )
            ],
            wiring=Dense(),
            encoder=encode(**shape),
            emission=SkipFrames(
                partial(decode, **shape),
                GaussianLikelihood(LearnedStd(STD) if std is None else std),
                context=context,
                memory=LSTM(memory, inputs=memory, layers=2),
            ),
            given=1,
        )
    )
    draw_weights(model)  # the released code's
    return model
