"""A training run in milliseconds: an objective with every kind of randomness a real one has."""

import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch._dynamo  # optimisers import it at their first step, which takes seconds
from torch import Tensor, nn

from pyrovp.files import atomic_write
from pyrovp.train import Cadence, Checkpoints, Log, Update, fit

__all__ = ["ToyBound", "ToyObjective", "run_toy", "toy_adam", "toy_videos", "trained"]


CADENCE = Cadence(5, 10, 7)


class ToyBound(NamedTuple):
    """What the objective returns."""

    loss: Tensor
    parts: dict[str, Tensor]


class ToyObjective(nn.Module):
    """A noisy linear map of the frames, annealed over 100 steps.

    Args:
        broken_at: The step (from 0) whose loss is NaN.
        pause: Seconds that each step takes at least.
    """

    def __init__(self, broken_at: int | None = None, pause: float = 0.0) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.linear = nn.Linear(4, 4)
        self.register_buffer("beta", torch.zeros(()))
        self.broken_at, self.pause, self.now = broken_at, pause, 0
        self.beta: Tensor

    def set_step(self, step: int) -> None:
        """Anneals."""
        self.now = step
        self.beta.fill_(min(1.0, (step + 1) / 100))

    def forward(self, video: Tensor) -> ToyBound:
        """The squared error of noisy frames plus beta times the squared weights."""
        time.sleep(self.pause)
        x = video.flatten(2)  # [B, T, 1, 2, 2] -> [B, T, 4]
        noisy = self.linear(x) + 0.1 * torch.randn_like(x)
        frames = (noisy - x).square().mean() * (1 + 0.1 * random.random() * np.random.rand())
        kl = self.linear.weight.square().sum()
        loss = frames + 0.01 * self.beta * kl
        if self.now == self.broken_at:
            loss = loss * float("nan")
        return ToyBound(loss, {"frames": -frames.detach(), "z_1": kl.detach()})


def toy_videos(step: int) -> Iterator[Tensor]:
    """Training batches [3, 5, 1, 2, 2] keyed by the step, without end."""
    while True:
        generator = torch.Generator().manual_seed(1000 + step)
        yield torch.rand(3, 5, 1, 2, 2, generator=generator)
        step += 1


def toy_adam(objective: nn.Module) -> torch.optim.Adam:
    """An optimiser with moments to restore."""
    return torch.optim.Adam(objective.parameters(), lr=0.05)


def trained(steps: int = 3) -> tuple[ToyObjective, torch.optim.Adam]:
    """An objective and an optimiser whose moments are not zero."""
    objective = ToyObjective()
    optimizer = toy_adam(objective)
    for _, video in zip(range(steps), toy_videos(0), strict=False):
        optimizer.zero_grad()
        objective(video).loss.backward()
        optimizer.step()
    return objective, optimizer


def run_toy(
    folder: Path,
    steps: int,
    cadence: Cadence = CADENCE,
    pause: float = 0.0,
) -> None:
    """Trains in a folder, going on from what lies there, and writes the weights at the end."""
    torch.set_num_threads(1)
    objective = ToyObjective(pause=pause)
    random.seed(3)
    np.random.seed(3)
    validation = [video for video, _ in zip(toy_videos(10**6), range(2), strict=False)]
    folder.mkdir(exist_ok=True)
    fit(
        Update(objective, toy_adam(objective), clip=1.0),
        toy_videos,
        steps,
        cadence=cadence,
        validation=validation,
        checkpoints=Checkpoints(folder / "checkpoint", "toy"),
        log=Log(folder, bar=False),
    )
    with atomic_write(folder / "weights.pt") as temporary:
        torch.save(objective.state_dict(), temporary)
