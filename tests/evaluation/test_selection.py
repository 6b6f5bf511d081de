"""The best and the worst sample, by the time mean."""

import math

import pytest
import torch

from pyrovp.evaluation import PSNR, FrameMeasure, Sharpness
from pyrovp.evaluation.batch import Batch
from pyrovp.evaluation.futures import Futures
from pyrovp.evaluation.selection import best_samples, extremes, worst_samples
from pyrovp.randomness import undisturbed
from tests.evaluation.programs import CONTEXT, digits, tiny_programs

# Samples by sequence by frame; means over time 2, 3, 1 and 1, 0, 5.
SCORES = torch.tensor([
    [[3.0, 1.0], [1.0, 1.0]],
    [[2.0, 4.0], [0.0, 0.0]],
    [[1.0, 1.0], [9.0, 1.0]],
])  # fmt: skip


@pytest.mark.parametrize(
    ("measure", "best", "worst"),
    [(PSNR(), [1, 2], [2, 1]), (Sharpness(), [2, 0], [1, 2])],
)
def test_by_the_time_mean(measure: FrameMeasure, best: list[int], worst: list[int]) -> None:
    found = best_samples(SCORES, measure)
    assert found.chosen.tolist() == best
    assert torch.equal(found.scores, torch.stack([SCORES[s, i] for i, s in enumerate(best)]))
    assert worst_samples(SCORES, measure).chosen.tolist() == worst


def test_what_is_no_number_is_never_selected() -> None:
    scores = SCORES.clone()
    scores[1] = math.nan
    assert best_samples(scores, PSNR()).chosen.tolist() == [0, 2]
    assert worst_samples(scores, PSNR()).chosen.tolist() == [2, 0]


def test_frames_are_drawn_again() -> None:
    model, guide = tiny_programs()
    video = torch.stack([digits()[i]["video"] for i in range(3)])
    futures = Futures(model, guide, video[:, :CONTEXT], 4, samples=6, rows=6, seed=1, start=0)
    with undisturbed(), torch.no_grad():
        drawn = torch.cat([
            torch.cat([c.frames for c in list(futures.draw(p))[1:]], 1).unflatten(0, (len(p), -1))
            for p in futures.passes()
        ])  # fmt: skip
        scores = torch.rand(6, 3, 4)
        batch = Batch(video, {}, video, 0)
        shown = extremes(batch, futures, scores, PSNR(), sequences=2)
    best = scores.mean(-1).argmax(0)[:2].tolist()
    worst = scores.mean(-1).argmin(0)[:2].tolist()
    assert (shown.best_sample, shown.worst_sample) == (best, worst)
    for i in range(2):
        assert torch.equal(shown.best[i], drawn[best[i], i])
        assert torch.equal(shown.worst[i], drawn[worst[i], i])
        assert shown.best_score[i] == pytest.approx(scores[best[i], i].mean().item())
