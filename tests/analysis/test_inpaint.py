"""A gap is filled with the candidate that hand-set weights make the likeliest."""

from typing import Any

import pytest
import torch
from torch import Tensor

from pyrovp import guides, models
from pyrovp.analysis import Clips, Findings, Inpaint
from tests.analysis.test_contract import tiny_vta
from tests.painted import Band, bands, painted
from tests.systems import clip

T, START, STOP, MEAN = 8, 3, 6, 0.5
FREE = Band(mean=MEAN, std=0.3)
WHOLE = Band(mean=MEAN, std=0.3, period=T)
"""One tick for the whole clip: the mean of its frames, those in the gap included."""


def still() -> tuple[Tensor, Tensor]:
    """Clips of one brightness each, in the second of two bands."""
    shown = torch.tensor([0.1, 0.35, 0.9], dtype=torch.float64)
    both = torch.stack((torch.zeros(3), shown), -1)
    return bands(both[:, None].expand(-1, T, -1)), shown


def fill(*levels: Band, video: Tensor, **asked: Any) -> Findings:
    model, guide = painted(*levels)
    return Inpaint(**asked)(model, guide, Clips(video, START))


def shade(found: Findings, i: int, name: str) -> Tensor:
    """Brightness of the last band of a row's frames, [T]."""
    strip: Any = found.exhibits[f"inpaint_{i}"]
    return strip.rows[name][:, 0, 0, -1]


def test_the_candidate_is_kept_that_fits_to_both_sides() -> None:
    """The last level's one tick holds the brightness of the whole clip, and a future of the first
    frames is a draw of its prior: the nearest one makes the frames on both sides likeliest."""
    video, shown = still()
    torch.manual_seed(0)
    found = fill(Band(holds=False), WHOLE, video=video, start=START, stop=STOP, candidates=9)
    films = found.facts["films"]
    assert films["inpainted"] == films["nearest of the candidates"]
    assert films["inpainted"]["psnr"] > films["one future"]["psnr"] + 5
    for name in ("copy last", "linear interpolation"):
        assert films[name]["psnr"] == 100
    curve: Any = found.exhibits["candidates"]
    inpainted, nearest = (curve.lines[n].y for n in ("inpainted", "nearest of the candidates"))
    assert inpainted == nearest == sorted(inpainted) and len(inpainted) == 9
    assert inpainted[0] == pytest.approx(films["one future"]["psnr"])
    assert inpainted[-1] == pytest.approx(films["inpainted"]["psnr"])
    assert curve.lines["copy last"].y == [100, 100] and curve.lines["copy last"].x == [1, 9]
    for i, brightness in enumerate(shown.float()):
        filled = shade(found, i, "inpainted")
        one = shade(found, i, "one future")
        assert (filled[START] - brightness).abs() <= (one[START] - brightness).abs()
        assert (filled[START:STOP] == filled[START]).all()
        torch.testing.assert_close(filled[STOP:], brightness.expand(T - STOP))
        assert shade(found, i, "given")[START:STOP].max() == 0


def test_the_likeliest_future_is_kept_where_nothing_comes_of_it() -> None:
    """Frame by frame a brightness of its own: the frames behind the gap do not bear, and of
    thirty draws of N(0.5, 0.3) for a gap of one frame that is kept which is nearest to 0.5."""
    video, _ = still()
    torch.manual_seed(0)
    found = fill(Band(holds=False), FREE, video=video, start=START, stop=START + 1, candidates=30)
    for i in range(len(video)):
        kept, one = shade(found, i, "inpainted"), shade(found, i, "one future")
        assert (kept[START] - MEAN).abs() < 0.05 and kept[START] != one[START]
    assert found.facts["films"]["nothing missing"]["psnr"] == 100


def test_the_straight_line_is_drawn_between_the_frames_around_the_gap() -> None:
    ramp = torch.arange(T, dtype=torch.float64) / T
    video = bands(torch.stack((ramp, 1 - ramp), -1)).expand(2, -1, -1, -1, -1)
    films = fill(Band(), Band(), video=video, start=2, stop=6, candidates=1).facts["films"]
    assert films["linear interpolation"]["psnr"] == pytest.approx(100)
    steps = torch.arange(1, 5) / T
    assert films["copy last"]["psnr"] == pytest.approx((-20 * steps.log10()).mean().item())


@pytest.mark.parametrize(
    ("asked", "gap"), [({}, (3, 5)), ({"start": 6}, (6, 7)), ({"stop": 7}, (3, 7))]
)
def test_the_gap_follows_the_context(asked: dict[str, int], gap: tuple[int, int]) -> None:
    facts = fill(Band(), video=still()[0], candidates=1, **asked).facts
    assert (facts["start"], facts["stop"]) == gap


@pytest.mark.parametrize(
    ("start", "stop"), [(0, 2), (4, 4), (5, 3), (3, 8), (None, 9), (8, None), (-2, 4)]
)
def test_a_gap_without_frames_on_both_sides(start: Any, stop: Any) -> None:
    with pytest.raises(ValueError, match="can fill the frames from 1 up to 7, with given ones"):
        fill(Band(), video=still()[0], start=start, stop=stop)


def test_frames_that_only_lead_the_guide_cannot_be_filled() -> None:
    model, guide = tiny_vta()
    with pytest.raises(ValueError, match="from frame 4 up to frame 8 .* from 2 up to 7"):
        Inpaint(4, 8)(model, guide, Clips(clip(8).sigmoid(), 4))


def test_a_gap_that_nobody_named_ends_where_frames_are_modelled() -> None:
    model = models.vta(
        belief=3, state=2, features=4, channels=1, resolution=16, given=2, tail=3
    ).double()
    model.hierarchy.gate.set_step(0)
    guide, video = guides.vta(model).double(), clip(8).sigmoid()
    facts = Inpaint(candidates=1)(model, guide, Clips(video, 3)).facts
    assert (facts["start"], facts["stop"]) == (3, 5)
    facts = Inpaint(candidates=1)(
        model, guide, Clips(video, 4)
    ).facts  # half of the rest is too much
    assert (facts["start"], facts["stop"]) == (4, 5)
    with pytest.raises(ValueError, match="from 2 up to 5"):
        Inpaint(candidates=1)(model, guide, Clips(video, 5))


def test_no_candidate() -> None:
    with pytest.raises(ValueError, match="one of 1 or more candidates, got candidates=0"):
        Inpaint(candidates=0)
