"""A gap is filled: where the model knows the clip, each round takes a known share of the error."""

from typing import Any

import pytest
import torch
from torch import Tensor

from pyrovp import guides, models
from pyrovp.analysis import Clips, Findings, Inpaint
from tests.analysis.test_contract import tiny_vta
from tests.painted import Band, bands, painted
from tests.systems import clip

T, START, STOP, ROUNDS, MEAN = 8, 3, 6, 5, 0.5
WHOLE = Band(mean=MEAN, period=T)
"""One tick for the whole clip: the mean of its frames, those in the gap included."""


def still() -> tuple[Tensor, Tensor]:
    """Clips of one brightness each, in the second of two bands."""
    shown = torch.tensor([0.1, 0.35, 0.9], dtype=torch.float64)
    both = torch.stack((torch.zeros(3), shown), -1)
    return bands(both[:, None].expand(-1, T, -1)), shown


def fill(*levels: Band, video: Tensor, **asked: Any) -> Findings:
    model, guide = painted(*levels)
    return Inpaint(**asked)(model, guide, Clips(video, START))


def test_each_round_takes_the_gaps_share_of_the_error() -> None:
    """The model's guess for the gap is its prior's mean, and then, with G of T frames missing,

    z^r = ((T - G) b + G x^{r-1}) / T,  so that the error falls by G / T in each round.
    """
    video, shown = still()
    found = fill(Band(holds=False), WHOLE, video=video, start=START, stop=STOP, rounds=ROUNDS)
    error = (shown - MEAN).abs()[:, None] * ((STOP - START) / T) ** torch.arange(ROUNDS + 1)
    psnr = (-10 * (error.square() / 2).log10()).mean(0)  # half of the pixels
    assert found.facts["rounds"] == pytest.approx(psnr.tolist(), abs=1e-4)
    films = found.facts["films"]
    assert films["open loop"]["psnr"] == pytest.approx(psnr[0].item(), abs=1e-4)
    assert films["inpainted"]["psnr"] == pytest.approx(psnr[-1].item(), abs=1e-4)
    for name in ("copy last", "linear interpolation", "nothing missing"):
        assert films[name]["psnr"] == 100
    curve: Any = found.exhibits["rounds"]
    assert curve.lines["inpainted"].y == pytest.approx(psnr.tolist(), abs=1e-4)
    assert curve.lines["copy last"].y == [100, 100] and curve.lines["copy last"].x == [0, ROUNDS]
    strip: Any = found.exhibits["inpaint_2"]
    assert (strip.start, strip.seen) == (0, START) and len(strip.rows["truth"]) == T
    filled = strip.rows["inpainted"][:, 0, 0, -1]
    expected = shown[2].float() - error[2, -1].float()  # the prior's mean is darker
    torch.testing.assert_close(filled[START:STOP], expected.expand(STOP - START))
    torch.testing.assert_close(filled[STOP:], shown[2].float().expand(T - STOP))
    assert strip.rows["given"][START:STOP].max() == 0


def test_a_filter_confirms_the_guess() -> None:
    """Frame by frame nothing is learnt from behind the gap: every round is the open loop."""
    video, _ = still()
    facts = fill(Band(), Band(mean=MEAN), video=video, start=START, stop=STOP, rounds=2).facts
    assert facts["rounds"] == pytest.approx([facts["rounds"][0]] * 3, abs=1e-9)
    assert facts["films"]["nothing missing"]["psnr"] == 100


def test_the_straight_line_is_drawn_between_the_frames_around_the_gap() -> None:
    ramp = torch.arange(T, dtype=torch.float64) / T
    video = bands(torch.stack((ramp, 1 - ramp), -1)).expand(2, -1, -1, -1, -1)
    films = fill(Band(), Band(), video=video, start=2, stop=6, rounds=1).facts["films"]
    assert films["linear interpolation"]["psnr"] == pytest.approx(100)
    steps = torch.arange(1, 5) / T
    assert films["copy last"]["psnr"] == pytest.approx((-20 * steps.log10()).mean().item())


@pytest.mark.parametrize(
    ("asked", "gap"), [({}, (3, 5)), ({"start": 6}, (6, 7)), ({"stop": 7}, (3, 7))]
)
def test_the_gap_follows_the_context(asked: dict[str, int], gap: tuple[int, int]) -> None:
    facts = fill(Band(), video=still()[0], rounds=1, **asked).facts
    assert (facts["start"], facts["stop"]) == gap


def test_what_a_guide_sees_behind_the_gap_bears() -> None:
    """VTA's segment ends behind it: another end, another filling."""
    model, guide = tiny_vta()
    model.eval(), guide.eval()
    guide.boundary.output.bias.data.copy_(torch.tensor([-50.0, 50.0]))  # one segment
    video = clip(9).sigmoid()
    rows: list[Any] = []
    for end in (0.0, 1.0):
        video = video.clone()
        video[:, 6:] = end
        torch.manual_seed(0)
        found = Inpaint(4, 6, rounds=1)(model, guide, Clips(video, 4))
        strip: Any = found.exhibits["inpaint_0"]
        rows.append(strip.rows)
    gap = slice(4, 6)
    assert torch.equal(rows[0]["open loop"][gap], rows[1]["open loop"][gap])
    assert not torch.equal(rows[0]["inpainted"][gap], rows[1]["inpainted"][gap])


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
    facts = Inpaint(rounds=1)(model, guide, Clips(video, 3)).facts
    assert (facts["start"], facts["stop"]) == (3, 5)
    facts = Inpaint(rounds=1)(model, guide, Clips(video, 4)).facts  # half of the rest is too much
    assert (facts["start"], facts["stop"]) == (4, 5)
    with pytest.raises(ValueError, match="from 2 up to 5"):
        Inpaint(rounds=1)(model, guide, Clips(video, 5))


def test_no_round() -> None:
    with pytest.raises(ValueError, match="filled in 1 round or more, got rounds=0"):
        Inpaint(rounds=0)
