"""Hierarchies that paint: each level's state is the brightness of its own band of the frame.

    frame = [z_1 | z_2 | ... ]     bands of equal width, from left to right
    p(z_n) = N(mean_n, std_n)      at every tick, whatever came before
    q(z_n) = the band's brightness, mean over the level's window, with no noise to speak of

A level that holds nothing has its prior for a posterior, and its band is black. All weights are
set by hand, in float64, so what an analysis finds can be said in advance.
"""

__all__ = ["SIDE", "Band", "bands", "painted"]

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pyrovp.cells import GRU
from pyrovp.clocks import Every
from pyrovp.emission import GaussianFrames
from pyrovp.filtering import Filtering
from pyrovp.gates import Gate
from pyrovp.heads import Gaussian
from pyrovp.hierarchy import Hierarchy
from pyrovp.levels import Level
from pyrovp.programs import LatentDynamics
from pyrovp.wiring import Dense

SIDE = 12

_QUIET = -40.0
"""softplus of it is 4e-18."""


@dataclass(frozen=True)
class Band:
    """A level.

    Args:
        mean, std: Of its prior.
        holds: Whether it holds its band's brightness; False: nothing.
        period: Of its clock.
        gate: Of the level.
        odds: Log-odds of a change, where the gate is a `MixtureGate`.
    """

    mean: float = 0.5
    std: float = 1e-9
    holds: bool = True
    period: int = 1
    gate: Gate | None = None
    odds: float = 0.0


class _Means(nn.Module):
    """Brightness of each band, [N, 1, H, W] -> [N, L]."""

    def __init__(self, levels: int) -> None:
        super().__init__()
        self.features = levels

    def forward(self, frames: Tensor) -> Tensor:
        return frames.unflatten(-1, (self.features, -1)).mean((1, 2, 4))


class _Paint(nn.Module):
    """Frames of bands, [N, L] -> [N, 1, H, W]; those of levels that hold nothing are black."""

    holds: Tensor

    def __init__(self, holds: Sequence[bool]) -> None:
        super().__init__()
        self.register_buffer("holds", torch.tensor(holds))

    def forward(self, brightness: Tensor) -> Tensor:
        shown = brightness * self.holds
        width = SIDE // shown.shape[-1]
        return shown[:, None, None].repeat_interleave(width, -1).expand(-1, 1, SIDE, -1)


def painted(*levels: Band) -> tuple[LatentDynamics[Hierarchy], Filtering]:
    """Model and guide, the first band's level being the fastest."""
    holds = [band.holds for band in levels]
    hierarchy = Hierarchy(
        [
            Level(GRU(2), Gaussian(1, hidden=(), min_std=0.0), Every(band.period), band.gate)
            for band in levels
        ],
        Dense(),
        _Means(len(levels)),
        GaussianFrames(lambda inputs: _Paint(holds), std=0.1),
    )
    model = LatentDynamics(hierarchy).double()
    guide = Filtering(hierarchy, lift=()).double()
    parts: Any = zip(levels, hierarchy.parts, guide.heads, strict=True)
    with torch.no_grad():
        for parameter in guide.parameters():
            parameter.zero_()
        for lift in guide.ladder.lifts if guide.ladder is not None else ():
            next(lift.parameters()).copy_(torch.eye(len(levels)))
        for n, (band, dynamics, head) in enumerate(parts):
            prior, posterior = dynamics.head.first, head.head.first
            prior.bias.copy_(torch.tensor([band.mean, math.log(math.expm1(band.std))]))
            posterior.bias.copy_(prior.bias)
            if band.holds:
                posterior.bias.copy_(torch.tensor([0.0, _QUIET]))
                posterior.weights[-1][0, n] = 1 / band.period
            cell: Any = hierarchy.gates[str(n)] if band.gate is not None else None
            if hasattr(cell, "output"):
                cell.output.bias.fill_(band.odds)
    return model, guide


def bands(brightness: Tensor) -> Tensor:
    """Frames of bands of these brightnesses, [..., L] -> [..., 1, H, W]."""
    width = SIDE // brightness.shape[-1]
    rows = brightness[..., None, None, :].repeat_interleave(width, -1)
    return rows.expand(*brightness.shape[:-1], 1, SIDE, SIDE).contiguous()
