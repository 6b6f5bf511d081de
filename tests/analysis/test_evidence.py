"""The evidence's bounds: models whose evidence is known, and groups of particles."""

import math
from typing import Any

import pytest
import torch

from pyrovp import models
from pyrovp.analysis import Clips, Evidence, evidence
from tests.analysis.constant import Beliefs, constant, noise
from tests.painted import Band, painted
from tests.systems import clip, tiny_cwvae


def test_a_guide_that_cannot_do_better_gains_nothing() -> None:
    """Bands that hold nothing are black whatever is drawn: N(0, 0.1²) for each pixel."""
    model, guide = painted(Band(holds=False, std=0.3), Band(holds=False, std=1.0, period=2))
    video = torch.full((3, 4, 1, 12, 12), 0.05, dtype=torch.float64)
    facts = Evidence(num_particles=5, chunk=2)(model, guide, Clips(video, 2)).facts
    pixel = -0.5 * 0.25 - math.log(0.1) - 0.5 * math.log(2 * math.pi)
    values = 4 * 12 * 12
    assert facts["values"] == values and facts["frames"] == 4 and facts["sequences"] == 3
    for bound in facts["bounds"].values():
        assert bound["mean"] == pytest.approx(values * pixel)
    assert facts["gain"]["mean"] == pytest.approx(0, abs=1e-9)
    assert facts["effective_particles"] == pytest.approx(5)
    assert facts["per_frame"] == pytest.approx(144 * pixel)
    assert facts["bits_per_dimension"] == pytest.approx(8 - pixel / math.log(2))


def test_a_guide_that_does_worse_gains_towards_the_evidence() -> None:
    """A level that no pixel shows: what its posterior is off costs KL[q ‖ p], which is gained."""
    belief = ([0.0], [1.0])
    model, guide = constant(Beliefs(belief, belief), Beliefs(belief, ([0.5], [0.9])))
    with torch.no_grad():
        for parameter in model.hierarchy.emission.parameters():
            parameter.zero_()
    video = noise(40, 1)
    torch.manual_seed(0)
    found = Evidence(num_particles=256, chunk=64)(model, guide, Clips(video, 1))
    facts = found.facts
    kl = 0.5 * (0.81 + 0.25 - 1) - math.log(0.9)
    error = facts["gain"]["standard_error"]
    # Five standard errors, and 0.01 for the mean over 256 particles.
    assert abs(facts["gain"]["mean"] - kl) < 5 * error + 0.01 and error < 0.02
    assert list(facts["bounds"]) == ["1", "2", "4", "8", "16", "32", "64", "128", "256"]
    curve: Any = found.exhibits["bounds"]
    line = curve.lines["bound"]
    assert line.x == [2**i for i in range(9)] and curve.log
    assert all(b > a for a, b in zip(line.y, line.y[1:4], strict=False))


def test_bounds_of_fewer_particles_are_means_over_groups() -> None:
    weights = torch.tensor([[1.0], [2.0], [4.0], [8.0], [16.0]]).log()
    assert evidence._bound(weights, 1).item() == pytest.approx(2 * math.log(2.0))
    pairs = (math.log(1.5) + math.log(6.0)) / 2
    assert evidence._bound(weights, 2).item() == pytest.approx(pairs)
    assert evidence._bound(weights, 5).item() == pytest.approx(math.log(31 / 5))


def test_chunks_do_not_matter_in_law_nor_in_counts() -> None:
    model, guide = tiny_cwvae()
    for chunk in (1, 3, 7):
        facts = Evidence(6, chunk)(model, guide, Clips(clip(4), 2)).facts
        assert list(facts["bounds"]) == ["1", "2", "4", "6"] and facts["particles"] == 6


def test_refuses_clips_of_which_nothing_is_modelled() -> None:
    model: Any = models.hvrnn(latents=(1, 4), channels=1, resolution=16, width=16, given=2)
    with pytest.raises(ValueError, match="none is left to be modelled"):
        Evidence()(model.double(), torch.nn.Identity(), Clips(clip(2), 1))


@pytest.mark.parametrize("settings", [{"num_particles": 0}, {"chunk": 0}, {"chunk": 1.5}])
def test_refuses_settings_that_draw_nothing(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="is a whole number from 1"):
        Evidence(**settings)
