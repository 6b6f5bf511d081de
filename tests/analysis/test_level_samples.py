"""A level's state is drawn anew: its prior's spread in the pixels that it paints."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from pyrovp import Forced, MixtureGate
from pyrovp.analysis import Clips, Findings, LevelSamples
from pyrovp.gates import Gate
from tests.painted import Band, bands, painted

T, BATCH, COUNT = 6, 32, 25
MEAN, STD = 0.5, 0.1


def sample(*levels: Band, count: int = COUNT, **asked: Any) -> tuple[Findings, Tensor]:
    generator = torch.Generator().manual_seed(2)
    shown = torch.rand(BATCH, T, len(levels), dtype=torch.float64, generator=generator)
    for n, level in enumerate(levels):
        shown[..., n] *= level.holds
    model, guide = painted(*levels)
    return LevelSamples(count=count, **asked)(model, guide, Clips(bands(shown), 5)), shown


GATES: dict[str, Gate | None] = {
    "none": None,
    "shut": Forced(lambda t: False),
    "open": Forced(lambda t: True),
    "inferred": MixtureGate(size=2),
    "kept": Forced(lambda t: False, fresh_static=False),
}


@pytest.mark.parametrize("gate", GATES)
def test_the_spread_is_the_priors_whatever_the_gate_says(gate: str) -> None:
    """768 degrees of freedom, B times (count - 1): a standard error is 2.6 % of the spread.

    Five of them are exceeded once in 1.7 million seeds.
    """
    level = Band(mean=MEAN, std=STD, gate=GATES[gate])
    found, shown = sample(Band(holds=False, std=0.5), level)
    facts = found.facts["levels"]
    assert facts["level_1"] == {"tick": 4, "spread": 0.0, "from_inferred": 0.0}
    # Half of the pixels are level 2's.
    assert facts["level_2"]["spread"] == pytest.approx(STD / math.sqrt(2), rel=0.13)
    strip: Any = found.exhibits["level_2"]
    assert strip.seen == 1 and len(strip.rows["clip 0"]) == 2 + COUNT
    truth, inferred, *draws = strip.rows["clip 0"]
    torch.testing.assert_close(truth, bands(shown[0, 4]).float())
    if gate != "shut" and gate != "kept":
        torch.testing.assert_close(inferred, truth)
    right = torch.stack(draws)[..., 6:]
    assert right.mean().item() == pytest.approx(MEAN, abs=5 * STD / math.sqrt(COUNT))
    assert right.amin((1, 2, 3)).equal(right.amax((1, 2, 3))), "one brightness a draw"
    spread: Any = found.exhibits["spread"]
    assert spread.rows["level 1"].max() == 0 and 0.5 < spread.rows["level 2"].max() <= 1


@pytest.mark.parametrize(("frame", "tick"), [(0, 0), (3, 0), (4, 4), (5, 4)])
def test_the_tick_is_the_one_in_force(frame: int, tick: int) -> None:
    found, _ = sample(Band(), Band(std=STD, period=4), count=2, frame=frame, level=2)
    assert found.facts["frame"] == frame
    assert list(found.facts["levels"]) == ["level_2"]
    assert found.facts["levels"]["level_2"]["tick"] == tick
    assert found.facts["levels"]["level_2"]["spread"] > 0.01


def test_the_other_levels_are_kept() -> None:
    found, shown = sample(Band(std=STD), Band(std=STD), count=3, level=2)
    strip: Any = found.exhibits["level_2"]
    _, inferred, *draws = strip.rows["clip 2"]
    for draw in draws:
        assert torch.equal(draw[..., :6], inferred[..., :6])
        assert not torch.equal(draw[..., 6:], inferred[..., 6:])
    assert "level_1" not in found.exhibits


@pytest.mark.parametrize("count", [1, 2.5])
def test_one_draw_has_no_spread(count: Any) -> None:
    with pytest.raises(ValueError, match="a spread needs a whole number of draws from 2 on"):
        LevelSamples(count=count)


def test_a_frame_that_is_not_there() -> None:
    with pytest.raises(ValueError, match="frame 6 was asked for.* models 0 to 5"):
        sample(Band(), frame=6)
