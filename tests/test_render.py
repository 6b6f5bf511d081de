"""Pyro's own picture of the random choices."""

from typing import Any, cast

import pyro
import pytest
import torch
from torch import nn

import pyrovp
from pyrovp.models import cwvae
from tests.named import NAMED


def edges(graph: Any) -> set[str]:
    return {line.strip() for line in graph.source.splitlines() if "->" in line}


@pytest.mark.parametrize("name", NAMED)
def test_models_and_guides(name: str) -> None:
    """Every model by ours, every model and guide by Pyro's."""
    torch.manual_seed(0)
    system = NAMED[name]
    model = system.model()
    guide, video = system.guide(model), torch.rand(2, system.length, 1, 16, 16)
    last = model.hierarchy.scored(system.length)[-1]
    ours = pyrovp.render(model, video)
    assert "label=sequences" in ours.source and f"z_1_{last} -> frames" in edges(ours)
    for program in (model, guide):
        assert f"z_1_{last}" in pyro.render_model(program, model_args=(video,)).source


def test_nothing_comes_from_later_frames() -> None:
    """Where Pyro's own sees a table of all ticks, which depends on all of them."""
    model, video = NAMED["hvrnn"].model(), torch.rand(1, 4, 1, 16, 16)
    assert "z_3_3 -> z_2_2" in edges(pyro.render_model(model, model_args=(video,)))
    down = {f"z_{n}_{t} -> z_{m}_{t}" for t in (2, 3) for n, m in ((3, 2), (3, 1), (2, 1))}
    shown = {f"z_{n}_{t} -> frames" for n in (1, 2, 3) for t in (2, 3)}
    assert edges(pyrovp.render(model, video)) == down | shown


def test_refuses_a_hierarchy() -> None:
    with pytest.raises(ValueError, match="a model is needed"):
        pyrovp.render(cast(Any, cwvae(width=0.1).hierarchy), torch.rand(1, 2, 1, 64, 64))
    with pytest.raises(ValueError, match="a model is needed"):
        pyrovp.render(cast(Any, nn.Linear(1, 1)), torch.rand(1, 2, 1, 64, 64))
