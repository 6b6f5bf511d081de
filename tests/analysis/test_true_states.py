"""True states: models whose films are known, so that every score is."""

from collections.abc import Sequence
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import Tensor, nn

from pyrovp import GRU, Gaussian, LatentDynamics, Level
from pyrovp.analysis import Clips, TrueStates, true_states
from pyrovp.analysis.colour_changes import colour_changes
from pyrovp.data import MovingBall
from pyrovp.sites import STATE, site
from pyrovp.state_space import StateSpace
from tests.metrics.shades import SIDE, ShadeReader, square

FRAMES, CONTEXT, STEP = 9, 3, 2


class Rolling(StateSpace):
    """Takes its context as given and moves the last frame on by so many pixels, for ever.

    A coin that is drawn at every frame, z > 0, blackens the frame where it falls so.
    """

    def __init__(self, step: int, coins: bool = False) -> None:
        super().__init__()
        self.levels = (Level(memory=GRU(1), state=Gaussian(1)),)
        self.encoder = nn.Identity()
        self.by, self.coins = step, coins

    def takes(self, context: int) -> int:
        return context

    def begin(self, video: Tensor) -> tuple[Tensor, Tensor]:
        return video[:, CONTEXT - 1], video.new_ones(len(video), 1)

    def step(self, t: int, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        frame, _ = state
        normal = dist.Normal(frame.new_zeros(len(frame), 1), 1.0).to_event(1)
        return frame.roll(self.by, -1), pyro.sample(site(STATE, 1, t), normal)

    def emit(self, states: Sequence[tuple[Tensor, Tensor]]) -> dist.TorchDistribution:
        films = torch.stack([frame for frame, _ in states], 1)
        shown = torch.stack([coin > 0 for _, coin in states], 1)[..., None, None]
        return dist.Normal(films * shown if self.coins else films, 1.0).to_event(4)

    def changes(self, t: int, state: Any) -> list[Tensor | None]:
        return [None]


class Silent(nn.Module):
    """The guide: there is nothing to be inferred."""

    def __init__(self, hierarchy: Rolling) -> None:
        super().__init__()
        self.hierarchy = hierarchy

    def forward(self, video: Tensor, **settings: Any) -> None:
        pass


def programs(step: int, coins: bool = False) -> tuple[Any, Any]:
    space = Rolling(step, coins)
    return LatentDynamics(space), Silent(space)


@pytest.fixture(autouse=True)
def reader(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(true_states, "make_digit_reader", lambda writing, size: ShadeReader(size))


def digits() -> Clips:
    """Two squares, digits 3 and 8, that move right by two pixels a frame."""
    labels, rows = (3, 8), (4, 9)
    corners = [[(STEP * t, y) for t in range(FRAMES)] for y in rows]
    video = torch.stack(
        [
            torch.stack([square(digit, corner, 28) for corner in path])
            for digit, path in zip(labels, corners, strict=True)
        ]
    )
    states = {
        "position": torch.tensor(corners).float()[:, :, None],
        "digit": torch.tensor(labels)[:, None, None].expand(2, FRAMES, 1),
    }
    return Clips(video, CONTEXT, states)


def asked(step: int, clips: Clips, **settings: Any) -> dict[str, Any]:
    settings = {"digit_size": SIDE} | settings
    found = TrueStates(**settings)(*programs(step), clips)
    return dict(found.facts["scores"])


def test_a_model_that_moves_as_the_digits_do_loses_nothing() -> None:
    scores = asked(STEP, digits())
    for name, best in {"identity": 1, "identity_where_seen": 1, "visible": 1}.items():
        for row in ("model", "true frames"):
            assert scores[name]["rows"][row]["over_distance"] == [best] * 6
            assert scores[name]["rows"][row]["defined"] == 1
    assert scores["position_error"]["rows"]["model"]["mean"] == pytest.approx(0, abs=1e-5)


def test_a_model_that_stands_still_is_the_last_frame_held() -> None:
    """Two pixels more a frame; the digit stays itself, but after two frames not in its box."""
    scores = asked(0, digits())
    for score in scores.values():
        assert score["rows"]["model"] == score["rows"]["copy last"]
    error = scores["position_error"]["rows"]["model"]
    assert error["over_distance"] == pytest.approx([2, 4, 6, 8, 10, 12], abs=1e-4)
    assert error["mean"] == pytest.approx(7) and error["standard_error"] == pytest.approx(0)
    assert error["first"] == pytest.approx(6) and error["last"] == pytest.approx(12)
    assert error["context"] is None, "all of it is given"
    assert scores["identity_where_seen"]["rows"]["model"]["over_distance"] == [1] * 6
    in_place = scores["identity"]["rows"]["model"]["over_distance"]
    assert in_place[0] == 1 and in_place[3:] == [0] * 3


def test_another_clip_is_what_chance_comes_to() -> None:
    """The other digit, five pixels above or below."""
    scores = asked(STEP, digits())
    other = {name: score["rows"]["another clip"]["mean"] for name, score in scores.items()}
    assert other["position_error"] == pytest.approx(5, abs=1e-4)
    assert other["identity_where_seen"] == 0 and other["visible"] == 1


def test_a_clips_score_is_the_mean_of_its_samples() -> None:
    """Frames that a coin blackens: each of 2 clips x 40 samples x 6 frames is lost by half."""
    clips = digits()
    asks = TrueStates(digit_size=SIDE, samples=40)
    found = asks(*programs(STEP, coins=True), clips).facts["scores"]
    visible = found["visible"]["rows"]["model"]
    # 480 coins: 5 standard deviations are 0.114.
    assert abs(visible["mean"] - 0.5) < 0.114 and visible["mean"] != 0.5
    for name in ("identity", "identity_where_seen"):
        assert found[name]["rows"]["model"]["over_distance"] == pytest.approx(
            visible["over_distance"]
        ), "the true digit where there is one, and lost where not"
    # A mean over those that are visible: still where it should be.
    assert found["position_error"]["rows"]["model"]["mean"] == pytest.approx(0, abs=1e-5)


def test_what_is_undefined_everywhere_is_left_out() -> None:
    clips = digits()
    black = Clips(clips.video * 0, CONTEXT, clips.states)
    found = TrueStates(digit_size=SIDE)(*programs(0), black)
    assert found.facts["scores"]["position_error"]["rows"]["model"]["mean"] is None
    assert found.facts["scores"]["position_error"]["rows"]["model"]["defined"] == 0
    assert "position_error" not in found.exhibits and "identity" in found.exhibits
    assert any("position error" in line and "model -" in line for line in found.sentences)


def test_curves_begin_where_the_context_is_modelled() -> None:
    found = TrueStates(digit_size=SIDE, horizon=4)(*programs(0), digits())
    curve: Any = found.exhibits["position_error"]
    assert curve.lines["model"].x == [1, 2, 3, 4] == curve.lines["true frames"].x
    assert "reads 1.000 of 10 test digits right" in found.sentences[-1]


def ball(probability: float = 0.2) -> Clips:
    data = MovingBall("test", 30, change_probability=probability, resolution=32, size=4)
    items = [data[i] for i in range(4)]
    names = ("position", "colour", "change")
    states = {name: torch.stack([item["states"][name] for item in items]) for name in names}
    return Clips(torch.stack([item["video"] for item in items]), CONTEXT, states)


def test_changes_of_the_balls_colour() -> None:
    """Those of the true frames are the true ones; a ball that stands still never changes."""
    clips = ball()
    found = TrueStates()(*programs(0), clips)
    changes = found.facts["changes"]
    rate = clips.states["change"][:, CONTEXT:].double().mean().item()
    assert changes["true frames"]["rate"] == changes["model"]["true_rate"] == pytest.approx(rate)
    assert changes["true frames"]["f1"] == 1 and changes["true frames"]["chance_f1"] < 0.9
    assert changes["model"]["rate"] == changes["model"]["f1"] == 0
    scores = found.facts["scores"]
    assert scores["colour"]["rows"]["true frames"]["mean"] == 1
    assert scores["purity"]["rows"]["model"]["mean"] == 1
    assert {"colour_changes", "colour", "purity", "position_error"} <= found.exhibits.keys()


def test_changes_of_each_future_count() -> None:
    """Of two futures of one clip one has the true colours; the other changes at 0, 1 and 3."""
    colour = torch.tensor([[0, 1, 2, 2, 3, 3]])
    shown = torch.tensor([[2, 2, 3, 3], [2, 3, 3, 0]])
    (facts,) = colour_changes({"model": shown}, colour, context=2).values()
    assert facts["rate"] == 5 / 8 and facts["true_rate"] == 4 / 8
    assert facts["f1"] == pytest.approx(2 * 4 / (5 + 4))
    none = colour_changes({"model": shown[:, :1]}, colour[:, 1:], context=2)["model"]
    assert none["f1"] is None and none["rate"] == 0


def test_refuses_clips_that_know_nothing_or_end_too_early() -> None:
    clips = digits()
    with pytest.raises(ValueError, match=r"neither position and digit .* \(known: nothing\)"):
        asked(0, Clips(clips.video, CONTEXT))
    with pytest.raises(ValueError, match="leave 6 to be predicted, but horizon=7"):
        asked(0, clips, horizon=7)
    with pytest.raises(ValueError, match="leave 0 to be predicted"):
        asked(0, Clips(clips.video, FRAMES, clips.states))
    with pytest.raises(ValueError, match="boxes of 14 px .* leave the frame of 28 px"):
        asked(0, clips, digit_size=14)


@pytest.mark.parametrize("name", ["horizon", "samples", "digit_size"])
def test_refuses_settings_that_are_no_numbers(name: str) -> None:
    settings: dict[str, Any] = {name: 0}
    with pytest.raises(ValueError, match=f"{name} is a whole number from 1"):
        TrueStates(**settings)
