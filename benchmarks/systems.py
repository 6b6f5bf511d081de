"""The systems as they are timed: how their objectives are made, their controls, their shapes.

A control is the same mathematics as a plain PyTorch loop (`benchmarks.controls`) with the same
frame networks. TALD is missing: it is CW-VAE's program.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn

from benchmarks import controls
from pyrovp import Objective
from pyrovp import guides as system_guides
from pyrovp import models as systems
from pyrovp.nets import (
    DCGANDecoder,
    DCGANEncoder,
    ResidualEncoder,
    SignedPixels,
    SkipDCGANDecoder,
    SkipDCGANEncoder,
    StridedDecoder,
    StridedEncoder,
    UnitTanh,
    VGGDecoder,
    VGGEncoder,
)

__all__ = ["SYSTEMS", "System"]

_STD = 0.4


@dataclass(frozen=True)
class System:
    """A system as it is timed, at 64 x 64 pixels.

    Args:
        library: Makes the objective; takes `levels` and `resolution` where they vary.
        control: Makes the same mathematics by hand.
        batch, length: B and T, the tail of VTA's clips included.
        channels: Of the frames.
        has_floor: Whether its frame networks are those of `convolution_floor`, and its control
            generates.
        context: Frames given where frames are generated.
        gpu_batch: B on a GPU.
        multiples: Of B, and of T, at which growth is measured; none: it is not.
        levels, resolutions: L and sides of a frame at which growth is measured.
    """

    library: Callable[..., nn.Module]
    control: Callable[[], nn.Module]
    batch: int = 4
    length: int = 12
    channels: int = 3
    has_floor: bool = False
    context: int = 5
    gpu_batch: int = 16
    multiples: tuple[float, ...] = ()
    levels: tuple[int, ...] = ()
    resolutions: tuple[int, ...] = ()

    @property
    def frames(self) -> int:
        """Frames that a step takes in."""
        return self.batch * self.length

    @property
    def shape(self) -> str:
        """For a table."""
        return f"B = {self.batch}, T = {self.length}, C = {self.channels}"


def _cwvae(**sizes: Any) -> nn.Module:
    model = systems.cwvae(std=_STD, **sizes)
    return Objective(model, system_guides.cwvae(model), per="frame")


def _cwvae_by_hand(**sizes: int) -> nn.Module:
    decoder = DCGANDecoder(220, 1, output=nn.Tanh())
    return controls.CWVAE(DCGANEncoder(1), decoder, std=_STD, **sizes)


def _dlh(**sizes: Any) -> nn.Module:
    model = systems.dlh(std=_STD, **sizes)
    return Objective(model, system_guides.dlh(model), per="sequence")


def _dlh_by_hand() -> nn.Module:
    encoder = DCGANEncoder(1, padding="same")
    return controls.DLH(encoder, DCGANDecoder(200, 1, output=nn.Identity()), std=_STD)


def _svg(**sizes: Any) -> nn.Module:
    model = systems.svg_lp(**sizes)
    return Objective(model, system_guides.svg_lp(model), per="pixel")


def _vta(given: int = 5, tail: int = 5, **sizes: Any) -> nn.Module:
    model = systems.vta(given=given, tail=tail, **sizes)
    return Objective(model, system_guides.vta(model), per="frame")


def _vta_by_hand(**ends: int) -> nn.Module:
    encoder = StridedEncoder(3, 64, input=SignedPixels())
    decoder = StridedDecoder(128, 3, 64, output=UnitTanh())
    return controls.VTA(encoder, decoder, std=0.5, **ends)


def _hvrnn(width: int, levels: int = 3, **sizes: Any) -> nn.Module:
    model = systems.hvrnn(latents=(1, 8, 32)[:levels], width=width, **sizes)
    return Objective(model, system_guides.hvrnn(model), per="sequence")


SYSTEMS: dict[str, System] = {
    "cwvae": System(
        _cwvae, _cwvae_by_hand,
        batch=8, length=100, channels=1, has_floor=True, context=1, gpu_batch=100,
        multiples=(0.5, 1.0, 2.0), levels=(1, 2, 3, 4), resolutions=(32, 64, 128),
    ),
    "dlh": System(
        _dlh, _dlh_by_hand,
        batch=8, length=100, channels=1, has_floor=True, context=1, gpu_batch=100,
        multiples=(0.5, 1.0, 2.0), levels=(1, 2, 3, 4), resolutions=(32, 64, 128),
    ),
    "notmpabs": System(
        lambda: _cwvae(factor=1), lambda: _cwvae_by_hand(factor=1),
        batch=8, length=100, channels=1, has_floor=True, context=1, gpu_batch=100,
    ),
    "rssm": System(
        lambda: _cwvae(levels=1), lambda: _cwvae_by_hand(levels=1),
        batch=8, length=100, channels=1, has_floor=True, context=1, gpu_batch=100,
    ),
    "svg_lp, dcgan": System(
        _svg, lambda: controls.SVG(SkipDCGANEncoder(1), SkipDCGANDecoder(1)),
        channels=1, gpu_batch=100, multiples=(0.5, 1.0, 2.0), resolutions=(32, 64, 128),
    ),
    "svg_lp, vgg": System(
        lambda: _svg(network="vgg", channels=3, state=64),
        lambda: controls.SVG(VGGEncoder(3), VGGDecoder(3), state=64),
    ),
    "vta": System(
        lambda **sizes: _vta(given=2, tail=2, **sizes), lambda: _vta_by_hand(given=2, tail=2),
        gpu_batch=64, multiples=(0.5, 1.0, 2.0), resolutions=(32, 64),
    ),
    "vta, 5 + 20 + 5": System(_vta, _vta_by_hand, length=30, gpu_batch=64),
    "vrnn, width 16": System(
        lambda: _hvrnn(16, levels=1),
        lambda: controls.HVRNN(ResidualEncoder(3, width=16), latents=(1,)),
    ),
    "hvrnn, width 16": System(
        lambda **sizes: _hvrnn(16, **sizes),
        lambda: controls.HVRNN(ResidualEncoder(3, width=16)),
        multiples=(0.5, 1.0, 2.0), levels=(1, 2, 3), resolutions=(64, 128),
    ),
    "hvrnn": System(
        lambda: _hvrnn(64), lambda: controls.HVRNN(ResidualEncoder(3)), multiples=(0.25, 0.5)
    ),
}  # fmt: skip
"""By the names that tables give them."""
