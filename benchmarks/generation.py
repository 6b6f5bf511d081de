"""Open-loop generation as it is timed: latents alone, and with their frames.

The context is part of it: the guide infers its latents, and the model goes on by its priors.
"""

from collections.abc import Callable
from typing import Any

import pyro
import torch
from torch import nn

from benchmarks.workloads import random_video
from pyrovp.predict import stream
from pyrovp.programs import PLATE

__all__ = ["dreams_of", "frames_of", "latents_of"]


def frames_of(
    objective: Any, batch: int, context: int, horizon: int, channels: int, resolution: int = 64
) -> Callable[[], None]:
    """Predicts `horizon` frames after a context, chunk by chunk; no chunk is kept."""
    model, guide = objective.eval().model, objective.guide
    video = _context(objective, batch, context, channels, resolution)

    def work() -> None:
        for _ in stream(model, guide, video, horizon):
            pass

    return work


def dreams_of(control: Any, batch: int, horizon: int) -> Callable[[], None]:
    """The same by hand, without a context."""

    def work() -> None:
        for _ in control.eval().generate(batch, horizon):
            pass

    return work


def latents_of(objective: Any, samples: int, steps: int, channels: int = 1) -> Callable[[], None]:
    """Draws `steps` frames' latents from the priors of a system without given frames."""
    hierarchy = objective.eval().model.hierarchy
    nothing = _context(objective, samples, 1, channels, 64)

    def work() -> None:
        with torch.no_grad(), pyro.plate(PLATE, samples, dim=-1):
            state = hierarchy.begin(nothing)
            for t in range(steps):
                state = hierarchy.step(t, state)

    return work


def _context(
    objective: nn.Module, batch: int, length: int, channels: int, resolution: int
) -> torch.Tensor:
    device = next(objective.parameters()).device
    return random_video(batch, length, channels, resolution).to(device)
