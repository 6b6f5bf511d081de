"""Protocols: what they score, what their hashes tell apart, and selection among samples."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from pyrovp.metrics import (
    NAMED,
    PRESETS,
    Protocol,
    best_of,
    default,
    protocol,
    psnr,
    relative_sharpness,
    ssim,
)

BASE = default(context=36, horizon=3)


def test_hash_is_stable() -> None:
    """Pinned: a hash that moved would set apart figures that can be compared."""
    assert default(36, 100).hash == "fb54ed6ccf"
    assert protocol("cwvae", "moving_mnist").hash == "dfd675b2d8"


def test_hash_leaves_out_labels() -> None:
    assert replace(BASE, name="other").hash == BASE.hash
    assert replace(BASE, ssim=replace(BASE.ssim, name="other")).hash == BASE.hash


@pytest.mark.parametrize(
    "change",
    [
        {"context": 30}, {"horizon": 4}, {"samples": 100}, {"clip": False},
        {"ssim": PRESETS["svg_range1"]}, {"ssim": PRESETS["wang"]},
        {"ssim": replace(PRESETS["svg"], k2=0.02)},
    ],
)  # fmt: skip
def test_hash_tells_definitions_apart(change: dict[str, Any]) -> None:
    assert replace(BASE, **change).hash != BASE.hash


@pytest.mark.parametrize(
    ("name", "data", "context", "horizon", "samples", "preset", "clip"),
    [
        ("cwvae", "moving_mnist", 36, 1000, 1, "svg", False),
        ("cwvae", "gqn_mazes", 36, 300, 1, "svg", False),
        ("cwvae", "minerl_navigate", 36, 500, 1, "svg", False),
        ("tald", "moving_mnist", 36, 900, 1, "svg", False),
        ("tald", "minerl_navigate", 36, 420, 1, "svg", False),
        ("dlh", "kth", 30, 300, 100, "svg", True),
        ("dlh", "gqn_mazes", 30, 200, 100, "svg", True),
        ("dlh_36", "moving_mnist", 36, 300, 100, "svg", True),
        ("svg", "kth", 10, 30, 100, "svg", True),
        ("svg", "bair", 2, 28, 100, "svg", True),
        ("hvrnn", "cityscapes", 2, 28, 100, "wang", True),
        ("hvrnn", "stochastic_moving_mnist", 5, 10, 100, "wang", True),
    ],
)
def test_published_protocols(
    name: str, data: str, context: int, horizon: int, samples: int, preset: str, clip: bool
) -> None:
    assert protocol(name, data) == Protocol(
        f"{name}/{data}", context, horizon, samples, PRESETS[preset], clip
    )


def test_scores_are_the_metrics_with_clipping_as_said() -> None:
    truth = torch.rand(2, 3, 1, 12, 12)
    prediction = truth + 0.5 * torch.randn_like(truth)  # leaves [0, 1]
    for clip, shown in [(True, prediction.clamp(0, 1)), (False, prediction)]:
        scores = replace(BASE, clip=clip).score(prediction, truth)
        assert list(scores) == ["psnr", "ssim", "sharpness"]
        assert all(score.shape == (2, 3) for score in scores.values())
        assert torch.equal(scores["psnr"], psnr(shown, truth))
        assert torch.equal(scores["ssim"], ssim(shown, truth, "svg"))
        assert torch.equal(scores["sharpness"], relative_sharpness(shown, truth))


def test_labels_carry_preset_and_clip() -> None:
    assert BASE.label("ssim") == "SSIM (svg, clipped)"
    assert protocol("cwvae", "gqn_mazes").label("psnr") == "PSNR [dB] (unclipped)"
    with pytest.raises(ValueError, match="did you mean 'psnr'"):
        BASE.label("snr")


def test_best_is_selected_by_the_time_mean() -> None:
    # For sequence 0 sample 1 has the best mean though sample 0 has the best frame.
    scores = torch.tensor([[[9.0, 0, 0], [1, 1, 1]], [[4, 4, 4], [0, 0, 0]]])  # [N, B, horizon]
    best = best_of(scores)
    assert best.chosen.tolist() == [1, 0]
    assert best.scores.tolist() == [[4, 4, 4], [1, 1, 1]]


def test_metrics_select_by_themselves() -> None:
    truth = 0.2 + 0.5 * torch.rand(1, 3, 1, 12, 12)
    samples = torch.stack([truth + 0.2, truth + 0.1 * torch.randn_like(truth)])  # [N, B, ...]
    scores = BASE.score(samples, truth.expand_as(samples))
    assert scores["ssim"].shape == (2, 1, 3)
    picked = {metric: best_of(scores[metric]).chosen.item() for metric in ("psnr", "ssim")}
    assert picked == {"psnr": 1, "ssim": 0}, "brighter keeps structure, noise keeps error low"


def test_a_broken_sample_is_not_selected() -> None:
    scores = torch.tensor([[[float("nan"), 2.0]], [[-5.0, -5.0]]])
    assert best_of(scores).chosen.tolist() == [1]


def test_refusals() -> None:
    with pytest.raises(ValueError, match="samples of at least 1"):
        replace(BASE, samples=0)
    with pytest.raises(ValueError, match=r"\[\.\.\., B, 3, C, H, W\]"):
        BASE.score(torch.rand(2, 4, 1, 12, 12), torch.rand(2, 4, 1, 12, 12))
    with pytest.raises(ValueError, match="did you mean 'cwvae'"):
        protocol("cw-vae", "kth")
    with pytest.raises(ValueError, match="did you mean 'moving_mnist'"):
        protocol("cwvae", "moving-mnist")
    with pytest.raises(ValueError, match="N, B, horizon"):
        best_of(torch.rand(3, 4))


def test_names_say_where_a_protocol_stands() -> None:
    for name, entries in NAMED.items():
        assert all(entry.name == f"{name}/{data}" for data, entry in entries.items())
