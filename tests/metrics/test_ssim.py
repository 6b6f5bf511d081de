"""SSIM: scikit-image, a case by hand, and what the published definitions are known to do."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from skimage.metrics import structural_similarity

from pyrovp.metrics import PRESETS, SSIMPreset, ssim, ssim_preset

ORACLE: dict[str, dict[str, Any]] = {
    "svg": {"data_range": 2.0},
    "cwvae": {"data_range": 2.0},
    "svg_range1": {"data_range": 1.0},
    "wang": {
        "data_range": 1.0, "gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False,
    },
}  # fmt: skip


def oracle(prediction: torch.Tensor, truth: torch.Tensor, preset: str) -> torch.Tensor:
    """scikit-image on every frame of [N, C, H, W], in float64."""
    return torch.tensor([
        structural_similarity(x.double().numpy(), y.double().numpy(), channel_axis=0,
                              **ORACLE[preset])
        for x, y in zip(prediction, truth, strict=True)
    ])  # fmt: skip


def frames(kind: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Truth and prediction [5, C, H, W] in float32 of several characters."""
    truth = torch.rand(5, 3, 20, 17)
    if kind == "gray":
        truth = truth[:, :1]
    if kind == "bright":  # variances are the difference of near-equal squares
        truth = 0.98 + 0.01 * truth
    if kind == "black":
        truth = torch.zeros_like(truth)
    noise = 0.003 if kind in ("bright", "black") else 0.3
    return truth, truth + noise * torch.randn_like(truth)


def test_every_preset_is_tested() -> None:
    assert set(ORACLE) == set(PRESETS)


@pytest.mark.parametrize("kind", ["gray", "colour", "bright", "black"])
@pytest.mark.parametrize("preset", PRESETS)
def test_is_scikit_image(preset: str, kind: str) -> None:
    truth, prediction = frames(kind)
    ours = ssim(prediction, truth, preset)
    assert ours.dtype == torch.float32
    # float64 inside, so that only the result's rounding to float32 remains
    torch.testing.assert_close(ours.double(), oracle(prediction, truth, preset), atol=1e-6, rtol=0)


def test_frames_beyond_one_block_keep_their_places() -> None:
    truth = torch.rand(3, 40, 1, 64, 64)  # 491520 numbers, several blocks
    prediction = truth + 0.1 * torch.randn_like(truth)
    together = ssim(prediction, truth, "svg")
    assert together.shape == (3, 40)
    for index in [(0, 0), (1, 7), (2, 39)]:
        torch.testing.assert_close(together[index], ssim(prediction[index], truth[index], "svg"))


@pytest.mark.parametrize(("preset", "data_range"), [("svg", 2), ("svg_range1", 1)])
def test_one_window_by_hand(preset: str, data_range: float) -> None:
    """A frame of one window: x has one bright pixel of 49, y is black."""
    x, y = torch.zeros(1, 7, 7), torch.zeros(1, 7, 7)
    x[0, 3, 3] = 1
    mean = variance = 1 / 49  # 49/48 (1/49 - 1/49^2) = 1/49: the sample variance
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    expected = (c1 / (mean**2 + c1)) * (c2 / (variance + c2))
    assert ssim(x, y, preset).item() == pytest.approx(expected, rel=1e-6)


def test_flat_frames_by_hand() -> None:
    """Without variance only the luminance term is left, whatever the window."""
    x, y = torch.full((1, 12, 12), 0.8), torch.full((1, 12, 12), 0.4)
    for name, c1 in [("svg", 4e-4), ("svg_range1", 1e-4), ("wang", 1e-4)]:
        expected = (2 * 0.8 * 0.4 + c1) / (0.8**2 + 0.4**2 + c1)
        assert ssim(x, y, name).item() == pytest.approx(expected, abs=1e-6)


def test_presets_are_the_published_ones() -> None:
    svg = SSIMPreset("svg", 7, None, sample_covariance=True, data_range=2, k1=0.01, k2=0.03)
    wang = SSIMPreset("wang", 11, 1.5, sample_covariance=False, data_range=1, k1=0.01, k2=0.03)
    assert PRESETS["svg"] == PRESETS["cwvae"] == svg
    assert PRESETS["wang"] == wang
    assert PRESETS["svg_range1"] == replace(svg, name="svg_range1", data_range=1)
    for preset in PRESETS.values():
        assert sum(preset.weights) == pytest.approx(1)


def test_the_wider_range_flatters() -> None:
    """The reason for naming presets: the same prediction, and `svg` always above its range 1."""
    truth = torch.rand(4, 1, 16, 16)
    prediction = (truth + 0.2 * torch.randn_like(truth)).clamp(0, 1)
    assert (ssim(prediction, truth, "svg") > ssim(prediction, truth, "svg_range1")).all()


def test_equal_frames_score_one() -> None:
    truth = torch.rand(2, 3, 1, 16, 16, dtype=torch.float64)
    for preset in PRESETS:
        torch.testing.assert_close(ssim(truth, truth, preset), torch.ones(2, 3).double())


def test_refusals() -> None:
    frame = torch.rand(1, 10, 20)
    with pytest.raises(ValueError, match="did you mean 'wang'"):
        ssim(frame, frame, "wnag")
    with pytest.raises(ValueError, match="svg, cwvae, svg_range1, wang"):
        ssim_preset("x")
    with pytest.raises(ValueError, match="smaller than the 11 x 11 window"):
        ssim(frame, frame, "wang")
    with pytest.raises(ValueError, match="same shape"):
        ssim(frame, frame[:, :8], "svg")
    with pytest.raises(ValueError, match="divide uint8 frames by 255"):
        ssim(frame.byte(), frame.byte(), "svg")
    with pytest.raises(ValueError, match=r"\[C?.*C, H, W\]"):
        ssim(frame[0], frame[0], "svg")
    with pytest.raises(ValueError, match="odd side"):
        SSIMPreset("even", 8, None, sample_covariance=True, data_range=1.0)
