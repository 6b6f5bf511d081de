"""One level goes on by itself: what it paints moves, what the others paint stands still."""

from typing import Any

import pytest
import torch
from torch import Tensor

from pyrovp import MixtureGate
from pyrovp.analysis import Clips, Findings, LevelRollout
from tests.analysis.test_contract import tiny_vta
from tests.painted import Band, bands, painted
from tests.predict.recorder import Recorder
from tests.systems import clip, tiny_dlh, tiny_mixed

CONTEXT, HORIZON, BATCH = 4, 6, 3


def roll(*levels: Band, frames: int = CONTEXT + HORIZON, **asked: Any) -> tuple[Findings, Tensor]:
    generator = torch.Generator().manual_seed(2)
    shown = torch.rand(BATCH, frames, len(levels), dtype=torch.float64, generator=generator)
    model, guide = painted(*levels)
    analysis = LevelRollout(horizon=HORIZON, **asked)
    return analysis(model, guide, Clips(bands(shown), CONTEXT)), shown


def part(found: Findings, row: str, level: int) -> Tensor:
    """What a level painted of the first clip, [HORIZON] (bands of six columns)."""
    strip: Any = found.exhibits["rollout_0"]
    assert strip.start == CONTEXT
    return strip.rows[row][:, 0, 0, 6 * (level - 1)]


@pytest.mark.parametrize("gate", [None, MixtureGate(size=2)])
def test_a_level_alone_moves_what_is_its_own(gate: Any) -> None:
    lively, gated = Band(mean=0.5, std=0.1), Band(mean=0.5, std=0.1, gate=gate, odds=-1.0)
    found, shown = roll(lively, gated)
    for level, other in ((1, 2), (2, 1)):
        row = f"level {level} alone"
        held = shown[0, CONTEXT - 1, other - 1].float().expand(HORIZON)
        torch.testing.assert_close(part(found, row, other), held)
        assert part(found, row, level).diff().abs().min() > 0, "every tick draws anew"
    # With the noise of the whole prediction.
    assert torch.equal(part(found, "level 1 alone", 1), part(found, "all levels", 1))
    same = torch.equal(part(found, "level 2 alone", 2), part(found, "all levels", 2))
    assert same == (gate is None), "a gate that is open draws where a shut one stays"


def test_departures_are_known_where_priors_are_certain() -> None:
    found, shown = roll(Band(mean=0.3), Band(mean=0.9))
    last = shown[:, CONTEXT - 1]
    shift = (torch.tensor([0.3, 0.9]) - last).square() / 2  # two bands of half of the pixels each
    films = found.facts["films"]
    for row, expected in (
        ("level 1 alone", shift[:, 0].sqrt()),
        ("level 2 alone", shift[:, 1].sqrt()),
        ("all levels", shift.sum(1).sqrt()),
    ):
        assert films[row]["departure"] == pytest.approx(expected.mean().item(), abs=1e-6)
        assert films[row]["step"] == pytest.approx(0, abs=1e-6)
    truth = (shown[:, CONTEXT:] - last[:, None]).square().mean(-1).sqrt()
    assert films["truth"]["departure"] == pytest.approx(truth.mean().item())
    curve: Any = found.exhibits["departure"]
    assert curve.lines["truth"].y == pytest.approx(truth.mean(0).tolist())
    assert list(curve.lines["truth"].x) == list(range(CONTEXT, CONTEXT + HORIZON))


def test_clips_may_end_before_the_horizon() -> None:
    found, _ = roll(Band(), Band(), frames=CONTEXT + 1)
    assert list(found.facts["films"]) == ["all levels", "level 1 alone", "level 2 alone"]


@pytest.mark.parametrize("build", [tiny_dlh, tiny_mixed, tiny_vta])
@pytest.mark.parametrize("level", [1, 2, 3])
def test_gates_are_open_at_the_level_and_shut_elsewhere(build: Any, level: int) -> None:
    model, guide = build()
    levels = model.hierarchy.levels
    if level > len(levels):
        return
    model.eval(), guide.eval()
    recorder = Recorder()
    with recorder:  # the level's own roll-out comes last
        LevelRollout(level, HORIZON)(model, guide, Clips(clip(CONTEXT).sigmoid(), CONTEXT))
    kind = "elogit" if build is tiny_vta else "e"
    for n in range(1, len(levels) + 1):
        start = CONTEXT + (build is tiny_vta)  # its first frame always begins a segment
        gates = [recorder.values.get(f"{kind}_{n}_{t}") for t in range(start, CONTEXT + HORIZON)]
        there = [gate for gate in gates if gate is not None]
        assert bool(there) == (levels[n - 1].gate is not None)
        assert all(bool(((gate > 0) == (n == level)).all()) for gate in there)
        names = [f"z_{n}_{t}" for t in range(start - 1, CONTEXT + HORIZON)]
        states = [recorder.values[name] for name in names if name in recorder.values]
        moved = [not torch.equal(a, b) for a, b in zip(states, states[1:], strict=False)]
        assert all(moved) if n == level else not any(moved)


def test_a_model_of_one_level_has_none_to_hold() -> None:
    with pytest.raises(ValueError, match="one level.*is the open-loop prediction"):
        roll(Band())


@pytest.mark.parametrize("horizon", [0, 1.5])
def test_a_horizon_of_nothing(horizon: Any) -> None:
    with pytest.raises(ValueError, match="a horizon of 1 frame or more"):
        LevelRollout(horizon=horizon)
