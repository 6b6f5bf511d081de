"""What is timed: training steps and evaluations of the systems, of their controls, of the floor.

All sides of a comparison have the same networks, the same layout (channels last), the same
optimiser and the same random video; the process's allocator is tuned (`pyrovp.process`).
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.floor import convolution_floor
from benchmarks.systems import SYSTEMS, System
from pyrovp import Every, Gaussian, GaussianFrames, Hierarchy, LatentDynamics, Level, Objective
from pyrovp.cells import GRU
from pyrovp.filtering import Filtering
from pyrovp.train.precision import Precision
from pyrovp.wiring import Parent

__all__ = [
    "SYSTEMS",
    "System",
    "Work",
    "control",
    "evaluation",
    "floor",
    "library",
    "random_video",
    "recurrent",
    "training_step",
    "under",
]

Work = Callable[[], Any]
_STD = 0.4


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
    """One evaluation of the loss, graph included, where the module is."""
    device = next(module.parameters()).device
    video = random_video(batch, length, channels, resolution).to(device)

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


def under(precision: Precision, work: Work) -> Work:
    """The same work in a precision."""

    def inside() -> None:
        with precision.inside():
            work()

    return inside


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


def random_video(batch: int, length: int, channels: int = 1, resolution: int = 64) -> Tensor:
    """The same numbers in [0, 1] every time, [B, T, C, H, W]."""
    generator = torch.Generator().manual_seed(0)
    return torch.rand(batch, length, channels, resolution, resolution, generator=generator)
