"""Gates: what was forced is what is found, rates, expectations, events, given frames."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from pyrovp import Forced, MixtureGate, guides, models
from pyrovp.analysis import Clips, GateRaster, Raster, infer_gates
from tests.analysis.constant import Beliefs, constant, noise
from tests.systems import clip, tiny_cwvae, tiny_dlh

STANDARD = ([0.0, 0.0], [1.0, 1.0])
INFORMED = ([0.5, 0.5], [0.5, 0.5])
SCHEDULE = [True, False, True, True, False]


def two(gate: Any, period: int = 1, log_odds: float = 0.0) -> Any:
    above = Beliefs(STANDARD, INFORMED, period=period, gate=gate, log_odds=log_odds)
    return constant(Beliefs(STANDARD, STANDARD), above)


def at(*frames: int, batch: int = 3, length: int = 5) -> Tensor:
    events = torch.zeros(batch, length, dtype=torch.bool)
    events[:, list(frames)] = True
    return events


def ask(system: Any, states: Any = None, length: int = 5, **settings: Any) -> Any:
    clips = Clips(noise(3, length), context=2, states=states or {})
    model, guide = system
    return GateRaster(**settings)(model, guide, clips)


def test_forced_gates_have_the_mean_levels_that_were_forced() -> None:
    """L̄ = 1 + 3 / 5; after frame 0 the gate is open at 2 of 4 frames."""
    found = ask(two(Forced(SCHEDULE)), {"change": at(2, 3)})
    assert found.facts["mean_levels"] == pytest.approx(1 + 3 / 5)
    assert found.facts["mean_levels_error"] == pytest.approx(0.0)
    gate = found.facts["gates"]["e_2"]
    assert gate["rate"] == gate["rate_at_ticks"] == pytest.approx(2 / 4)
    assert gate["predicted_where_changed"] is gate["predicted_where_static"] is None
    events = found.facts["events"]["change"]
    assert events["e_2"]["f1"] == 1.0 and events["e_2"]["chance_f1"] < 1
    assert events["perfect_mean_levels"] == pytest.approx(found.facts["mean_levels"])
    assert events["rate"] == pytest.approx(2 / 4)


def test_the_raster_is_the_schedule() -> None:
    found = ask(two(Forced(SCHEDULE)), {"change": at(1)}, shown=2)
    raster = found.exhibits["gate_raster"]
    assert isinstance(raster, Raster) and raster.start == 0
    assert list(raster.rows) == [
        f"clip {i}: {row}" for i in (1, 2) for row in ("true change", "level 2 changes")
    ]
    assert raster.rows["clip 2: level 2 changes"].tolist() == [1, 0, 1, 1, 0]
    assert raster.rows["clip 1: true change"].tolist() == [0, 1, 0, 0, 0]


@pytest.mark.parametrize(("tolerance", "f1"), [(0, 0.0), (1, 2 / 3)])
def test_openings_may_miss_by_the_tolerance(tolerance: int, f1: float) -> None:
    found = ask(two(Forced(SCHEDULE)), {"change": at(4)}, tolerance=tolerance)
    assert found.facts["events"]["change"]["e_2"]["f1"] == pytest.approx(f1)


def test_a_slow_gate_is_counted_by_its_ticks() -> None:
    """Every other frame may change the level, and does: 2 of the 4 frames after the first."""
    found = ask(two(Forced(lambda t: True), period=2))
    gate = found.facts["gates"]["e_2"]
    assert (gate["rate"], gate["rate_at_ticks"]) == (pytest.approx(0.5), pytest.approx(1.0))
    assert found.facts["mean_levels"] == pytest.approx(1 + 3 / 5)


def test_what_the_prior_expected_where_the_level_stayed() -> None:
    """The posterior is the belief held already, so the gate never opens after frame 0."""
    found = ask(two(MixtureGate(size=2), log_odds=-1.0))
    gate = found.facts["gates"]["e_2"]
    expected = 1 / (1 + math.exp(1.0))
    assert gate["rate"] == 0 and gate["predicted_where_changed"] is None
    assert gate["predicted_where_static"] == pytest.approx(expected)
    row = found.exhibits["gate_raster"].rows["clip 1: level 2 expected"]
    assert row.tolist() == pytest.approx([0.0, *[expected] * 4])
    assert "0.269 where not" in " ".join(found.sentences)


def test_a_bounce_of_any_body_on_any_axis_is_an_event() -> None:
    bounce = torch.zeros(3, 5, 2, 2, dtype=torch.bool)
    bounce[:, 2, 0, 1] = bounce[:, 3, 1, 0] = True
    found = ask(two(Forced(SCHEDULE)), {"bounce": bounce, "position": torch.zeros(3, 5, 2, 2)})
    assert list(found.facts["events"]) == ["bounce"]
    assert found.facts["events"]["bounce"]["e_2"]["f1"] == 1.0


def test_without_events_nothing_is_scored() -> None:
    found = ask(two(Forced(SCHEDULE)))
    assert found.facts["events"] == {} and "events" not in found.exhibits


def test_boundaries_are_scored_on_the_modelled_frames_alone() -> None:
    """Two frames are given and two are the tail: the true boundaries there do not count."""
    model = models.vta(given=2, tail=2, belief=3, state=2, features=4, channels=1, resolution=16)
    guide = guides.vta(model)
    model.eval(), guide.eval()
    video = torch.rand(3, 10, 1, 16, 16)
    torch.manual_seed(4)
    inferred = infer_gates(model, guide, video).e[:, 1]
    true = inferred.clone()
    true[:, :2] = true[:, 8:] = 1  # given, and the tail
    torch.manual_seed(4)
    clips = Clips(video, context=2, states={"change": true})
    found = GateRaster(tolerance=0)(model, guide, clips)
    raster = found.exhibits["gate_raster"]
    assert isinstance(raster, Raster)
    assert 0 < inferred[:, 3:8].mean() < 1
    assert found.facts["events"]["change"]["e_2"]["f1"] == 1.0
    assert found.facts["frames"] == 6 and raster.start == 2
    assert found.facts["gates"]["e_2"]["rate"] == pytest.approx(inferred[:, 3:8].mean().item())
    assert found.facts["mean_levels"] == pytest.approx(1 + inferred[:, 2:8].mean().item())
    assert len(raster.rows["clip 1: level 2 expected"]) == 6


def test_refuses_a_model_without_gates() -> None:
    with pytest.raises(ValueError, match="no level of this model has a gate"):
        GateRaster()(*tiny_cwvae(), Clips(clip(4), context=2))


def test_refuses_events_of_other_clips() -> None:
    clips = Clips(clip(4), context=2, states={"change": torch.zeros(2, 5)})
    with pytest.raises(ValueError, match=r"2 of 4 frames.*\[2, 5\]; give \[2, 4, ...\]"):
        GateRaster()(*tiny_dlh(), clips)


@pytest.mark.parametrize("settings", [{"shown": 0}, {"tolerance": -1}, {"tolerance": 0.5}])
def test_refuses_settings_that_make_no_sense(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="GateRaster: .* is a whole number from"):
        GateRaster(**settings)
