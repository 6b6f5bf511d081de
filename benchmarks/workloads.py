"""What is timed: training steps and evaluations of the systems, of their controls, of the floor.

All sides of a comparison have the same networks, the same layout (channels last), the same
optimiser and the same random video; the process's allocator is tuned (`pyrovp.process`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks import controls
from benchmarks.floor import convolution_floor
from pyrovp import Every, Gaussian, GaussianFrames, Hierarchy, LatentDynamics, Level, Objective
from pyrovp import guides as system_guides
from pyrovp import models as systems
from pyrovp.cells import GRU
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
from pyrovp.programs import Filtering
from pyrovp.wiring import Parent

__all__ = [
    "SYSTEMS",
    "System",
    "control",
    "evaluation",
    "floor",
    "library",
    "recurrent",
    "training_step",
]

Work = Callable[[], Any]
_STD = 0.4


@dataclass(frozen=True)
class System:
    """A system as it is timed, at 64 x 64 pixels.

    Args:
        library: Makes the objective.
        control: Makes the same mathematics by hand, with the same frame networks.
        batch, length: B and T, the tail of VTA's clips included.
        channels: Of the frames.
        has_floor: Whether its frame networks are those of `convolution_floor`.
    """

    library: Callable[[], nn.Module]
    control: Callable[[], nn.Module]
    batch: int = 4
    length: int = 12
    channels: int = 3
    has_floor: bool = False

    @property
    def frames(self) -> int:
        """Frames that a step takes in."""
        return self.batch * self.length

    @property
    def shape(self) -> str:
        """For a table."""
        return f"B = {self.batch}, T = {self.length}, C = {self.channels}"


def _cwvae() -> nn.Module:
    model = systems.cwvae(std=_STD)
    return Objective(model, system_guides.cwvae(model), per="frame")


def _dlh() -> nn.Module:
    model = systems.dlh(std=_STD)
    return Objective(model, system_guides.dlh(model), per="sequence")


def _hvrnn(width: int) -> nn.Module:
    model = systems.hvrnn(width=width)
    return Objective(model, system_guides.hvrnn(model), per="sequence")


def _svg(**sizes: Any) -> nn.Module:
    model = systems.svg_lp(**sizes)
    return Objective(model, system_guides.svg_lp(model), per="pixel")


def _vta(given: int = 5, tail: int = 5) -> nn.Module:
    model = systems.vta(given=given, tail=tail)
    return Objective(model, system_guides.vta(model), per="frame")


def _vta_by_hand(**ends: int) -> nn.Module:
    encoder = StridedEncoder(3, 64, input=SignedPixels())
    decoder = StridedDecoder(128, 3, 64, output=UnitTanh())
    return controls.VTA(encoder, decoder, std=0.5, **ends)


SYSTEMS: dict[str, System] = {
    "cwvae": System(
        _cwvae,
        lambda: controls.CWVAE(
            DCGANEncoder(1), DCGANDecoder(220, 1, output=nn.Tanh()), std=_STD
        ),
        batch=8, length=100, channels=1, has_floor=True,
    ),
    "dlh": System(
        _dlh,
        lambda: controls.DLH(
            DCGANEncoder(1, padding="same"), DCGANDecoder(200, 1, output=nn.Identity()), std=_STD
        ),
        batch=8, length=100, channels=1, has_floor=True,
    ),
    "svg_lp, dcgan": System(
        _svg, lambda: controls.SVG(SkipDCGANEncoder(1), SkipDCGANDecoder(1)), channels=1
    ),
    "svg_lp, vgg": System(
        lambda: _svg(network="vgg", channels=3, state=64),
        lambda: controls.SVG(VGGEncoder(3), VGGDecoder(3), state=64),
    ),
    "vta": System(lambda: _vta(given=2, tail=2), lambda: _vta_by_hand(given=2, tail=2)),
    "vta, 5 + 20 + 5": System(_vta, _vta_by_hand, length=30),
    "hvrnn, width 16": System(
        lambda: _hvrnn(16), lambda: controls.HVRNN(ResidualEncoder(3, width=16))
    ),
    "hvrnn": System(lambda: _hvrnn(64), lambda: controls.HVRNN(ResidualEncoder(3))),
}  # fmt: skip


def library(system: str) -> nn.Module:
    """The system's objective."""
    return SYSTEMS[system].library()


def control(system: str) -> nn.Module:
    """The same mathematics by hand, with the same networks."""
    return SYSTEMS[system].control()


def floor(system: str, length: int | None = None) -> Work:
    """The stock convolutions of CW-VAE's frame networks alone, forward and backward."""
    timed = SYSTEMS[system]
    return convolution_floor(timed.channels, 64, 1.0, timed.batch, length or timed.length)


def evaluation(
    module: nn.Module, batch: int, length: int, channels: int = 1, resolution: int = 64
) -> Callable[[], Tensor]:
    """One evaluation of the loss, graph included."""
    video = _video(batch, length, channels, resolution)

    def evaluate() -> Tensor:
        result = module(video)
        return result if isinstance(result, Tensor) else result.loss

    return evaluate


def training_step(
    module: nn.Module, batch: int, length: int, channels: int = 1, resolution: int = 64
) -> Work:
    """Loss, gradient, clipping and Adam."""
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-4, eps=1e-4, fused=True)
    evaluate = evaluation(module, batch, length, channels, resolution)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        evaluate().backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), 1e4)
        optimizer.step()

    return step


def recurrent(factor: int) -> nn.Module:
    """CW-VAE without frame networks: frames of 32 x 32 are their own 1024 features."""
    hierarchy = Hierarchy(
        levels=[
            Level(
                clock=Every(factor**n),
                memory=GRU(200, inputs=200),
                state=Gaussian(20, hidden=(200,), activation=torch.relu, shift=0.54),
            )
            for n in range(3)
        ],
        wiring=Parent(),
        encoder=_Flat(),
        emission=GaussianFrames(_Linear, std=_STD),
    )
    model = LatentDynamics(hierarchy)
    return Objective(model, Filtering(hierarchy, lift=(), features=200))


class _Flat(nn.Module):
    features = 1024

    def forward(self, frames: Tensor) -> Tensor:
        return frames.flatten(1)


class _Linear(nn.Linear):
    def __init__(self, inputs: int) -> None:
        super().__init__(inputs, 1024)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).unflatten(1, (1, 32, 32))


def _video(batch: int, length: int, channels: int, resolution: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(batch, length, channels, resolution, resolution, generator=generator)
