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

B, T = 2, 7
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
ALIVE = {(2, False): (2, 1.3), (3, False): (4, 1.3), (4, False): (5, 1.3), (4, True): (4, 1.0)}
"""Seed and scale of weights under which gates open and close, by levels and whether soft."""


def build(
    levels: int = 3,
    *,
    beta: float = 1.0,
    std: float | None = STD,
    resolution: int = 16,
    gate: Gate | None = None,
    model: LatentDynamics | None = None,
) -> System:
    gate = MixtureGate(size=SIZES["memory"]) if gate is None else gate
    if model is None:
        model = models.dlh(
            std=std, levels=levels, gate=gate, resolution=resolution, width=WIDTH, **SIZES
        )
    guide = guides.dlh(model, lift=(7,))
    watched = Watched()
    objective = Objective(model, guide, watched, per="sequence", beta=Linear(end=beta)).double()
    objective.set_step(0)  # β in the precision of the rest
    soft = isinstance(gate, MixtureGate) and isinstance(gate.rule, VaDE)
    enliven(objective, *ALIVE.get((levels, soft), ALIVE[min(levels, 4), False]))
    return System(model, guide, objective, watched)


def enliven(objective: Objective, seed: int, scale: float) -> None:
    """Random weights, with priors wide and posteriors narrow, or gates would stay shut."""
    randomise(objective, seed, scale)
    with torch.no_grad():
        for name, parameter in objective.named_parameters():
            if name.startswith("guide.heads") and name.endswith("first.weight_1"):
                parameter *= 1.5  # the evidence
            if name.endswith("head.output.weight"):
                parameter[len(parameter) // 2 :] *= 0.02
            if name.endswith("head.output.bias"):
                parameter[len(parameter) // 2 :] = 0.5 if "dynamics" in name else -0.5


def clip(frames: int = T, resolution: int = 16, batch: int = B) -> Tensor:
    """Noise in which nearly nothing changes at every third frame."""
    video = randn(batch, frames, 1, resolution, resolution, seed=7)
    for t in range(3, frames, 3):
        video[:, t] = video[:, t - 1] + 0.02 * video[:, t]
    return video


def gates_of(trace: poutine.Trace, levels: int, frames: int) -> Tensor:
    """e, [B, T, N]; 1 where there is no site."""
    nodes = trace.nodes

    def gate(level: int, t: int) -> Tensor:
        name = f"e_{level}_{t}"
        return nodes[name]["value"] if name in nodes else torch.ones(B, dtype=torch.float64)

    return torch.stack(
        [torch.stack([gate(n + 1, t) for n in range(levels)], 1) for t in range(frames)], 1
    )


def noise_of(trace: poutine.Trace, levels: int, frames: int) -> list[list[Tensor]]:
    return [[drawn_noise(trace, n + 1, t) for t in range(frames)] for n in range(levels)]


def stacked(values: Sequence[Sequence[Tensor]]) -> Tensor:
    """`values[n][t]` as [B, T, N, ...]."""
    return torch.stack([torch.stack(list(level), 1) for level in values], 2)


def change_prior(fn: Any) -> Tensor:
    """Packed parameters of p1, whichever component was chosen."""
    base = getattr(fn, "base", fn)
    packed: Tensor = getattr(base, "change", None)  # type: ignore[assignment]
    return base.parameters if packed is None else packed


def assert_same_frames(system: System, video: Tensor, out: dict[str, Any]) -> None:
    """All that a level holds at each frame."""
    levels, frames = len(system.model.hierarchy.levels), video.shape[1]
    p, q = system.watched.model_trace.nodes, system.watched.guide_trace.nodes
    times = range(frames)

    def over(name: str, read: Any, nodes: Any) -> Tensor:
        return stacked(
            [[read(nodes[f"{name}_{n + 1}_{t}"]) for t in times] for n in range(levels)]
        )

    assert torch.equal(gates_of(system.watched.guide_trace, levels, frames), out["e"])
    close(over("z", lambda node: node["value"], q), out["samples"])
    gated = [[q[f"belief_{n + 1}_{t}"]["value"] for t in times] for n in range(1, levels)]
    first = [q[f"z_1_{t}"]["fn"].parameters for t in times]
    close(stacked([first, *gated]), torch.cat([out["mean"], out["std"]], -1))
    change = over("z", lambda node: change_prior(node["fn"]), p)
    close(change, torch.cat([out["change_mean"], out["change_std"]], -1))
    states = walk(system.model, system.watched.guide_trace, B, frames)
    close(torch.stack([torch.stack([level.h for level in s], 1) for s in states], 1), out["d"])
    context = [torch.stack([level.c[0] for level in state], 1) for state in states]
    close(torch.stack(context, 1), out["c"][:, :, :-1])
    close(p["frames"]["fn"].mean, out["frames"])
    close(p["frames"]["fn"].log_prob(video), out["recon"])
    for n in range(1, levels):
        for t in times:
            memory = states[t][n].g
            if hasattr(memory, "memory"):
                close(memory.memory(), out["h"][:, t, n])
                if t > 0:
                    close(p[f"e_{n + 1}_{t}"]["fn"].logit, out["logits"][:, t, n])


def kls_of(system: System, kind: str, levels: int, frames: int) -> Tensor:
    """KL, [B, T, N]; 0 where there is no site."""
    kls, none = system.watched.kls(), torch.zeros(B, dtype=torch.float64)
    return stacked(
        [
            [kls.get((kind, n + 1), {}).get(t, none) for t in range(frames)]
            for n in range(levels)
        ]
    )


def assert_alive(e: Tensor) -> None:
    """Each gate that could open did so and did not, or a comparison would show little."""
    for n in range(1, e.shape[2]):
        could = e[:, 1:, n - 1] == 1
        assert set(e[:, 1:, n][could].tolist()) == {0.0, 1.0}, f"level {n + 1}"


def assert_equals_oracle(
    system: System, video: Tensor, beta: float = 1.0, **options: Any
) -> dict[str, Any]:
    """Under the rule that compares KLs: everything. Under VaDE, see `test_soft_gates_...`."""
    levels, frames = len(system.model.hierarchy.levels), video.shape[1]
    found = system.objective(video)
    trace = system.watched.guide_trace
    e = gates_of(trace, levels, frames)
    run: Any = partial(
        dl.dlh,
        video,
        dlh_weights(system.model, system.guide),
        noise_of(trace, levels, frames),
        levels=levels,
        std=STD,
        beta=beta,
        **{k: v for k, v in options.items() if k != "rule"},
    )
    if options.get("rule") == "vade":
        # A uniform number of 0 opens a gate, one of 1 shuts it.
        uniforms = [list((1 - e[:, :, n]).unbind(1)) for n in range(levels)]
        out = run(rule="vade", uniforms=uniforms)
        sampled = run(forced=e)["kl_s"]  # KLs of the component that was drawn
        soft = torch.zeros(levels, dtype=torch.bool)
        soft[-1] = options.get("fresh_static", True)
        out["kl_s"] = torch.where(soft, out["kl_s"], sampled)
        penalty = (out["kl_s"] + out["kl_e"]).sum((1, 2))
        out["loss"] = (beta * penalty - out["recon"]).mean()
    else:
        out = run()
    assert_same_frames(system, video, out)
    if "forced" in options:
        out["kl_e"] = torch.zeros_like(out["kl_e"])  # what is given costs nothing
        out["loss"] = (beta * out["kl_s"].sum((1, 2)) - out["recon"]).mean()
    else:
        assert_alive(e)
    close(kls_of(system, "z", levels, frames), out["kl_s"])
    close(kls_of(system, "e", levels, frames), out["kl_e"])
    close(found.loss, out["loss"])
    close(found.parts["frames"], out["recon"].mean())
    for n in range(levels):
        close(found.parts[f"z_{n + 1}"], out["kl_s"][:, :, n].sum(1).mean())
        if n > 0:
            close(found.parts[f"e_{n + 1}"], out["kl_e"][:, :, n].sum(1).mean())
            close(found.parts[f"change_{n + 1}"], out["e"][:, 1:, n].mean())
    assert_same_gradients(system.objective, found.loss, out["loss"])
    return out


OPTIONS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {}),
    ({"static_sample": "redraw"}, {"static_sample": "redraw"}),
    ({"fresh_static": False}, {"fresh_static": False}),
    (
        {"fresh_static": False, "static_sample": "redraw"},
        {"fresh_static": False, "static_sample": "redraw"},
    ),
    ({"block_memory": False}, {"block_temporal": False}),
    ({"inputs": "state"}, {"prior_factor_input": "s"}),
    ({"score": "all"}, {"kl_e": "all"}),
    ({"detach_static": True}, {"detach_static": True}),
    (
        {"block_memory": False, "inputs": "state", "static_sample": "redraw", "score": "all"},
        {
            "block_temporal": False,
            "prior_factor_input": "s",
            "static_sample": "redraw",
            "kl_e": "all",
        },
    ),
]


def option_name(options: tuple[dict[str, Any], dict[str, Any]]) -> str:
    return ",".join(f"{k}={v}" for k, v in options[0].items()) or "default"


each_option = pytest.mark.parametrize("options", OPTIONS, ids=option_name)


@pytest.mark.parametrize("levels", [2, 3, 4])
@each_option
def test_equals_its_oracle(
    options: tuple[dict[str, Any], dict[str, Any]], levels: int
) -> None:
    ours, theirs = options
    system = build(levels, gate=MixtureGate(KLComparison(), size=SIZES["memory"], **ours))
    assert_equals_oracle(system, clip(), **theirs)
