r"""HVRNN: a VRNN whose latents are maps at several resolutions.

    p(z_t, x_t | past) = p(x_t | z_{≤t}, x_{<t}) Π_n p(z_t^n | z_t^{>n}, x_{<t})
    p(z_t^n | ...) = N(head([h_t^n, up(z_t^{n+1}), ..., up(z_t^L)]))
    h_t^n = ConvLSTM(f^n(x_{t-1}), h_{t-1}^n),        h of every cell starts from the given frames
    x_t   = ConvLSTMs and transposed convolutions from f^1(x_{t-1}) upwards, z^n at its resolution

Notation: the paper counts levels from the top, its z^1 (1x1) is our z^3. Its Eq. 3 lets the prior
see z_{t-1} of its own level; in its implementation, with which its figures were made, no sample
enters a cell of prior or posterior, so that given frames all their memories are known in advance.
We follow the latter.

With one level (resolution 1) this is the paper's VRNN, "w/o hier".

Reference:
    Improved Conditional VRNNs for Video Prediction (Castrejon, Ballas, Courville, 2019).
    https://arxiv.org/abs/1904.12165
The paper's 230.74M parameters count 6,300,672 that its network never calls; the network that acts
has 224,443,715, of which ours are every one.
"""

from collections.abc import Sequence

from pyrovp.cells import FromContext, NormedConvLSTM
from pyrovp.emission import LaplaceLikelihood, Likelihood, UpwardFrames
from pyrovp.evidence import PastFrame
from pyrovp.heads import GaussianMap
from pyrovp.hierarchy import Hierarchy
from pyrovp.levels import Level
from pyrovp.nets import ResidualEncoder
from pyrovp.programs import LatentDynamics
from pyrovp.wiring import Dense

__all__ = ["hvrnn", "vrnn"]


def hvrnn(
    *,
    latents: Sequence[int] = (1, 8, 32),
    channels: int = 3,
    resolution: int = 64,
    width: int = 64,
    given: int = 2,
    dense: bool = True,
    lean: bool = False,
    cells: Sequence[int] | None = None,
    likelihood: Likelihood | None = None,
) -> LatentDynamics[Hierarchy]:
    """HVRNN's generative program; the defaults are the paper's for BAIR.

    Args:
        latents: Resolutions of the latents, from the top: 1-8-32; also 1, 1-8, 1-8-16-32; 1-16-64
            at 128 pixels.
        channels, resolution: C and H = W of the frames (16, 32, 64 or 128 pixels).
        width: Channels of the maps at the frames' own resolution.
        given: Context frames: 2 (BAIR, Cityscapes) or 5 (Moving MNIST).
        dense: Whether a level sees all levels above; False: its parent alone.
        lean: Whether kernels on maps of one pixel are 1x1; the same function with 67.1M fewer
            parameters at full size.
        cells: Resolutions of the decoder's ConvLSTMs; None: all.
        likelihood: Of the pixels; None: Laplace of scale 1 (L1).

    Raises:
        ValueError: For no latents, or resolutions that do not fit.

    Example:
        >>> model = hvrnn(latents=(1, 4, 8), resolution=16, width=2)
        >>> [level.state.resolution for level in model.hierarchy.levels]
        [8, 4, 1]
    """
    whole = isinstance(latents, Sequence) and all(isinstance(r, int) for r in latents)
    if not whole or not latents or list(latents) != sorted(set(latents)):
        raise ValueError(
            "the latents' resolutions go upwards from the top level, whole numbers such as "
            f"(1, 8, 32), got {latents!r}"
        )
    kernel = 1 if lean else 3
    encoder = ResidualEncoder(channels, resolution, width, kernel=kernel)
    unknown = sorted(set(latents) - set(encoder.features))
    if unknown:
        raise ValueError(
            f"frames of {resolution} pixels have maps at {sorted(encoder.features)}, but latents "
            f"are asked for at {unknown}"
        )
    return LatentDynamics(
        Hierarchy(
            levels=[
                Level(
                    reads=PastFrame(),
                    memory=NormedConvLSTM(
                        encoder.features[r],
                        r,
                        kernel=kernel if r == 1 else 3,
                        inputs=encoder.features[r],
                        start=FromContext(),
                    ),
                    state=GaussianMap(encoder.features[r], r),
                )
                for r in reversed(latents)
            ],
            wiring=Dense(None if dense else 1),
            encoder=encoder,
            emission=UpwardFrames(
                channels,
                resolution,
                LaplaceLikelihood() if likelihood is None else likelihood,
                width,
                cells=cells,
                kernel_at_1=kernel,
            ),
            given=given,
        )
    )


def vrnn(
    *,
    channels: int = 3,
    resolution: int = 64,
    width: int = 64,
    given: int = 2,
    lean: bool = False,
    cells: Sequence[int] | None = None,
    likelihood: Likelihood | None = None,
) -> LatentDynamics[Hierarchy]:
    """VRNN as HVRNN's baseline "w/o hier": one level of one pixel, the decoder of six cells.

    Args:
        channels, resolution, width, given, lean, cells, likelihood: See `hvrnn`.
    """
    return hvrnn(
        latents=(1,),
        channels=channels,
        resolution=resolution,
        width=width,
        given=given,
        lean=lean,
        cells=cells,
        likelihood=likelihood,
    )
