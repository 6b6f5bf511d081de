"""Measures of frames: the definitions of `pyrovp.metrics`, whatever the chunks."""

import pytest
import torch
from torch import Tensor

from pyrovp.evaluation import LPIPS, PSNR, SSIM, FrameMeasure, Sharpness
from pyrovp.evaluation.scorer import Scorer, Sheet, baseline_scores
from pyrovp.metrics import baselines, black, psnr, relative_sharpness, ssim
from tests.evaluation.programs import protocol


class Distance:
    """In the place of LPIPS' network: the mean absolute error."""

    net = "alex"

    def __call__(self, prediction: Tensor, truth: Tensor) -> Tensor:
        return (prediction - truth).abs().mean((-3, -2, -1))


def measures() -> list[FrameMeasure]:
    return [PSNR(), SSIM(protocol()), Sharpness(), LPIPS(Distance())]  # type: ignore[arg-type]


TRUTH = torch.rand(2, 7, 1, 16, 16, dtype=torch.float64)
PREDICTION = torch.rand(3, 2, 7, 1, 16, 16, dtype=torch.float64) * 1.4 - 0.2


@pytest.mark.parametrize("chunk", [1, 3, 7])
@pytest.mark.parametrize("clip", [False, True])
def test_chunks_make_no_difference(chunk: int, clip: bool) -> None:
    scorer = Scorer(measures(), TRUTH, clip)
    sheet = Sheet(7)
    for t in range(0, 7, chunk):
        sheet.write(scorer.score(PREDICTION[:, :, t : t + chunk], t), t)
    found = sheet.scores()
    shown, truth = PREDICTION.clamp(0, 1) if clip else PREDICTION, TRUTH.expand_as(PREDICTION)
    expected = {
        "psnr": psnr(shown, truth),
        "ssim": ssim(shown, truth, "svg"),
        "sharpness": relative_sharpness(shown, truth),
        "lpips": (shown - truth).abs().mean((-3, -2, -1)),
    }
    assert found.keys() == expected.keys()
    for name, scores in found.items():
        assert scores.shape == (3, 2, 7)
        torch.testing.assert_close(scores, expected[name], rtol=1e-12, atol=1e-12)


def test_baselines_are_scored_as_if_they_were_made_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pyrovp.evaluation.scorer.CHUNK", 2)
    context, known = torch.rand(2, 3, 1, 16, 16).double(), torch.rand(4, 5, 1, 16, 16).double()
    scores = baseline_scores(Scorer([PSNR()], TRUTH, True), context, known, seed=5)
    plain = baselines(context, 7, known, seed=5)
    assert list(scores) == list(plain)
    for name, frames in plain.items():
        torch.testing.assert_close(scores[name]["psnr"], psnr(frames, TRUTH))


@pytest.mark.parametrize(
    ("measure", "better", "worse"),
    [(PSNR(), 30.0, 20.0), (SSIM(protocol()), 0.9, 0.8), (Sharpness(), 0.9, 1.2),
     (Sharpness(), 1.1, 0.5), (measures()[3], 0.1, 0.2)],
)  # fmt: skip
def test_merit_orders_scores(measure: FrameMeasure, better: float, worse: float) -> None:
    assert measure.merit(torch.tensor(better)) > measure.merit(torch.tensor(worse))


def test_labels_carry_the_definition() -> None:
    labels = [measure.label(protocol(clip=True)) for measure in measures()]
    assert labels == [
        "PSNR [dB] (clipped)", "SSIM (svg, clipped)", "sharpness / truth (clipped)",
        "LPIPS (alex, clipped)",
    ]  # fmt: skip


def test_a_black_prediction_has_no_sharpness() -> None:
    scorer = Scorer([Sharpness()], TRUTH, True)
    assert scorer.score(black(TRUTH, 7), 0)["sharpness"].max() < 1e-4
