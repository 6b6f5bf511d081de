"""DLH: parameter counts, the literal oracle under every option, blind levels and stock bounds."""

import math
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import pytest
import torch
import torch.nn.functional as F
from pyro import poutine
from pyro.infer import Trace_ELBO, TraceMeanField_ELBO
from torch import Tensor, nn

from pyrovp import guides, models
from pyrovp.cells import GRU
from pyrovp.emission import GaussianFrames
from pyrovp.gates import Forced, Gate, KLComparison, MixtureGate, VaDE
from pyrovp.heads import Gaussian
from pyrovp.hierarchy import Hierarchy
from pyrovp.infer import Linear, Objective
from pyrovp.levels import Level
from pyrovp.nets import DCGANDecoder, DCGANEncoder
from pyrovp.programs import Filtering, LatentDynamics
from pyrovp.wiring import TopDown
from tests.models.evaluate import (
    Watched,
    assert_same_gradients,
    drawn_noise,
    gradients,
    kl_of_ticks,
    walk,
)
from tests.models.weights import dlh_weights, randomise
from tests.oracles import dlh as dl
from tests.oracles.tiny import close, randn

B, T = 4, 8
STD = 2.0


def count(*modules: nn.Module) -> int:
    return sum(p.numel() for p in {p for module in modules for p in module.parameters()})


def untouched(**sizes: Any) -> tuple[Any, Any]:
    """Model and guide whose parameters have shapes and no memory."""
    with torch.device("meta"):
        model = models.dlh(std=1.0, **sizes)
        return model, guides.dlh(model)


@pytest.mark.parametrize(
    ("levels", "channels", "parameters"),
    [(3, 1, 6_693_211), (3, 3, 6_696_541), (2, 1, 6_111_890), (2, 3, 6_115_220)],
)
def test_parameter_count(levels: int, channels: int, parameters: int) -> None:
    model, guide = untouched(levels=levels, channels=channels)
    assert count(model, guide) == parameters
    assert count(model, guide) == dlh_count(levels, channels)


def dlh_count(levels: int, channels: int) -> int:
    encoder = (16 * channels + 1) * 32 + 32_832 + 131_200 + 524_544 + 4097 * 200
    decoder = 201 * 1024 + 3_276_928 + 204_864 + 73_760 + 1153 * channels
    gru, head = 3 * 200 * 222, 401 * 40 + 2 * 41 * 40 + 41 * 40
    level = (221 + 201) * 200 + gru + 2 * head
    factor = 3 * 200 * 402 + 201
    return encoder + decoder + levels * level + (levels - 1) * (2 * 201 * 200 + factor)


def test_parameter_count_of_each_part() -> None:
    model, guide = untouched()
    hierarchy = model.hierarchy
    parts = {
        "encoders": count(guide.ladder),
        "decoders": sum(count(level.first, level.second) for level in hierarchy.dynamics),
        "temporal": sum(count(level.cell) for level in hierarchy.dynamics),
        "posteriors": count(guide.heads),
        "priors": sum(count(level.head) for level in hierarchy.dynamics),
        "factors": count(hierarchy.gates),
    }
    assert parts == {
        "encoders": 160_800,
        "decoders": 253_200,
        "temporal": 399_600,
        "posteriors": 62_880,
        "priors": 62_880,
        "factors": 482_802,
    }
    images = count(hierarchy.encoder, hierarchy.emission)
    assert sum(parts.values()) + images == count(model, guide)


@pytest.mark.parametrize("resolution", [32, 64, 128])
@pytest.mark.parametrize("channels", [1, 3])
def test_frames_of_all_sizes(resolution: int, channels: int) -> None:
    model = models.dlh(
        std=STD, levels=2, state=2, memory=3, context=4, hidden=(5,),
        channels=channels, resolution=resolution, width=0.03,
    )  # fmt: skip
    video = torch.rand(2, 3, channels, resolution, resolution)
    watched = Watched()
    loss = Objective(model, guides.dlh(model), watched, per="sequence")(video).loss
    assert loss.shape == () and bool(loss.isfinite())
    assert watched.model_trace.nodes["frames"]["fn"].mean.shape == video.shape
    assert model(length=3, batch=2).shape == video.shape


class System(NamedTuple):
    """A system in float64, and one evaluation of its objective."""

    model: LatentDynamics
    guide: Filtering
    objective: Objective
    watched: Watched


SIZES: dict[str, Any] = {"state": 2, "memory": 3, "context": 5, "hidden": (4, 6)}
WIDTH = 0.03


def build(
    levels: int = 3,
    *,
    resolution: int = 16,
    beta: float = 1.0,
    std: float | None = STD,
    seed: int = 0,
    model: LatentDynamics | None = None,
    **options: Any,
) -> System:
    gate = MixtureGate(size=SIZES["memory"], **options)
    if model is None:
        model = models.dlh(
            std=std, levels=levels, gate=gate, resolution=resolution, width=WIDTH, **SIZES
        )
    guide = guides.dlh(model, lift=(7,))
    watched = Watched()
    objective = Objective(model, guide, watched, per="sequence", beta=Linear(end=beta)).double()
    objective.set_step(0)  # β in the precision of the rest
    randomise(objective, seed=seed, scale=1.5, std=0.2)
    return System(model, guide, objective, watched)


def clip(frames: int = T, resolution: int = 16, batch: int = B) -> Tensor:
    """Noise in which nearly nothing changes every other frame."""
    video = randn(batch, frames, 1, resolution, resolution, seed=7)
    for t in range(2, frames, 2):
        video[:, t] = video[:, t - 1] + 0.02 * video[:, t]
    return video
