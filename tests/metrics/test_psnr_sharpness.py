"""PSNR and sharpness against scikit-image, numpy and cases by hand."""

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio

from pyrovp.metrics import psnr, relative_sharpness, sharpness


def test_psnr_is_scikit_image() -> None:
    truth = torch.rand(2, 3, 3, 9, 8)
    prediction = truth + 0.2 * torch.randn_like(truth)
    expected = torch.tensor([
        [peak_signal_noise_ratio(y.double().numpy(), x.double().numpy(), data_range=1)
         for x, y in zip(xs, ys, strict=True)]
        for xs, ys in zip(prediction, truth, strict=True)
    ])  # fmt: skip
    ours = psnr(prediction, truth)
    assert ours.shape == (2, 3)
    torch.testing.assert_close(ours.double(), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("error", "expected"), [(1.0, 0), (0.1, 20), (0.01, 40), (1e-6, 100), (0.0, 100)]
)
def test_psnr_by_hand_and_its_cap(error: float, expected: float) -> None:
    truth = torch.zeros(1, 4, 4, dtype=torch.float64)
    assert psnr(truth + error, truth).item() == pytest.approx(expected, abs=1e-9)


def test_psnr_is_averaged_in_decibels() -> None:
    """20 dB and 40 dB have the mean 30 dB; their pooled error would give 22.97 dB."""
    truth = torch.zeros(2, 1, 4, 4, dtype=torch.float64)
    prediction = torch.stack([truth[0] + 0.1, truth[1] + 0.01])
    assert psnr(prediction, truth).mean().item() == pytest.approx(30)


def test_half_precision_is_scored_in_float32() -> None:
    truth = torch.rand(1, 8, 8)
    half = truth.bfloat16()
    assert psnr(half, half).dtype == torch.float32
    torch.testing.assert_close(psnr(half, truth), psnr(half.float(), truth))


def test_sharpness_by_hand() -> None:
    ramp = torch.arange(4.0).expand(1, 4, 4) * 0.1  # 0.1 per pixel to the right, flat downwards
    assert sharpness(ramp).item() == pytest.approx(0.1)
    assert sharpness(ramp + ramp.mT).item() == pytest.approx(0.1 * np.sqrt(2))
    assert sharpness(torch.full((1, 4, 4), 0.7)).item() == 0


def test_sharpness_tells_blur_from_truth_and_from_noise() -> None:
    truth = (torch.rand(2, 5, 1, 16, 16) > 0.5).float()
    blurred = torch.nn.functional.avg_pool2d(truth.flatten(0, 1), 5, 1, padding=2).view_as(truth)
    assert relative_sharpness(truth, truth).mean(-1).tolist() == pytest.approx([1, 1], abs=1e-4)
    assert (relative_sharpness(blurred, truth) < 0.5).all()
    calm = blurred
    assert (relative_sharpness(calm + torch.rand_like(calm), calm) > 1.5).all()


def test_a_flat_truth_has_a_finite_relative_sharpness() -> None:
    flat = torch.zeros(1, 2, 1, 4, 4)
    assert relative_sharpness(flat, flat).tolist() == [[1, 1]]
    one_flat_frame = torch.rand(1, 3, 1, 4, 4)
    one_flat_frame[:, 1] = 0
    assert relative_sharpness(torch.rand(1, 3, 1, 4, 4), one_flat_frame).max() < 10


def test_refusals() -> None:
    with pytest.raises(ValueError, match="same shape"):
        psnr(torch.rand(2, 1, 4, 4), torch.rand(1, 4, 4))
    with pytest.raises(ValueError, match="2 x 2"):
        sharpness(torch.rand(1, 1, 9))
    with pytest.raises(ValueError, match="T, C, H, W"):
        relative_sharpness(torch.rand(1, 4, 4), torch.rand(1, 4, 4))


def test_a_part_of_a_sequence_is_measured_by_the_whole() -> None:
    truth, prediction = torch.rand(2, 6, 1, 8, 8), torch.rand(2, 6, 1, 8, 8)
    unit = sharpness(truth).mean(-1, keepdim=True)
    part = relative_sharpness(prediction[:, 2:4], truth[:, 2:4], unit)
    torch.testing.assert_close(part, relative_sharpness(prediction, truth)[:, 2:4])
