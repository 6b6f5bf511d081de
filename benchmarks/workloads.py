"""What is timed: training steps and evaluations of the systems, of their controls, of the floor.

All sides of a comparison have the same networks, the same layout (channels last), the same
optimiser and the same random video; the process's allocator is tuned (`pyrovp.process`).
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks import controls
from benchmarks.floor import convolution_floor
from pyrovp import Every, Gaussian, GaussianFrames, Hierarchy, LatentDynamics, Level, Objective
from pyrovp import guides as system_guides
from pyrovp import models as systems
from pyrovp.cells import GRU
from pyrovp.nets import DCGANDecoder, DCGANEncoder
from pyrovp.programs import Filtering
from pyrovp.wiring import Parent

__all__ = ["SYSTEMS", "control", "evaluation", "floor", "library", "recurrent", "training_step"]

Work = Callable[[], Any]
SYSTEMS = ("cwvae", "dlh")
_CHANNELS, _RESOLUTION, _STD = 1, 64, 0.4


def library(system: str) -> nn.Module:
    """The system's objective, in the papers' size, for 64 x 64 gray frames."""
    if system == "cwvae":
        model = systems.cwvae(std=_STD)
        return Objective(model, system_guides.cwvae(model), per="frame")
    model = systems.dlh(std=_STD)
    return Objective(model, system_guides.dlh(model), per="sequence")


def control(system: str) -> nn.Module:
    """The same mathematics by hand, with the same networks."""
    if system == "cwvae":
        return controls.CWVAE(
            DCGANEncoder(_CHANNELS), DCGANDecoder(220, _CHANNELS, output=nn.Tanh()), std=_STD
        )
    return controls.DLH(
        DCGANEncoder(_CHANNELS, padding="same"),
        DCGANDecoder(200, _CHANNELS, output=nn.Identity()),
        std=_STD,
    )


def floor(batch: int, length: int) -> Work:
    """The stock convolutions of the frame networks alone, forward and backward."""
    return convolution_floor(_CHANNELS, _RESOLUTION, 1.0, batch, length)


def evaluation(
    module: nn.Module, batch: int, length: int, resolution: int = _RESOLUTION
) -> Callable[[], Tensor]:
    """One evaluation of the loss, graph included."""
    video = _video(batch, length, resolution)

    def evaluate() -> Tensor:
        result = module(video)
        return result if isinstance(result, Tensor) else result.loss

    return evaluate


def training_step(
    module: nn.Module, batch: int, length: int, resolution: int = _RESOLUTION
) -> Work:
    """Loss, gradient, clipping and Adam."""
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-4, eps=1e-4, fused=True)
    evaluate = evaluation(module, batch, length, resolution)

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


def _video(batch: int, length: int, resolution: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(batch, length, _CHANNELS, resolution, resolution, generator=generator)
