"""KL per channel as findings: known channels, their order, the thresholds."""

import pytest
import torch
from torch import Tensor

from pyrovp.analysis import ChannelKL, Clips, Curve, Table
from pyrovp.distributions import LogitRelaxedBernoulli
from tests.analysis.constant import Beliefs, constant, noise
from tests.analysis.own import own

PRIOR = ([0.0] * 3, [1.0] * 3)
SHIFTED = ([0.4, 0.0, 1.0], [1.0] * 3)
"""Channels at 0.08, 0 and 0.5 nats from the prior: half of the squared mean."""


def test_shifted_means_are_active_channels() -> None:
    model, guide = constant(Beliefs(PRIOR, SHIFTED), Beliefs(PRIOR, PRIOR, period=2))
    found = ChannelKL()(model, guide, Clips(noise(2, 4), context=2))
    below, above = found.facts["z_1"], found.facts["z_2"]
    assert below["kl"] == pytest.approx([0.08, 0.0, 0.5], abs=1e-12)
    assert [below[key] for key in ("channels", "active", "maximal")] == [3, 2, 1]
    assert [above[key] for key in ("channels", "active", "maximal")] == [3, 0, 0]
    table = found.exhibits["channels"]
    assert isinstance(table, Table)
    assert table.rows[0] == ["z_1", 3, 2, 1, pytest.approx(0.58 / 3), pytest.approx(0.5)]
    assert found.sentences[0].startswith("z_1: 2 of 3 channels are active")


def test_the_curve_falls_and_shows_the_thresholds() -> None:
    found = ChannelKL()(*constant(Beliefs(PRIOR, SHIFTED)), Clips(noise(2, 4), context=2))
    curve = found.exhibits["channel_kl"]
    assert isinstance(curve, Curve)
    assert list(curve.lines) == ["level 1", "active", "maximally active"]
    assert curve.lines["level 1"].x == [1, 2, 3]
    assert curve.lines["level 1"].y == pytest.approx([0.5, 0.08, 0.0], abs=1e-12)
    assert curve.lines["active"].y == [0.01, 0.01] and curve.lines["active"].x == [1, 3]


def test_refuses_states_that_are_not_gaussian() -> None:
    def family(mean: Tensor, std: Tensor) -> LogitRelaxedBernoulli:
        return LogitRelaxedBernoulli(torch.ones(()).double(), mean).to_event(1)

    with pytest.raises(ValueError, match="known for Gaussian states"):
        ChannelKL()(*own(family), Clips(noise(2, 2), context=1))
