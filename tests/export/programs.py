"""Tiny systems in float32, 16 x 16 pixels, one for each thing that a traced program may meet."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from pyrovp import guides, models

__all__ = ["CONTEXT", "HORIZON", "PROGRAMS", "build"]

CONTEXT, HORIZON = 3, 2

PROGRAMS: dict[str, tuple[Callable[..., Any], Callable[..., Any], dict[str, Any]]] = {
    "cwvae": (
        models.cwvae,
        guides.cwvae,
        {"levels": 2, "factor": 2, "state": 2, "memory": 3, "hidden": 4, "width": 0.03},
    ),
    "dlh": (
        models.dlh,
        guides.dlh,
        {"levels": 2, "state": 2, "memory": 3, "context": 3, "hidden": (4,), "width": 0.02,
         "std": 0.2},
    ),
    "svg_lp": (
        models.svg_lp,
        guides.svg_lp,
        {"channels": 1, "width": 0.05, "memory": 8, "features": 8, "context": 2},
    ),
    "hvrnn": (
        models.hvrnn, guides.hvrnn, {"channels": 1, "latents": [1, 4], "width": 4, "given": 2},
    ),
    "vta": (
        models.vta,
        guides.vta,
        {"channels": 1, "belief": 4, "features": 4, "state": 3, "given": 1, "tail": 1},
    ),
}  # fmt: skip


def build(name: str) -> tuple[Any, nn.Module]:
    """A model and its guide, from a seed."""
    torch.manual_seed(3)
    make, guide, sizes = PROGRAMS[name]
    model = make(resolution=16, **sizes)
    return model, guide(model)
