"""Event scores against cases counted by hand."""

import json
import math

import pytest
import torch
from torch import Tensor

from pyrovp import Forced, guides, models
from pyrovp.analysis import (
    Gates,
    chance_f1,
    event_f1,
    infer_gates,
    mean_levels,
    predicted_change,
    report,
)


def _events(*frames: int, length: int = 10) -> Tensor:
    e = torch.zeros(1, length)
    e[0, list(frames)] = 1
    return e


@pytest.mark.parametrize(
    ("inferred", "true", "f1"),
    [
        ((2, 5), (2, 5), 1.0),
        ((3, 4), (2, 5), 1.0),  # one frame off is within the tolerance
        ((4, 7), (2, 9), 0.0),
        ((2,), (2, 5), 2 / 3),
        ((1, 2, 3), (2,), 2 / 4),  # one true event takes one inferred one only
        (tuple(range(10)), (2, 5), 4 / 12),  # always open
    ],
)
def test_f1_counted_by_hand(inferred: tuple[int, ...], true: tuple[int, ...], f1: float) -> None:
    assert event_f1(_events(*inferred), _events(*true)) == pytest.approx(f1)


def test_f1_without_any_event_is_undefined() -> None:
    assert math.isnan(event_f1(_events(), _events()))


def test_sequences_do_not_match_each_other() -> None:
    first, second = torch.cat((_events(3), _events())), torch.cat((_events(), _events(3)))
    assert event_f1(first, second) == 0


def test_a_detector_is_above_the_chance_of_its_rate() -> None:
    true = (torch.rand(20, 50, generator=torch.Generator().manual_seed(0)) < 0.1).float()
    assert event_f1(true, true) == 1
    assert 0.1 < chance_f1(true, true) < 0.5


def test_mean_levels_adds_up_the_changes() -> None:
    e = torch.tensor([[[1.0, 1, 1, 1], [1, 0, 0, 1]]])
    assert mean_levels(e) == pytest.approx(6 / 4)


def test_predicted_change_is_conditioned_on_what_was_inferred() -> None:
    e = torch.tensor([[[1.0, 1, 1, 1], [1, 0, 1, 0]]])
    p = torch.tensor([[[torch.nan] * 4, [torch.nan, 0.2, 0.9, 0.4]]])
    changed, stayed = predicted_change(Gates(e, p, torch.zeros_like(e)), level=2)
    assert changed == pytest.approx(0.9)
    assert stayed == pytest.approx(0.3)


def test_forced_gates_are_what_is_read() -> None:
    torch.manual_seed(0)
    opened = [True, False, True, True, False]
    model = models.dlh(
        std=0.5, levels=2, state=2, memory=4, context=4, resolution=16, width=0.05,
        gate=Forced(opened),
    )  # fmt: skip
    gates = infer_gates(model, guides.dlh(model), torch.rand(3, 5, 1, 16, 16))
    assert gates.e[:, 0].eq(1).all()
    assert gates.e[:, 1].tolist() == [[1, 0, 1, 1, 0]] * 3
    assert gates.probability.isnan().all()  # a forced gate predicts nothing


def test_report_names_each_gate_and_what_the_prior_expected() -> None:
    torch.manual_seed(0)
    model = models.dlh(std=0.5, levels=2, state=2, memory=4, context=4, resolution=16, width=0.05)
    gates = infer_gates(model, guides.dlh(model), torch.rand(4, 6, 1, 16, 16))
    change = torch.zeros(4, 6, dtype=torch.bool)
    change[:, 3] = True
    result = report(gates, change)
    assert result["true_change_rate"] == pytest.approx(1 / 5)
    assert result["perfect_mean_levels"] == pytest.approx(1 + 2 / 6)
    assert result["mean_levels"] == pytest.approx(mean_levels(gates.e))
    assert set(result) == {"mean_levels", "true_change_rate", "perfect_mean_levels", "e_2"}
    assert result["e_2"]["rate"] == pytest.approx(gates.e[:, 1, 1:].mean().item())
    p = gates.probability[:, 1, 1:]
    assert bool(((p > 0) & (p < 1)).all())


def test_what_is_not_defined_is_none_in_a_report() -> None:
    e = torch.ones(2, 2, 6)
    e[:, 1] = 0  # the gate never opens, and nothing ever changes
    found = report(Gates(e, torch.full((2, 2, 6), 0.25), e), torch.zeros(2, 6, dtype=torch.bool))
    assert found["e_2"]["predicted_where_changed"] is None
    assert found["e_2"]["predicted_where_static"] == 0.25
    assert found["e_2"]["f1"] is None
    json.dumps(found, allow_nan=False)
