"""Measures of whole clips: what they are shown, and figures that are known."""

from collections.abc import Mapping

import pytest
import torch
from torch import Tensor

from pyrovp import guides, models
from pyrovp.data import MovingBall
from pyrovp.evaluation import ClipMeasure, Conclusion, FrechetDistance, Seen, evaluate
from pyrovp.evaluation.clips import growing_lengths
from pyrovp.evaluation.true_states import TrueStates
from pyrovp.metrics import FVD, Absent
from pyrovp.metrics.states import StateScores, make_state_scores
from tests.evaluation.programs import CONTEXT, HORIZON, digits, protocol, tiny_programs


def colours(clips: Tensor) -> Tensor:
    """Mean colours of a clip."""
    return clips.mean((2, 3, 4))


def seen(shift: float, sequences: int = 6) -> Seen:
    generator = torch.Generator().manual_seed(2)
    video = torch.rand(sequences, 3, 3, 8, 8, generator=generator) / 2
    return Seen(video[:, :1], video[:, 1:], video[:, 1:] + shift)


@pytest.mark.parametrize("context", [False, True])
def test_a_shift_is_the_distance_of_the_means(context: bool) -> None:
    """Colours lie in [-1, 1] there, so a shift by s moves three means by 2 s."""
    measure = FrechetDistance(FVD(colours, name="colours"), context=context)
    found = measure.conclude(measure.look(seen(0.25)))
    assert isinstance(found, Conclusion)
    shown = 2 / 3 if context else 1  # of the frames
    assert found.facts["distance"] == pytest.approx(3 * (0.5 * shown) ** 2, rel=1e-4)
    assert found.facts["frames"] == (3 if context else 2)
    assert found.facts["context"] == (1 if context else 0)
    assert found.facts["curve"][-1]["distance"] == found.facts["distance"]
    assert "FVD" in found.sentences[0] and "6 made and 6 real" in found.sentences[0]


def test_batches_make_no_difference() -> None:
    measure = FrechetDistance(FVD(colours), context=False)
    whole = seen(0.1)
    parts = [
        measure.look(Seen(whole.context[i], whole.truth[i], whole.prediction[i]))
        for i in (slice(0, 4), slice(4, 6))
    ]
    joined = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
    for name, values in measure.look(whole).items():
        torch.testing.assert_close(joined[name], values)


def test_one_sequence_is_no_set() -> None:
    measure = FrechetDistance(FVD(colours), context=False)
    assert isinstance(measure.conclude(measure.look(seen(0.1, sequences=1))), Absent)


@pytest.mark.parametrize(
    ("given", "frames", "lengths"),
    [(0, 100, [16, 32, 64, 100]), (0, 16, [16]), (36, 136, [64, 128, 136]), (2, 12, [12])],
)
def test_growing_lengths(given: int, frames: int, lengths: list[int]) -> None:
    assert growing_lengths(given, frames) == lengths


class Watching(ClipMeasure):
    """Keeps what it is shown."""

    name = "watching"

    def __init__(self) -> None:
        self.shown: list[Seen] = []

    def look(self, clips: Seen) -> dict[str, Tensor]:
        self.shown.append(clips)
        return {"brightness": clips.prediction.mean((1, 2, 3, 4))}

    def conclude(self, kept: object) -> Conclusion | Absent:
        brightness: Tensor = kept["brightness"]  # type: ignore[index]
        return Conclusion({"sequences": len(brightness)}, ["all were looked at"])


def test_the_first_sample_of_all_sequences_is_shown_with_its_states() -> None:
    watching = Watching()
    results = evaluate(
        *tiny_programs(), digits(), digits("train"), protocol(3, clip=True), batch=2, films=5,
        clip_measures=[watching],
    )  # fmt: skip
    assert [len(clips.truth) for clips in watching.shown] == [2, 2, 1]
    shown = torch.cat([clips.prediction for clips in watching.shown])
    assert torch.equal(shown, results.films.prediction.clamp(0, 1))
    assert torch.equal(torch.cat([c.truth for c in watching.shown]), results.films.truth)
    for name, values in watching.shown[0].states.items():
        assert values.shape[:2] == (2, CONTEXT + HORIZON), name
    assert results.summary()["clips"] == {"watching": {"sequences": 5}}
    assert "all were looked at" in results.outlook()


class Brightness(StateScores):
    """How far a frame's brightness is from the true one; undefined where that is 0."""

    labels = {"error": "error of the brightness", "other": "never defined"}
    note = "brightness is a mean"

    def __call__(self, frames: Tensor, states: Mapping[str, Tensor]) -> dict[str, Tensor]:
        error = (frames.mean((-3, -2, -1)) - states["brightness"]).abs()
        return {"error": error.where(states["brightness"] > 0, torch.nan)}


def test_states_of_known_clips() -> None:
    video = torch.tensor([0.1, 0.1, 0.2, 0.3, 0.0])[None, :, None, None, None].expand(
        2, 5, 1, 4, 4
    )
    states = {"brightness": video[:, :, 0, 0, 0]}
    shift = torch.tensor([0.2, 0.4]).view(2, 1, 1, 1, 1)
    clips = Seen(video[:, :2], video[:, 2:], video[:, 2:] + shift, states)
    measure = TrueStates(Brightness())
    found = measure.conclude(measure.look(clips))
    assert isinstance(found, Conclusion)
    rows = found.facts["scores"]["error"]["rows"]
    assert rows["model"]["mean"] == pytest.approx(0.3)
    assert rows["model"]["standard_error"] == pytest.approx(0.1)  # of 0.2 and 0.4
    assert rows["model"]["per_frame"] == [pytest.approx(0.3), pytest.approx(0.3), None]
    assert rows["model"]["defined"] == pytest.approx(2 / 3)
    assert rows["true_frames"]["mean"] == pytest.approx(0, abs=1e-7)
    assert rows["copy_last"]["mean"] == pytest.approx(0.15)  # 0.1 and 0.2 off
    assert list(found.facts["scores"]) == ["error"]  # the other one is never made
    assert "model 0.3" in found.sentences[0] and found.sentences[-1] == "brightness is a mean"


def test_states_through_an_evaluation() -> None:
    ball = MovingBall("test", CONTEXT + HORIZON, resolution=16, size=3)
    model = models.dlh(std=0.2, levels=2, state=2, memory=4, context=4, hidden=(4,), channels=3,
                       resolution=16, width=0.25)  # fmt: skip
    scores = make_state_scores(ball)
    assert isinstance(scores, StateScores)
    results = evaluate(
        model, guides.dlh(model), ball, MovingBall("train", 6, resolution=16), protocol(), batch=2,
        training_clips=4, clip_measures=[TrueStates(scores)],
    )  # fmt: skip
    rows = results.clips["states"].facts["scores"]["colour"]["rows"]
    assert rows["true_frames"]["mean"] == 1.0
    assert len(rows["model"]["per_frame"]) == HORIZON
