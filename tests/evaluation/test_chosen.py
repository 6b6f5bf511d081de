"""From names of metrics to measures, or to reasons why there is none."""

from pathlib import Path

import pytest
import torch

from pyrovp.data import MovingBall, MovingDigits
from pyrovp.evaluation.chosen import Weights, choose
from pyrovp.evaluation.clips import FrechetDistance
from pyrovp.evaluation.measures import PSNR, FrameMeasure
from pyrovp.metrics import InceptionI3D
from tests.evaluation.programs import digits, protocol

VIDEOS = MovingBall("test", 7, resolution=32)


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without weights."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.delenv("PYROVP_I3D", raising=False)


def test_in_the_order_given_and_once() -> None:
    chosen = choose(["ssim", "psnr", "ssim"], protocol(), VIDEOS, Weights())
    assert [measure.name for measure in chosen.frames] == ["ssim", "psnr"]
    assert not chosen.clips and not chosen.absent
    assert chosen.identities() == ["ssim", "psnr"]


def test_what_is_absent_says_why() -> None:
    chosen = choose(["psnr", "lpips", "fvd"], protocol(horizon=20), VIDEOS, Weights())
    assert [measure.name for measure in chosen.frames] == ["psnr"]
    assert "alexnet-owt-7be5be79.pth" in chosen.absent["lpips"].reason
    assert "PYROVP_I3D" in chosen.absent["fvd"].reason


def test_small_frames_and_short_clips() -> None:
    chosen = choose(["psnr", "lpips", "fvd"], protocol(), digits(), Weights())
    assert "at least 32 px, these have 16" in chosen.absent["lpips"].reason
    assert "at least 9 frames, these have 4" in chosen.absent["fvd"].reason


def test_fvd_with_weights_of_ones_own(tmp_path: Path) -> None:
    with torch.device("meta"):
        network = InceptionI3D()
    state = {name: torch.zeros(value.shape) for name, value in network.state_dict().items()}
    path = tmp_path / "i3d.pt"
    torch.save(state, path)
    chosen = choose(
        ["psnr", "fvd"], protocol(horizon=20), VIDEOS, Weights(i3d=str(path), fvd_context=True)
    )
    (measure,) = chosen.clips
    assert isinstance(measure, FrechetDistance) and measure.context
    assert str(measure.fvd.sha256) in measure.identity()


def test_states_where_they_are_known() -> None:
    chosen = choose(["psnr", "states"], protocol(), VIDEOS, Weights())
    assert chosen.identities() == ["psnr", "states/BallStates/"]
    tiny = MovingDigits("test", 7, resolution=16, digits=1, digit_size=5)
    assert (
        "cannot be told apart"
        in choose(["psnr", "states"], protocol(), tiny, Weights()).absent["states"].reason
    )


def test_a_misspelt_metric() -> None:
    with pytest.raises(ValueError, match="no metric 'lpisp'; did you mean lpips"):
        choose(["psnr", "lpisp"], protocol(), VIDEOS, Weights())


class Named(PSNR):
    """A measure of one's own."""

    name = "mine"


class Nameless(FrameMeasure):
    """One that lacks what tables need."""

    label = score = PSNR.score  # type: ignore[assignment]


def test_a_measure_of_ones_own() -> None:
    mine = Named()
    chosen = choose(["ssim", mine], protocol(), VIDEOS, Weights())
    assert chosen.frames[1] is mine and chosen.identities() == ["ssim", "mine"]


@pytest.mark.parametrize(
    ("measure", "told"),
    [
        (PSNR(), "two metrics are called 'psnr'"),
        (Nameless(), "Nameless has no name, its key in tables"),
        (3, "a subclass of pyrovp.evaluation.FrameMeasure or ClipMeasure; got 3"),
    ],
)
def test_what_is_no_measure_of_ones_own(measure: FrameMeasure, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        choose(["psnr", measure], protocol(), VIDEOS, Weights())


@pytest.mark.parametrize("names", [["fvd"], ["lpips"], []])
def test_something_has_to_be_left(names: list[str]) -> None:
    with pytest.raises(ValueError, match="leaves nothing to measure of single frames"):
        choose(names, protocol(), VIDEOS, Weights())
