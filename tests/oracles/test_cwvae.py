"""The CW-VAE oracle: counts, ticks and windows, losses by torch.distributions, limits."""

from typing import Any

import pytest
import torch
import torch.distributions as td
from torch import Tensor

from tests.oracles import cwvae as cw
from tests.oracles.equations import Weights, clone_with_grad, count, linear
from tests.oracles.tiny import close, frame_nets, randn


@pytest.mark.parametrize(
    ("levels", "sizes", "channels", "parameters"),
    [
        (3, (20, 200, 200), 1, 12_466_817),
        (3, (100, 800, 800), 3, 34_396_627),
        (1, (20, 200, 200), 1, 5_103_009),
        (1, (100, 800, 800), 3, 12_879_379),
        (2, (20, 200, 200), 1, 8_784_913),
        (4, (20, 200, 200), 1, 16_148_721),
    ],
)
def test_parameter_count(
    levels: int, sizes: tuple[int, int, int], channels: int, parameters: int
) -> None:
    state, memory, hidden = sizes
    shapes = cw.weight_shapes(
        levels=levels, state=state, memory=memory, hidden=hidden, channels=channels
    )
    assert count(shapes) == parameters


@pytest.mark.parametrize(
    ("sizes", "cell"), [((20, 200, 200), 630_880), ((100, 800, 800), 7_707_600)]
)
def test_cell_count_and_its_formula(sizes: tuple[int, int, int], cell: int) -> None:
    S, D, E = sizes
    X = 1024
    formula = (
        (2 * S + D + 1) * E
        + 3 * D * (E + D + 2)
        + (D + 1) * E
        + 2 * (E + 1) * S
        + ((D + X + 1) * E + (E + 1) * E)
        + 2 * (E + 1) * S
    )
    shapes = cw.weight_shapes(levels=1, state=S, memory=D, hidden=E)
    assert count(shapes) == formula == cell


def run_cwvae(
    levels: int, factor: int, frames: int = 5, video: Tensor | None = None, **options: Any
) -> tuple[dict[str, Any], Weights]:
    share = options.get("share", "implementation")
    shapes = cw.weight_shapes(
        levels=levels, state=2, memory=3, hidden=4, features=3, mlp=4, share=share
    )
    weights = options.pop("weights", cw.random_weights(shapes))
    drawn = cw.random_noise(levels=levels, factor=factor, frames=frames, batch=2, state=2)
    encode, decode = frame_nets(3, 5)
    video = randn(2, frames, 1, 2, 2, seed=7) if video is None else video
    out = cw.cwvae(
        video,
        weights,
        options.pop("noise", drawn),
        levels=levels,
        factor=factor,
        std=0.7,
        encode=encode,
        decode=decode,
        **options,
    )
    return out, weights


@pytest.mark.parametrize("share", ["implementation", "paper"])
@pytest.mark.parametrize(
    ("levels", "factor", "frames", "expected"),
    [(1, 6, 5, [5]), (3, 1, 4, [4, 4, 4]), (3, 2, 5, [5, 3, 2]), (3, 2, 8, [8, 4, 2])],
)
def test_ticks_and_loss(
    levels: int, factor: int, frames: int, expected: list[int], share: str
) -> None:
    betas = [0.5, 2.0, 3.0][:levels]
    out, _ = run_cwvae(levels, factor, frames, share=share, beta=betas)
    assert [len(level) for level in out["z"]] == expected
    video = randn(2, frames, 1, 2, 2, seed=7)
    recon = td.Normal(out["frames"], 0.7).log_prob(video).sum((1, 2, 3, 4))
    close(out["recon"], recon)
    total = -recon
    for level in range(levels):
        for q, p in zip(out["posterior"][level], out["prior"][level], strict=True):
            total = total + betas[level] * td.kl_divergence(td.Normal(*q), td.Normal(*p)).sum(-1)
    close(out["loss"], total.mean() / frames)


def test_evidence_is_a_chain_of_summed_windows_with_a_partial_last_one() -> None:
    out, weights = run_cwvae(3, 2, 5)
    encode, _ = frame_nets(3, 5)
    features = encode(randn(2, 5, 1, 2, 2, seed=7))
    per_level = [features]
    for level in (1, 2):
        layers = weights["levels"][level]["mlp"]
        hidden = torch.relu(linear(layers[1], torch.relu(linear(layers[0], per_level[-1]))))
        per_level.append(linear(layers[2], hidden))
    e = out["evidence"]
    close(e[0][3], per_level[0][:, 3])
    close(e[1][1], per_level[1][:, 2] + per_level[1][:, 3])
    close(e[1][2], per_level[1][:, 4])
    close(e[2][0], per_level[2][:, :4].sum(1))
    close(e[2][1], per_level[2][:, 4])


def test_top_posterior_sees_its_whole_window_and_no_more() -> None:
    video = randn(2, 8, 1, 2, 2, seed=7).requires_grad_()
    out, _ = run_cwvae(3, 2, 8, video=video)
    (seen,) = torch.autograd.grad(out["posterior"][2][0].mean.sum(), video)
    assert [bool(seen[:, t].abs().sum() > 0) for t in range(8)] == [True] * 4 + [False] * 4


def test_samples_reach_later_ticks_and_the_ticks_below_them_and_no_others() -> None:
    """T = 6, two levels of factor 2: who hears of the noise of tick n of each level."""
    noise = cw.random_noise(levels=2, factor=2, frames=6, batch=2, state=2)
    for level in noise:
        for epsilon in level:
            epsilon.requires_grad_()
    # So wide that not all of a layer's ReLUs can be dead.
    shapes = cw.weight_shapes(levels=2, state=2, memory=3, hidden=20, features=3, mlp=4)
    out, _ = run_cwvae(2, 2, 6, noise=noise, weights=cw.random_weights(shapes))

    def hears(level: int, tick: int) -> list[list[bool]]:
        total = out["prior"][level][tick].mean.sum()
        if not total.requires_grad:  # the first prior at the top hears of nothing at all
            return [[False] * 6, [False] * 3]
        drawn = [epsilon for each in noise for epsilon in each]
        found = torch.autograd.grad(total, drawn, retain_graph=True, allow_unused=True)
        heard = [g is not None and bool(g.abs().sum() > 0) for g in found]
        return [heard[:6], heard[6:]]

    for tick in range(6):
        assert hears(0, tick) == [[n < tick for n in range(6)], [2 * n <= tick for n in range(3)]]
    for tick in range(3):
        assert hears(1, tick) == [[False] * 6, [n < tick for n in range(3)]]


def test_first_top_prior_sees_nothing() -> None:
    first, _ = run_cwvae(3, 2, 5)
    second, _ = run_cwvae(3, 2, 5, video=randn(2, 5, 1, 2, 2, seed=8))
    assert torch.equal(first["prior"][2][0].mean, second["prior"][2][0].mean)
    assert not torch.equal(first["prior"][2][1].mean, second["prior"][2][1].mean)


def test_std_layer_reads_its_input_shifted() -> None:
    """W2 = 0 and b2 = 1 make p = 1, so that the raw std is 1.54 times the row sums of Ws."""
    shapes = cw.weight_shapes(levels=1, state=2, memory=3, hidden=4, features=3)
    weights = cw.random_weights(shapes)
    w = weights["levels"][0]
    w["w2"], w["b2"] = torch.zeros(4, 3).double(), torch.ones(4).double()
    out, _ = run_cwvae(1, 2, 1, weights=weights)
    prior = out["prior"][0][0]
    raw = 1.54 * w["ws"].sum(1) + w["bs"]
    expected = torch.log1p(raw.exp()) + 1e-4
    close(prior.std[0], expected)
    close(prior.mean[0], w["wm"].sum(1) + w["bm"])


def test_one_level_does_not_know_its_factor() -> None:
    assert torch.equal(run_cwvae(1, 1)[0]["loss"], run_cwvae(1, 6)[0]["loss"])


def test_paper_sharing_leaves_only_the_output_layer_apart() -> None:
    shapes = cw.weight_shapes(levels=1, state=2, memory=3, hidden=4, features=3, share="paper")
    weights, leaves = clone_with_grad(cw.random_weights(shapes))
    out, _ = run_cwvae(1, 1, weights=weights, share="paper")
    q = out["posterior"][0][0]
    gradients = torch.autograd.grad(q.mean.sum() + q.std.sum(), leaves, allow_unused=True)
    used = {id(w): g is not None for w, g in zip(leaves, gradients, strict=True)}
    cell = weights["levels"][0]
    assert all(used[id(cell[name])] for name in ("w1", "w2", "vm", "vs"))
    assert not any(used[id(cell[name])] for name in ("wm", "ws"))


def test_own_gradients_pass_a_finite_difference_check() -> None:
    shapes = cw.weight_shapes(levels=2, state=2, memory=3, hidden=4, features=3, mlp=4)
    weights, leaves = clone_with_grad(cw.random_weights(shapes))
    gradients = torch.autograd.grad(run_cwvae(2, 2, weights=weights)[0]["loss"], leaves)
    step = 1e-6
    direction = [randn(*w.shape, seed=i) for i, w in enumerate(leaves)]
    values = []
    for sign in (1, -1):
        with torch.no_grad():
            for w, d in zip(leaves, direction, strict=True):
                w += sign * step * d
        values.append(run_cwvae(2, 2, weights=weights)[0]["loss"].detach())
        with torch.no_grad():
            for w, d in zip(leaves, direction, strict=True):
                w -= sign * step * d
    slope = sum((g * d).sum() for g, d in zip(gradients, direction, strict=True))
    # Central differences: an error of order step^2 and of rounding / step = 1e-9.
    close((values[0] - values[1]) / (2 * step), torch.as_tensor(slope), rtol=1e-6, atol=1e-6)
