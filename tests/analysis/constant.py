"""Hierarchies whose beliefs are what we say, whatever they see: all that follows is known."""

__all__ = ["Beliefs", "constant", "noise"]

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pyrovp import (
    GRU,
    Every,
    Filtering,
    Gaussian,
    GaussianFrames,
    Hierarchy,
    LatentDynamics,
    Level,
    TopDown,
)
from pyrovp.gates import Gate
from tests.toys.hvrnn import Decoder, Encoder


@dataclass(frozen=True)
class Beliefs:
    """Of one level: means and standard deviations of prior and posterior, each [Z].

    Args:
        prior, posterior: (means, standard deviations).
        period: Of its clock.
        gate: Its gate, if any.
        log_odds: Of a change, where the gate is a `MixtureGate`.
    """

    prior: tuple[Sequence[float], Sequence[float]]
    posterior: tuple[Sequence[float], Sequence[float]]
    period: int = 1
    gate: Gate | None = None
    log_odds: float = 0.0


def constant(*levels: Beliefs) -> tuple[LatentDynamics[Hierarchy], Filtering]:
    """Model and guide in float64, for frames of 1 x 2 x 2 pixels, from level 1 up."""
    hierarchy = Hierarchy(
        [
            Level(
                clock=Every(level.period),
                memory=GRU(2),
                state=Gaussian(len(level.prior[0]), hidden=(), std=torch.exp, min_std=0.0),
                gate=level.gate,
            )
            for level in levels
        ],
        TopDown(2),
        Encoder(3),
        GaussianFrames(Decoder, 0.5),
    )
    model, guide = LatentDynamics(hierarchy).double(), Filtering(hierarchy, lift=(4,)).double()
    for n, level in enumerate(levels):
        _fix(hierarchy.parts[n].head, level.prior)
        _fix(guide.heads[n], level.posterior)
        if str(n) in hierarchy.gates and level.log_odds:
            output = hierarchy.gates[str(n)].get_submodule("output")
            _fill(output, torch.tensor([level.log_odds]))
    return model, guide


def noise(batch: int, frames: int, seed: int = 1) -> Tensor:
    """A video [B, T, 1, 2, 2]."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(batch, frames, 1, 2, 2, dtype=torch.float64, generator=generator)


def _fix(head: nn.Module, belief: tuple[Sequence[float], Sequence[float]]) -> None:
    means, stds = belief
    _fill(head, torch.tensor([*means, *map(math.log, stds)], dtype=torch.float64))


def _fill(layer: nn.Module, bias: Tensor) -> None:
    with torch.no_grad():
        for name, parameter in layer.named_parameters():
            parameter.copy_(bias if name.endswith("bias") else torch.zeros_like(parameter))
