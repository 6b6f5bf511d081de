"""What every analysis obeys on every system: an analysis joins by adding itself to ANALYSES."""

import copy
import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf
from torch import Tensor, nn

from pyrovp import guides, models
from pyrovp.analysis import (
    Analysis,
    ChannelKL,
    Clips,
    Curve,
    Evidence,
    Findings,
    GateRaster,
    Inpaint,
    LevelKL,
    LevelReset,
    LevelRollout,
    LevelSamples,
    PriorEntropy,
    Raster,
    Strip,
    Swap,
    Table,
    TrueStates,
    WhatIf,
)
from pyrovp.runs.build import make
from tests.analysis.own import own
from tests.systems import clip, tiny_cwvae, tiny_dlh, tiny_mixed

CONFIGURATIONS = sorted((Path(__file__).parents[2] / "experiments/conf/analysis").glob("*.yaml"))

ANALYSES: dict[str, Analysis] = {
    "level_kl": LevelKL(),
    "prior_entropy": PriorEntropy(horizon=4, samples=2),
    "gate_raster": GateRaster(shown=1),
    "channel_kl": ChannelKL(),
    "level_reset": LevelReset(),
    "level_samples": LevelSamples(count=2),
    "level_rollout": LevelRollout(horizon=3),
    "swap": Swap(),
    "inpaint": Inpaint(candidates=2),
    "what_if": WhatIf(horizon=3),
    "evidence": Evidence(num_particles=3, chunk=2),
    "true_states": TrueStates(horizon=3, samples=2),
}

CONTEXT = 4


def videos() -> Tensor:
    return clip(8).sigmoid()


def states(video: Tensor) -> dict[str, Tensor]:
    """Of one digit that stands in the upper left corner."""
    body = (*video.shape[:2], 1)
    return {
        "bounce": torch.zeros(*body, 2, dtype=torch.bool),
        "position": torch.zeros(*body, 2),
        "digit": torch.zeros(body, dtype=torch.long),
    }


@pytest.fixture(autouse=True, scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Readers of digits are trained once, and kept where the tests are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYROVP_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def tiny_svg() -> tuple[Any, Any]:
    torch.manual_seed(0)
    model = models.svg_lp(
        state=2, memory=3, features=4, context=2, resolution=16, width=1 / 64
    ).double()
    return model, guides.svg_lp(model).double()


def tiny_hvrnn() -> tuple[Any, Any]:
    torch.manual_seed(0)
    model = models.hvrnn(latents=(1, 4, 8), channels=1, resolution=16, width=16, given=2).double()
    return model, guides.hvrnn(model).double()


def tiny_vta() -> tuple[Any, Any]:
    torch.manual_seed(0)
    model = models.vta(
        belief=3, state=2, features=4, channels=1, resolution=16, given=2, tail=1
    ).double()
    guide = guides.vta(model).double()
    model.hierarchy.gate.set_step(0)
    return model, guide


SYSTEMS: dict[str, tuple[Callable[[], tuple[Any, Any]], Callable[[], Tensor]]] = {
    "cwvae": (tiny_cwvae, videos),
    "dlh": (tiny_dlh, videos),
    "mixed": (tiny_mixed, videos),
    "svg_lp": (tiny_svg, videos),
    "hvrnn": (tiny_hvrnn, videos),
    "vta": (tiny_vta, videos),
    "own": (own, lambda: videos()[..., :2, :2]),
}

UNGATED = dict.fromkeys(("cwvae", "svg_lp", "hvrnn", "own"), "no level of this model has a gate")
ONE_LEVEL = dict.fromkeys(("svg_lp", "own"), "this model has one level")
TOO_SMALL = {"own": "smaller than the 7 x 7 window of SSIM"}
REFUSED: dict[str, dict[str, str]] = {
    "gate_raster": UNGATED,
    "what_if": UNGATED,
    "level_rollout": ONE_LEVEL,
    "level_reset": TOO_SMALL,
    "inpaint": TOO_SMALL,
    "true_states": {"own": "digits of 1 px cannot be told apart"},
}
"""By analysis and system: what the refusal says, where the question makes no sense."""


def weights(*modules: nn.Module) -> list[Tensor]:
    return [value.clone() for module in modules for value in module.state_dict().values()]


def found_by(analysis: Analysis, system: str) -> tuple[Findings, Any, Any]:
    build, film = SYSTEMS[system]
    model, guide = build()
    model.eval(), guide.eval()
    video = film()
    torch.manual_seed(0)
    return analysis(model, guide, Clips(video, CONTEXT, states(video), "noise")), model, guide


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("name", ANALYSES)
def test_an_analysis_finds_what_can_be_shown_or_says_why_not(name: str, system: str) -> None:
    if system in REFUSED.get(name, {}):
        with pytest.raises(ValueError, match=REFUSED[name][system]):
            found_by(ANALYSES[name], system)
        return
    found, model, guide = found_by(ANALYSES[name], system)
    assert isinstance(found, Findings) and found.facts and found.exhibits and found.sentences
    assert json.loads(json.dumps(found.facts, allow_nan=False)) == found.facts
    assert all(isinstance(sentence, str) and sentence for sentence in found.sentences)
    for label, exhibit in found.exhibits.items():
        assert label.isidentifier(), "file names are plain"
        check(exhibit)
    assert all(parameter.grad is None for parameter in (*model.parameters(), *guide.parameters()))


@pytest.mark.parametrize("name", ANALYSES)
def test_an_analysis_changes_nothing_and_repeats_itself(name: str) -> None:
    model, guide = tiny_dlh()
    model.eval(), guide.eval()
    before, described = weights(model, guide), copy.copy(ANALYSES[name])
    clips = Clips(videos(), CONTEXT, states(videos()))
    results = []
    for _ in range(2):
        torch.manual_seed(7)
        results.append(ANALYSES[name](model, guide, clips).facts)
    assert results[0] == results[1]
    assert all(map(torch.equal, before, weights(model, guide)))
    assert torch.equal(clips.video, videos())
    assert not model.training and not guide.training and torch.is_grad_enabled()
    assert vars(ANALYSES[name]) == vars(described)


@pytest.mark.parametrize("path", CONFIGURATIONS, ids=lambda path: path.stem)
def test_every_configuration_names_an_analysis(path: Path) -> None:
    node = OmegaConf.to_container(OmegaConf.load(path), resolve=True)
    assert isinstance(make("analysis", node), Analysis)


def check(exhibit: Any) -> None:
    """An exhibit holds finite values of shapes that fit together."""
    assert exhibit.title and not exhibit.title.endswith(".")
    if isinstance(exhibit, Table):
        assert exhibit.rows
        cells = [cell for row in exhibit.rows for cell in row]
        assert all(cell is None or isinstance(cell, (str, float, int)) for cell in cells)
        assert all(math.isfinite(cell) for cell in cells if isinstance(cell, float))
    elif isinstance(exhibit, Curve):
        assert exhibit.x and exhibit.y and exhibit.lines
        for line in exhibit.lines.values():
            parts = [part for part in (line.y, line.low, line.high, line.x) if part is not None]
            assert len({len(part) for part in parts}) == 1 and len(line.y) > 0
            assert all(math.isfinite(value) for part in parts for value in part)
            assert (line.low is None) == (line.high is None)
    elif isinstance(exhibit, Strip):
        shapes = {tuple(frames.shape) for frames in exhibit.rows.values()}
        assert len(shapes) == 1 and len(shapes.pop()) == 4
        for frames in exhibit.rows.values():
            assert not frames.requires_grad and 0 <= frames.min() and frames.max() <= 1
    else:
        assert isinstance(exhibit, Raster)
        assert len({len(row) for row in exhibit.rows.values()}) == 1
        for row in exhibit.rows.values():
            assert row.dim() == 1 and 0 <= row.min() and row.max() <= 1
