"""A change is forced and forbidden: films that are one before it, and known ones after it."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from pyrovp import Forced, MixtureGate
from pyrovp.analysis import Clips, Findings, WhatIf
from tests.analysis.test_contract import tiny_vta
from tests.painted import Band, bands, painted
from tests.predict.recorder import Recorder
from tests.systems import clip, tiny_cwvae, tiny_dlh, tiny_mixed

CONTEXT, HORIZON, BATCH, MEAN, SHUT = 4, 6, 3, 0.9, -60.0
GATE = MixtureGate(size=2)


def ask(*levels: Band, **asked: Any) -> tuple[Findings, Tensor]:
    generator = torch.Generator().manual_seed(2)
    shown = torch.rand(BATCH, CONTEXT, len(levels), dtype=torch.float64, generator=generator)
    model, guide = painted(*levels)
    return WhatIf(horizon=HORIZON, **asked)(model, guide, Clips(bands(shown), CONTEXT)), shown


@pytest.mark.parametrize("frame", [None, 4, 7])
def test_a_forced_change_goes_to_the_prior_and_stays(frame: int | None) -> None:
    """A gate that never opens by itself holds the context's last brightness until it is forced."""
    found, shown = ask(Band(std=0.2), Band(mean=MEAN, gate=GATE, odds=SHUT), frame=frame)
    at = 4 if frame is None else frame
    facts = found.facts
    assert (facts["level"], facts["frame"], facts["changed_as_drawn"]) == (2, at, 0)
    assert facts["predicted_change"] == pytest.approx(0, abs=1e-9)
    shift = (shown[:, -1, 1] - MEAN).abs() / math.sqrt(2)  # half of the pixels
    far = facts["apart"]["forced from forbidden"]
    assert far["before"] == 0
    for name in ("at", "from_there_on", "at_the_end"):
        assert far[name] == pytest.approx(shift.mean().item(), abs=1e-6)
    assert facts["apart"]["forbidden from as drawn"]["from_there_on"] == 0, "nothing was forbidden"
    curve: Any = found.exhibits["apart"]
    y = curve.lines["forced from forbidden"].y
    assert y == pytest.approx([0] * (at - 4) + [shift.mean().item()] * (10 - at), abs=1e-6)
    assert curve.marks == {"the change": at}
    strip: Any = found.exhibits["what_if_1"]
    assert strip.start == CONTEXT
    right = strip.rows["forced"][at - CONTEXT :, 0, 0, -1]
    torch.testing.assert_close(right, torch.full_like(right, MEAN))
    left = [strip.rows[name][..., :6] for name in ("as drawn", "forced", "forbidden")]
    assert torch.equal(left[0], left[1]) and torch.equal(left[0], left[2]), "the same noise"
    assert left[0][:, 0, 0, 0].diff().abs().min() > 0


def test_a_change_that_comes_anyway_can_only_be_forbidden() -> None:
    found, shown = ask(Band(), Band(mean=MEAN, gate=GATE, odds=-SHUT))
    assert found.facts["changed_as_drawn"] == 1
    assert found.facts["predicted_change"] == pytest.approx(1)
    apart = found.facts["apart"]
    assert apart["forced from as drawn"]["from_there_on"] == 0
    shift = ((shown[:, -1, 1] - MEAN).abs() / math.sqrt(2)).mean().item()
    assert apart["forbidden from as drawn"]["at"] == pytest.approx(shift, abs=1e-6)
    assert apart["forbidden from as drawn"]["at_the_end"] == pytest.approx(0, abs=1e-6)


def test_forced_gates_can_be_overruled() -> None:
    found, _ = ask(Band(), Band(mean=MEAN, gate=Forced(lambda t: t == 6)), frame=5)
    assert found.facts["predicted_change"] == 0
    apart = found.facts["apart"]["forced from forbidden"]
    assert apart["at"] > 0.1 and apart["at_the_end"] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("level", [2, 3])
def test_the_levels_below_have_to_change_too_and_those_above_may_not(level: int) -> None:
    shut = Band(mean=MEAN, gate=GATE, odds=SHUT)
    found, shown = ask(Band(), shut, shut, level=level)
    moved = (shown[:, -1, 1:] - MEAN)[:, : level - 1].square().sum(-1) / 3
    far = found.facts["apart"]["forced from forbidden"]["at"]
    assert far == pytest.approx(moved.sqrt().mean().item(), abs=1e-6)


@pytest.mark.parametrize("build", [tiny_dlh, tiny_mixed, tiny_vta])
def test_films_of_any_gated_model_part_at_the_frame(build: Any) -> None:
    model, guide = build()
    model.eval(), guide.eval()
    analysis, clips = WhatIf(frame=6, horizon=HORIZON), Clips(clip(CONTEXT).sigmoid(), CONTEXT)
    recorder = Recorder()
    with recorder:  # the forbidden one comes last
        facts = analysis(model, guide, clips).facts
    kind = "elogit" if build is tiny_vta else "e"
    assert bool((recorder.values[f"{kind}_{facts['level']}_6"] <= 0).all())
    for name, far in facts["apart"].items():
        assert far["before"] == 0, name
    assert facts["apart"]["forced from forbidden"]["at"] > 1e-5
    assert 0 < facts["predicted_change"] < 1


def test_a_model_without_gates() -> None:
    model, guide = tiny_cwvae()
    with pytest.raises(ValueError, match="no level of this model has a gate"):
        WhatIf()(model, guide, Clips(clip(CONTEXT), CONTEXT))


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"level": 1}, r"level 1 has no gate to be forced.*use one of \[2\]"),
        ({"level": 5}, "this model has the levels 1 to 2"),
        ({"frame": 5}, r"no gate at frame 5; of the predicted frames it has one at \[4, 8\]"),
        ({"frame": 3}, "no gate at frame 3"),
        ({"frame": 10}, "no gate at frame 10"),
    ],
)
def test_what_cannot_be_forced(asked: dict[str, int], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        ask(Band(), Band(gate=GATE, period=4), **asked)


def test_a_horizon_before_the_first_gate() -> None:
    with pytest.raises(ValueError, match="level 2 has no gate within 6 frames"):
        ask(Band(), Band(gate=GATE, period=16))
    with pytest.raises(ValueError, match="a horizon of 1 frame or more, got horizon=0"):
        WhatIf(horizon=0)
