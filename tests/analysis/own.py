"""A state space that somebody wrote without any of our levels: what analyses have to work on."""

__all__ = ["OwnGuide", "OwnSpace", "gaussian", "own"]

from collections.abc import Callable, Collection, Sequence
from typing import Any

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor, nn

from pyrovp import GRU, Gaussian, LatentDynamics, Level
from pyrovp.programs import PLATE
from pyrovp.sites import STATE, site
from pyrovp.state_space import StateSpace

Family = Callable[[Tensor, Tensor], Any]


def gaussian(mean: Tensor, std: Tensor) -> Any:
    """A vector with independent components."""
    return dist.Normal(mean, std).to_event(1)


class OwnSpace(StateSpace):
    """z_t ~ N(z_{t-1}, (t + 1)²), and every pixel shows the sum of z_t."""

    def __init__(self, family: Family) -> None:
        super().__init__()
        self.levels = (Level(memory=GRU(1), state=Gaussian(2)),)
        self.encoder = nn.Identity()
        self.family = family
        self.scale = nn.Parameter(torch.ones((), dtype=torch.float64))

    def begin(self, video: Tensor) -> Tensor:
        return video.new_zeros(len(video), 2)

    def step(self, t: int, state: Tensor) -> Tensor:
        std = self.scale * (t + 1) * torch.ones_like(state)
        return pyro.sample(site(STATE, 1, t), self.family(state, std))

    def emit(self, states: Sequence[Tensor]) -> dist.TorchDistribution:
        pixels = torch.stack(list(states), -2).sum(-1)[..., None, None, None]
        return dist.Normal(pixels.expand(*pixels.shape[:-2], 2, 2), 1.0).to_event(4)

    def changes(self, t: int, state: Tensor) -> list[Tensor | None]:
        return [state.new_ones(len(state))]


class OwnGuide(nn.Module):
    """q(z_t | x_t) = N(mean of the frame, 1/4)."""

    def __init__(self, hierarchy: OwnSpace) -> None:
        super().__init__()
        self.hierarchy = hierarchy

    def forward(
        self, video: Tensor, *, ends: bool = True, blind: Collection[int] = frozenset()
    ) -> None:
        state = self.hierarchy.begin(video)
        with pyro.plate(PLATE, len(video), dim=-1):
            for t in range(video.shape[1]):
                if 1 in blind:
                    state = self.hierarchy.step(t, state)
                    continue
                mean = video[:, t].flatten(1).mean(1, keepdim=True).expand(-1, 2)
                belief = self.hierarchy.family(mean, torch.full_like(mean, 0.5))
                state = pyro.sample(site(STATE, 1, t), belief)


def own(family: Family = gaussian) -> tuple[LatentDynamics[OwnSpace], OwnGuide]:
    """Model and guide."""
    space = OwnSpace(family)
    return LatentDynamics(space), OwnGuide(space)
