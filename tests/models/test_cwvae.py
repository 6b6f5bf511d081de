"""CW-VAE, NoTmpAbs and RSSM: parameter counts, the literal oracle, windows and stock bounds."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import pytest
import torch
from pyro import poutine
from pyro.infer import Trace_ELBO, TraceMeanField_ELBO
from torch import Tensor, nn

from pyrovp import guides, models
from pyrovp.evidence import windows
from pyrovp.filtering import Filtering
from pyrovp.hierarchy import Hierarchy
from pyrovp.infer import Linear, Objective
from pyrovp.posteriors import PosteriorHead, SharedTrunk
from pyrovp.programs import LatentDynamics
from tests.models.evaluate import (
    Watched,
    assert_same_gradients,
    drawn_noise,
    gradients,
    kl_of_ticks,
    walk,
)
from tests.models.weights import cwvae_weights, randomise
from tests.oracles import cwvae as cw
from tests.oracles.tiny import close, randn

B = 2
SMALL: dict[str, int] = {"state": 20, "memory": 200, "hidden": 200, "channels": 1}
LARGE: dict[str, int] = {"state": 100, "memory": 800, "hidden": 800, "channels": 3}


def count(*modules: nn.Module) -> int:
    return sum(p.numel() for p in {p for module in modules for p in module.parameters()})


def untouched(system: Any, guide: Any = guides.cwvae, **sizes: Any) -> tuple[Any, Any]:
    """Model and guide whose parameters have shapes and no memory."""
    with torch.device("meta"):
        model = system(**sizes)
        return model, guide(model)


@pytest.mark.parametrize(
    ("system", "guide", "sizes", "parameters"),
    [
        (models.cwvae, guides.cwvae, {}, 12_466_817),
        (models.tald, guides.tald, {}, 12_466_817),
        (models.cwvae, guides.cwvae, SMALL, 12_466_817),
        (models.cwvae, guides.cwvae, LARGE, 34_396_627),
        (models.notmpabs, guides.notmpabs, SMALL, 12_466_817),
        (models.notmpabs, guides.notmpabs, LARGE, 34_396_627),
        (models.rssm, guides.rssm, SMALL, 5_103_009),
        (models.rssm, guides.rssm, LARGE, 12_879_379),
        (models.cwvae, guides.cwvae, {"levels": 2}, 8_784_913),
        (models.cwvae, guides.cwvae, {"levels": 4}, 16_148_721),
    ],
)
def test_parameter_count(system: Any, guide: Any, sizes: dict[str, int], parameters: int) -> None:
    assert count(*untouched(system, guide, **sizes)) == parameters


@pytest.mark.parametrize(("sizes", "cell"), [(SMALL, 630_880), (LARGE, 7_707_600)])
def test_parameter_count_of_each_part(sizes: dict[str, int], cell: int) -> None:
    model, guide = untouched(models.cwvae, **sizes)
    S, D, E, C = (sizes[name] for name in ("state", "memory", "hidden", "channels"))
    X = 1024
    memory = (2 * S + D + 1) * E + 3 * D * (E + D + 2)
    prior = (D + 1) * E + 2 * (E + 1) * S
    posterior = (D + X + 1) * E + (E + 1) * E + 2 * (E + 1) * S
    assert memory + prior + posterior == cell
    hierarchy = model.hierarchy
    for dynamics, head in zip(hierarchy.dynamics, guide.heads, strict=True):
        assert count(dynamics.cell) == memory
        assert count(dynamics.head) == prior
        assert count(head) == posterior
        assert count(dynamics, head) == cell
    encoder = (16 * C + 1) * 32 + 32_832 + 131_200 + 524_544
    decoder = (S + D + 1) * X + 3_276_928 + 204_864 + 73_760 + (1152 + 1) * C
    lift = (X + 1) * 1000 + 1001 * 1000 + 1001 * X
    assert count(hierarchy.encoder) == encoder
    assert count(hierarchy.emission) == decoder
    assert [count(network) for network in guide.ladder.lifts] == [lift, lift]
    assert count(model, guide) == 3 * cell + encoder + decoder + 2 * lift


@pytest.mark.parametrize("resolution", [32, 64, 128])
@pytest.mark.parametrize("channels", [1, 3])
def test_frames_of_all_sizes(resolution: int, channels: int) -> None:
    model = models.cwvae(
        levels=2, factor=2, state=2, memory=3, hidden=4,
        channels=channels, resolution=resolution, width=0.03,
    )  # fmt: skip
    video = torch.rand(2, 3, channels, resolution, resolution)
    watched = Watched()
    loss = Objective(model, guides.cwvae(model, lift=(4,)), watched)(video).loss
    assert loss.shape == () and bool(loss.isfinite())
    assert watched.model_trace.nodes["frames"]["fn"].mean.shape == video.shape
    assert model(length=3, batch=2).shape == video.shape


class System(NamedTuple):
    """A system in float64, and one evaluation of its objective."""

    model: LatentDynamics[Hierarchy]
    guide: Filtering
    objective: Objective
    watched: Watched


def build(
    *,
    levels: int = 3,
    factor: int = 2,
    resolution: int = 16,
    posterior: PosteriorHead | None = None,
    hidden: int | None = None,
    beta: float | Sequence[float] = 1.0,
    std: float | None = 0.7,
) -> System:
    model = models.cwvae(
        levels=levels, factor=factor, state=2, memory=3, hidden=5,
        resolution=resolution, width=0.03, std=std,
    )  # fmt: skip
    guide = guides.cwvae(model, lift=(4, 6), hidden=hidden, posterior=posterior)
    schedule: Any = (
        Linear(end=beta) if isinstance(beta, float) else [Linear(end=each) for each in beta]
    )
    watched = Watched()
    objective = Objective(model, guide, watched, per="frame", beta=schedule).double()
    objective.set_step(0)  # β in the precision of the rest
    randomise(objective, seed=levels)
    return System(model, guide, objective, watched)


def clip(frames: int, resolution: int = 16) -> Tensor:
    return randn(B, frames, 1, resolution, resolution, seed=7)


def noise_of(trace: poutine.Trace, frames: int, levels: int, factor: int) -> list[list[Tensor]]:
    return [
        [drawn_noise(trace, level + 1, t) for t in range(0, frames, factor**level)]
        for level in range(levels)
    ]


def assert_same_ticks(
    system: System,
    video: Tensor,
    out: dict[str, Any],
    factor: int,
    models_trace: poutine.Trace,
    guides_trace: poutine.Trace,
    without: Sequence[tuple[int, int]] = (),
) -> None:
    """All that a level holds at each of its ticks; posteriors but for `without` (level, tick)."""
    frames = video.shape[1]
    states = walk(system.model, guides_trace, B, frames)
    kls = kl_of_ticks(models_trace, guides_trace)
    assert set(kls) == {("z", level + 1) for level in range(len(out["z"]))}
    for level in range(len(out["z"])):
        times = range(0, frames, factor**level)
        assert len(times) == len(out["z"][level])
        assert sorted(kls["z", level + 1]) == list(times)
        for n, t in enumerate(times):
            name = f"z_{level + 1}_{t}"
            p, q = models_trace.nodes[name]["fn"], guides_trace.nodes[name]["fn"]
            close(p.mean, out["prior"][level][n].mean)
            close(p.stddev, out["prior"][level][n].std)
            close(guides_trace.nodes[name]["value"], out["z"][level][n])
            close(states[t].levels[level].h, out["h"][level][n])
            close(states[t].levels[level].z, out["z"][level][n])
            if (level, n) not in without:
                close(q.mean, out["posterior"][level][n].mean)
                close(q.stddev, out["posterior"][level][n].std)
                close(kls["z", level + 1][t], out["kl"][level][n])
    close(models_trace.nodes["frames"]["fn"].mean, out["frames"])
    close(models_trace.nodes["frames"]["fn"].log_prob(video), out["recon"])


def assert_equals_oracle(system: System, video: Tensor, factor: int, **options: Any) -> None:
    levels, frames = len(system.model.hierarchy.levels), video.shape[1]
    found = system.objective(video)
    trace = system.watched.guide_trace
    weights = cwvae_weights(system.model, system.guide)
    noise = noise_of(trace, frames, levels, factor)
    assert 0.5 < float(torch.cat([torch.cat(level) for level in noise]).std()) < 1.5
    out = cw.cwvae(video, weights, noise, levels=levels, factor=factor, **options)
    assert_same_ticks(system, video, out, factor, system.watched.model_trace, trace)
    for level, rung in enumerate(system.guide.evidence(video)):
        close(windows(rung, factor**level), torch.stack(out["evidence"][level], 1))
    close(found.loss, out["loss"])
    assert set(found.parts) == {"frames"} | {f"z_{level + 1}" for level in range(levels)}
    close(found.parts["frames"], out["recon"].mean())
    for level in range(levels):
        total = torch.stack(out["kl"][level]).sum(0).mean()
        assert float(total.detach()) > 0.1, "there is something to compare"
        close(found.parts[f"z_{level + 1}"], total)
    assert_same_gradients(system.objective, found.loss, out["loss"])


WINDOWS = [
    (1, 1, 4),
    (1, 3, 4),
    (2, 1, 3),
    (2, 2, 5),
    (2, 3, 7),
    (3, 1, 3),
    (3, 2, 7),
    (3, 2, 8),
    (3, 3, 2),
    (3, 3, 10),
]


@pytest.mark.parametrize("posterior", [None, SharedTrunk()], ids=["own", "shared"])
@pytest.mark.parametrize(("levels", "factor", "frames"), WINDOWS)
def test_equals_its_oracle(
    levels: int, factor: int, frames: int, posterior: PosteriorHead | None
) -> None:
    system = build(levels=levels, factor=factor, posterior=posterior)
    share = "implementation" if posterior is None else "paper"
    assert_equals_oracle(system, clip(frames), factor, std=0.7, share=share)


@pytest.mark.parametrize("beta", [0.3, [0.25, 1.7, 0.6]], ids=["one", "per level"])
@pytest.mark.parametrize("hidden", [None, 7])
def test_equals_its_oracle_with_a_weighted_kl(
    beta: float | Sequence[float], hidden: int | None
) -> None:
    system = build(beta=beta, hidden=hidden)
    assert_equals_oracle(system, clip(7), 2, std=0.7, beta=beta)


def test_equals_its_oracle_at_64_pixels() -> None:
    system = build(levels=2, resolution=64)
    assert_equals_oracle(system, clip(3, resolution=64), 2, std=0.7)


def test_a_learned_sigma_has_the_gradient_of_the_density_and_changes_nothing_else() -> None:
    """d loss / d log σ = (1 / B T) Σ (1 - (x - mean)² / σ²)."""
    system, video = build(std=None), clip(5)
    names = dict(system.objective.named_parameters())
    (name,) = (name for name in names if name.endswith("log_std"))
    with torch.no_grad():
        names[name].fill_(math.log(0.7))
    found = system.objective(video)
    noise = noise_of(system.watched.guide_trace, 5, 3, 2)
    weights = cwvae_weights(system.model, system.guide)
    out = cw.cwvae(video, weights, noise, levels=3, factor=2, std=0.7)
    close(found.loss, out["loss"])
    squares = ((video - out["frames"]) / 0.7) ** 2
    expected = (1 - squares).sum() / (B * 5)
    assert_same_gradients(system.objective, found.loss, out["loss"], {name: expected.detach()})


def test_a_learned_sigma_starts_at_a_half() -> None:
    model = models.cwvae(levels=1, state=2, memory=3, hidden=4, resolution=16, std=None)
    (log_std,) = (p for name, p in model.named_parameters() if name.endswith("log_std"))
    assert float(log_std.detach().exp()) == pytest.approx(0.5)
    fixed = models.cwvae(levels=1, state=2, memory=3, hidden=4, resolution=16)
    assert not any(name.endswith("log_std") for name, _ in fixed.named_parameters())


def test_every_parameter_matters() -> None:
    """Comparisons of gradients that are all zero would be none."""
    system = build()
    found = gradients(system.objective(clip(7)).loss, system.objective)
    silent = {name for name, gradient in found.items() if not bool(gradient.abs().max() > 0)}
    top = "model.hierarchy.dynamics.2.cell.layer"  # nothing is above it: c is zero
    assert silent == {f"{top}.weight_1", f"{top}.weight_2"}


# A context that is to be continued, and levels that are blind


def oracle_of_values(
    system: System, video: Tensor, trace: poutine.Trace, levels: int, factor: int
) -> dict[str, Any]:
    """The oracle with the noise under which its posteriors give the states of a trace."""
    frames, weights = video.shape[1], cwvae_weights(system.model, system.guide)
    times = [range(0, frames, factor**level) for level in range(levels)]
    noise = [[randn(B, 2) for _ in ticks] for ticks in times]
    with torch.no_grad():
        out = cw.cwvae(video, weights, noise, levels=levels, factor=factor, std=0.7)
        for t in range(frames):
            for level in reversed(range(levels)):
                if t % factor**level == 0:
                    n = t // factor**level
                    q = out["posterior"][level][n]
                    value = trace.nodes[f"z_{level + 1}_{t}"]["value"]
                    noise[level][n] = (value - q.mean) / q.std
                    out = cw.cwvae(video, weights, noise, levels=levels, factor=factor, std=0.7)
    return out


@pytest.mark.parametrize(
    ("frames", "blind", "ends", "priors"),
    [
        (8, (), False, set()),
        (5, (), True, set()),
        (5, (), False, {(1, 2), (2, 1)}),
        (7, (), False, {(1, 3), (2, 1)}),
        (3, (), False, {(1, 1), (2, 0)}),
        (5, {1}, True, {(0, 0), (0, 1), (0, 2), (0, 3), (0, 4)}),
        (5, {2}, True, {(1, 0), (1, 1), (1, 2)}),
        (5, {3}, True, {(2, 0), (2, 1)}),
        (5, {3}, False, {(1, 2), (2, 0), (2, 1)}),
        (5, {1, 3}, True, {(0, 0), (0, 1), (0, 2), (0, 3), (0, 4), (2, 0), (2, 1)}),
    ],
)
def test_levels_without_evidence_follow_their_prior_and_the_others_infer_given_that(
    frames: int, blind: set[int], ends: bool, priors: set[tuple[int, int]]
) -> None:
    system, video = build(), clip(frames)
    q = poutine.trace(system.guide).get_trace(video, ends=ends, blind=blind)
    p = poutine.trace(poutine.replay(system.model, trace=q)).get_trace(video)
    out = oracle_of_values(system, video, q, levels=3, factor=2)
    assert_same_ticks(system, video, out, 2, p, q, without=sorted(priors))
    kls = kl_of_ticks(p, q)
    for level in range(3):
        for n, t in enumerate(range(0, frames, 2**level)):
            name, kl = f"z_{level + 1}_{t}", kls["z", level + 1][t]
            if (level, n) in priors:
                close(q.nodes[name]["fn"].mean, p.nodes[name]["fn"].mean)
                close(q.nodes[name]["fn"].stddev, p.nodes[name]["fn"].stddev)
                assert bool((kl.abs() < 1e-13).all()), "0 but for the rounding of two equal priors"
                noise = drawn_noise(q, level + 1, t)
                assert bool((noise.abs() > 1e-3).all()), "it is drawn, not taken at its mean"
            else:
                assert bool((kl > 0.01).all())


# Pyro's own bounds


@pytest.mark.parametrize("beta", [1.0, 0.3])
@pytest.mark.parametrize(("levels", "factor", "frames"), [(1, 1, 3), (3, 2, 5)])
def test_mean_field_bound_is_ours(levels: int, factor: int, frames: int, beta: float) -> None:
    system, video = build(levels=levels, factor=factor, beta=beta), clip(frames)
    stock = Objective(
        system.model, system.guide, TraceMeanField_ELBO(), beta=Linear(end=beta)
    ).double()
    stock.set_step(0)
    torch.manual_seed(1)
    ours = system.objective(video).loss
    torch.manual_seed(1)
    theirs = stock(video).loss
    close(ours, theirs)
    assert_same_gradients(system.objective, ours, theirs)


def test_trace_elbo_runs() -> None:
    system, video = build(), clip(5)
    loss = Objective(system.model, system.guide, Trace_ELBO())(video).loss
    found = gradients(loss, system.objective)
    assert bool(loss.isfinite()) and all(bool(g.isfinite().all()) for g in found.values())


def test_a_width_is_needed_where_the_prior_has_none() -> None:
    model = models.svg_lp(resolution=16, width=0.05, memory=4, features=4)
    with pytest.raises(ValueError, match="whose head has none: give hidden=200"):
        guides.cwvae(model)
