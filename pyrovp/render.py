"""Pyro's own picture of a model's random choices: sites as nodes, who depends on whom as arrows.

`pyro.render_model(model, model_args=(video,))` works on every model and guide here. But it follows
tensors, and where a level is known for a whole clip its beliefs are computed at all ticks at once:
such a level would seem to depend on later frames. So this walks frame by frame, as generation
does.
"""

import os
from typing import Any

import pyro
from torch import Tensor, nn

from pyrovp import sites
from pyrovp.checks import check_video
from pyrovp.programs import PLATE, LatentDynamics, check_model
from pyrovp.state_space import StateSpace

__all__ = ["FrameByFrame", "render"]


class FrameByFrame(nn.Module):
    """A model's program with every state drawn at its own frame, for who depends on whom only.

    The frames of models that feed them back stand as points here, so no density is to be read off.

    Args:
        model: The model.
    """

    def __init__(self, model: LatentDynamics) -> None:
        super().__init__()
        self.hierarchy: StateSpace = model.hierarchy

    def forward(self, video: Tensor) -> None:
        """Draws the latents along a video [B, T, C, H, W]."""
        frames = self.hierarchy.scored(video.shape[1])
        with pyro.plate(PLATE, len(video), dim=-1):
            _, emitted = StateSpace.follow(self.hierarchy, video, frames)
            pyro.sample(sites.FRAMES, emitted, obs=video[:, frames.start : frames.stop])


def render(
    model: LatentDynamics, video: Tensor, *, path: str | os.PathLike[str] | None = None
) -> Any:
    """The graph of a model's random choices along a clip of a few frames.

    Args:
        model: The model.
        video: A short clip [B, T, C, H, W]; its values do not matter.
        path: A file to draw it into, .svg, .png or .pdf, which needs the program `dot` of
            Graphviz; None: none is written.

    Returns:
        A `graphviz.Digraph`, whose `source` is the graph as text.

    Raises:
        ValueError: For what is no model, or a malformed or too short video.
        ImportError: Without the Python package graphviz.

    Example:
        >>> render(model, torch.rand(1, 3, 1, 64, 64)).source           # doctest: +SKIP
    """
    check_model(model)
    check_video(video)
    name = None if path is None else os.fspath(path)
    return pyro.render_model(FrameByFrame(model), model_args=(video,), filename=name)
