"""Scores against true states: frames made by hand, and the data sets' own."""

from typing import Any

import pytest
import torch
from torch import Tensor

from pyrovp.data import MovingBall, MovingDigits
from pyrovp.metrics import Absent, BallStates, DigitStates, make_state_scores, states
from pyrovp.metrics.colours import shown_changes
from tests.metrics.shades import SIDE, ShadeReader, Squares, square

DIGITS = DigitStates(ShadeReader())


def film(*frames: Tensor) -> Tensor:
    """[1, T, C, R, R]."""
    return torch.stack(frames)[None]


def known(digit: int, *corners: tuple[float, float]) -> dict[str, Tensor]:
    """States of one digit."""
    position = torch.tensor(corners)[None, :, None]
    return {"position": position, "digit": torch.full(position.shape[:-1], digit)}


def scores(frames: Tensor, of: dict[str, Tensor]) -> dict[str, list[float]]:
    """As numbers; the centre of mass is a sum of roundings."""
    found = DIGITS(frames, of)
    return {
        name: [round(value, 4) for value in score[0].tolist()] for name, score in found.items()
    }


def test_a_digit_that_is_right() -> None:
    found = scores(film(square(4, (3, 5)), square(4, (5, 6))), known(4, (3, 5), (5, 6)))
    assert found == {
        "identity": [1, 1],
        "identity_where_seen": [1, 1],
        "position_error": [0, 0],
        "visible": [1, 1],
    }


def test_a_digit_that_is_elsewhere_keeps_its_identity_but_not_where_it_should_be() -> None:
    found = scores(film(square(4, (3, 4)), square(4, (15, 14))), known(4, (3, 1), (3, 5)))
    assert found["identity"] == [1, 0], "at the first frame half of it is still in its box"
    assert found["identity_where_seen"] == [1, 1]
    assert found["position_error"] == [3, 15]


def test_another_digit_in_the_right_place() -> None:
    found = scores(film(square(7, (3, 5))), known(4, (3, 5)))
    assert found["identity"] == found["identity_where_seen"] == [0]
    assert found["position_error"] == [0] and found["visible"] == [1]


def test_where_nothing_is_visible_identity_is_lost_and_the_position_undefined() -> None:
    speck = torch.zeros(1, 24, 24)
    speck[0, 6, 4] = 1.0  # 0.9 of ink in a box of 36 px
    for frame in (torch.zeros(1, 24, 24), speck, torch.full((1, 24, 24), 0.1), speck * torch.nan):
        found = DIGITS(film(frame), known(0, (3, 5)))
        assert found["identity"].item() == found["identity_where_seen"].item() == 0
        assert found["visible"].item() == 0 and found["position_error"].isnan()


def test_several_digits_count_where_their_boxes_are_apart() -> None:
    """Right and wrong; then one box upon the other; then two of three."""
    a, b, c = (2, 2), (12, 2), (2, 14)
    frame = square(4, a) + square(7, b) + square(9, c)
    position = torch.tensor([[a, b, c], [a, (5, 4), c], [a, (5, 4), (6, 6)]]).float()[None]
    digit = torch.tensor([4, 8, 9]).expand(1, 3, 3)
    found = DIGITS(film(frame, frame, frame), {"position": position, "digit": digit})
    assert list(found) == ["identity"], "whose the ink is cannot be told"
    identity = found["identity"][0]
    assert identity[:2].tolist() == pytest.approx([2 / 3, 1.0]) and identity[2].isnan()


def test_boxes_that_share_a_pixel_are_not_apart() -> None:
    """A digit between pixels touches one more than its box has."""
    digit = torch.zeros(1, 1, 2, dtype=torch.long)
    for away, defined in ((SIDE, False), (SIDE + 1, True)):
        position = torch.tensor([[[[0.0, 0.0], [away, 0.0]]]])
        found = DIGITS(film(square(0, (0, 0))), {"position": position, "digit": digit})
        assert bool(found["identity"].isnan()) is not defined


def test_samples_stand_in_front() -> None:
    frames = torch.stack([film(square(4, (3, 5))), film(square(4, (6, 9)))])
    found = DIGITS(frames, known(4, (3, 5)))
    assert all(score.shape == (2, 1, 1) for score in found.values())
    assert found["position_error"].flatten().tolist() == pytest.approx([0, 5], abs=1e-5)


@pytest.mark.parametrize("channels", [1, 3])
def test_true_digits_score_what_can_be_had(channels: Any) -> None:
    """Squares between pixels: their edges are blurred, what is inside keeps its shade."""
    data = MovingDigits(
        "test", 12, 24, channels, digits=1, digit_size=SIDE, handwriting=Squares(), size=4
    )
    items = [data[i] for i in range(4)]
    video = torch.stack([item["video"] for item in items])
    of = {
        name: torch.stack([item["states"][name] for item in items])
        for name in ("position", "digit")
    }
    found = DIGITS(video, of)
    assert found["identity"].shape == (4, 12)
    assert found["position_error"].max() < 0.15
    for name in ("identity", "identity_where_seen", "visible"):
        assert (found[name] == 1).all()


def ball(probability: float = 0.0) -> tuple[Tensor, dict[str, Tensor], BallStates]:
    data = MovingBall("test", 40, change_probability=probability, resolution=32, size=3)
    items = [data[i] for i in range(3)]
    of = {
        name: torch.stack([item["states"][name] for item in items]) for name in items[0]["states"]
    }
    return torch.stack([item["video"] for item in items]), of, BallStates(32)


def test_the_true_ball_is_where_it_is_and_of_its_colour() -> None:
    video, of, measure = ball(0.1)
    found = measure(video, of)
    for name in ("colour", "purity", "visible"):
        assert (found[name] == 1).all()
    centre = of["position"].trunc()
    inside = ((centre >= 3) & (centre <= 28)).all(-1)  # a ball of 3 px is drawn as a whole
    assert inside.any() and not inside.all()
    assert found["position_error"][inside].max() < 1e-5
    assert found["position_error"].max() < 2
    shown = shown_changes(measure.shown(video[:, 1:]).colour, of["colour"][:, 0])
    assert torch.equal(shown, of["change"][:, 1:])


def test_a_ball_of_another_colour_or_none() -> None:
    video, of, measure = ball()
    turned = measure(video.roll(1, 2), of)  # red is green, green is blue, ...
    assert (turned["colour"] == 0).all() and (turned["purity"] == 1).all()
    torch.testing.assert_close(turned["position_error"], measure(video, of)["position_error"])
    gone = measure(video * 0.1, of)
    assert (gone["colour"] == 0).all() and (gone["visible"] == 0).all()
    assert gone["purity"].isnan().all() and gone["position_error"].isnan().all()


def test_a_ball_that_lags_is_as_far_as_it_moved() -> None:
    video, of, measure = ball()
    lag = measure(video[:, :-1], {name: state[:, 1:] for name, state in of.items()})
    centre = of["position"].trunc()
    inside = ((centre >= 3) & (centre <= 28)).all(-1)[:, :-1]
    moved = (centre[:, 1:] - centre[:, :-1]).norm(dim=-1)
    torch.testing.assert_close(lag["position_error"][inside], moved[inside])


def test_a_data_sets_scores_or_why_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def stub(handwriting: Any, size: int) -> ShadeReader:
        asked.append((handwriting, size))
        return ShadeReader(size)

    monkeypatch.setattr(states, "make_digit_reader", stub)
    squares = Squares()
    digits = make_state_scores(MovingDigits("test", 2, 32, handwriting=squares))
    assert isinstance(digits, DigitStates) and asked == [(squares, 14)]
    assert "reads 1.000 of 10 test digits right" in digits.note
    assert isinstance(make_state_scores(MovingBall("test", 2)), BallStates)
    small = make_state_scores(MovingDigits("test", 2, 16, digit_size=5, handwriting=squares))
    assert isinstance(small, Absent) and "5 px cannot be told apart" in small.reason
    unknown = make_state_scores([{"video": torch.rand(2, 1, 8, 8), "states": {}}])
    assert isinstance(unknown, Absent) and "list knows no true states" in unknown.reason


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"digit": None}, "there is no state 'digit' among"),
        ({"digit": torch.zeros(2, 1, 1)}, r"states\['digit'\] must be \[B, T, ...\]"),
        ({"position": torch.zeros(1, 1, 1, 3)}, r"states\['position'\] must end in 2 numbers"),
    ],
)
def test_refuses_states_of_other_frames(change: dict[str, Any], said: str) -> None:
    of = {k: v for k, v in (known(4, (3, 5)) | change).items() if v is not None}
    with pytest.raises(ValueError, match=said):
        DIGITS(film(square(4, (3, 5))), of)
