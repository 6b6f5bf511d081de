"""The table: numbers by hand, JSON there and back, and text that lines up."""

import json
import math

import pytest
import torch

from pyrovp.metrics import baselines, default, metrics_table, render

Scores = dict[str, dict[str, torch.Tensor]]


def scores(sequences: int = 4, horizon: int = 8) -> Scores:
    ramp = torch.arange(float(sequences))[:, None] + torch.arange(float(horizon))
    return {
        name: {"psnr": 10 + ramp + shift, "ssim": (ramp + shift) / 100}
        for name, shift in [("model", 5.0), ("copy_last", 0.0)]
    }


def test_numbers_by_hand() -> None:
    made = metrics_table(default(36, 8), scores())
    row = made["rows"]["copy_last"]["psnr"]
    # Sequence b has frames 10 + b + t: mean over 8 frames 13.5 + b, over the first five 12 + b.
    error = math.sqrt(5 / 3) / 2  # the sample standard deviation of 0 ... 3, over sqrt(4)
    assert row["mean"] == pytest.approx(15)
    assert row["standard_error"] == pytest.approx(error)
    assert row["first_mean"] == pytest.approx(13.5)
    assert row["first_standard_error"] == pytest.approx(error)
    assert row["per_frame"] == pytest.approx([11.5 + t for t in range(8)])
    assert row["per_frame_standard_error"] == pytest.approx([error] * 8)
    assert made["rows"]["model"]["psnr"]["mean"] == pytest.approx(20)
    assert made["sequences"] == 4
    assert made["first"] == 5


def test_carries_its_protocol() -> None:
    protocol = default(36, 8)
    made = metrics_table(protocol, scores())
    assert made["protocol"]["hash"] == protocol.hash
    assert made["protocol"]["name"] == "default"
    assert made["protocol"]["ssim"]["data_range"] == 2
    assert made["labels"] == {"psnr": "PSNR [dB] (clipped)", "ssim": "SSIM (svg, clipped)"}


def test_survives_json() -> None:
    made = metrics_table(default(36, 8), scores())
    assert json.loads(json.dumps(made, allow_nan=False)) == made


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_is_not_finite_is_null_and_printed(bad: float) -> None:
    broken = scores()
    broken["model"]["psnr"][1, 6] = bad
    made = metrics_table(default(36, 8), broken)
    row = made["rows"]["model"]["psnr"]
    assert row["mean"] is None
    assert row["per_frame"][6] is None
    assert row["first_mean"] == pytest.approx(18.5), "the first five frames are whole"
    json.dumps(made, allow_nan=False)
    assert "nan" in render(made)


def test_one_sequence_has_no_standard_error() -> None:
    made = metrics_table(default(36, 8), scores(sequences=1))
    assert made["rows"]["model"]["psnr"]["standard_error"] is None
    assert "±" not in render(made)


def test_text() -> None:
    text = render(metrics_table(default(36, 8), scores()))
    assert text.splitlines() == [
        f"protocol default ({default(36, 8).hash}): context 36, 4 sequences, 1 sample; "
        "mean ± standard error over sequences",
        "                  PSNR [dB] (clipped)           SSIM (svg, clipped)",
        "               8 frames       first 5       8 frames        first 5",
        "model      20.00 ± 0.65  18.50 ± 0.65  0.100 ± 0.006  0.085 ± 0.006",
        "copy last  15.00 ± 0.65  13.50 ± 0.65  0.050 ± 0.006  0.035 ± 0.006",
    ]


def test_text_of_a_short_horizon_has_no_near_future() -> None:
    text = render(metrics_table(default(36, 3), scores(horizon=3)))
    assert "first" not in text
    assert len({len(line) for line in text.splitlines()[1:]}) == 1, "columns line up"


def test_with_real_scores() -> None:
    protocol = default(2, 6)
    context, truth = torch.rand(3, 8, 1, 16, 16).split([2, 6], dim=1)
    rows = {"model": truth + 0.1} | baselines(context, 6, torch.rand(4, 9, 1, 16, 16))
    made = metrics_table(protocol, {k: protocol.score(v, truth) for k, v in rows.items()})
    assert list(made["rows"]) == [
        "model", "copy_last", "black", "training_mean", "random_sequence",
    ]  # fmt: skip
    assert made["rows"]["black"]["sharpness"]["mean"] < 1e-4
    assert made["rows"]["model"]["psnr"]["mean"] > made["rows"]["copy_last"]["psnr"]["mean"]


def test_refusals() -> None:
    protocol = default(36, 8)
    with pytest.raises(ValueError, match="one shape"):
        metrics_table(protocol, {})
    uneven = scores()
    uneven["copy_last"]["psnr"] = uneven["copy_last"]["psnr"][:2]
    with pytest.raises(ValueError, match="copy_last/psnr"):
        metrics_table(protocol, uneven)
    missing = scores()
    del missing["copy_last"]["ssim"]
    with pytest.raises(ValueError, match="same metrics"):
        metrics_table(protocol, missing)
    with pytest.raises(ValueError, match="horizon of 9"):
        metrics_table(default(36, 9), scores())


def test_labels_of_ones_own() -> None:
    made = {"model": {"lpips": torch.rand(2, 8)}}
    table = metrics_table(default(36, 8), made, {"lpips": "LPIPS (alex, clipped)"})
    assert table["labels"] == {"lpips": "LPIPS (alex, clipped)"}
    assert "LPIPS (alex, clipped)" in render(table)
