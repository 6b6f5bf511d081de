"""Findings as JSON."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from pyrovp.analysis import Curve, Findings, Line, Table
from pyrovp.analysis.record import finite, record
from pyrovp.draw import draw


def test_all_of_it_but_the_pictures(tmp_path: Path) -> None:
    exhibits: dict[str, Table | Curve] = {
        "gates": Table("Gates", ["gate", "rate"], [["e_2", float("nan")], ["e_3", 0.5]]),
        "kl": Curve("KL", "frame", "nats", {"z_1": Line([1.0])}),
    }
    findings = Findings({"rate": {"e_2": float("inf"), "n": 3}}, exhibits, ["it opens"])
    made = record(findings, draw(exhibits, tmp_path))
    assert json.loads(json.dumps(made, allow_nan=False)) == made == {
        "sentences": ["it opens"],
        "facts": {"rate": {"e_2": None, "n": 3}},
        "exhibits": {
            "gates": {
                "form": "Table", "title": "Gates", "files": ["gates.csv"],
                "columns": ["gate", "rate"], "rows": [["e_2", None], ["e_3", 0.5]],
            },
            "kl": {"form": "Curve", "title": "KL", "files": ["kl.png"]},
        },
    }  # fmt: skip


@pytest.mark.parametrize("value", [torch.zeros(2), np.float32(1.0), {1, 2}])
def test_what_json_cannot_hold_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"not JSON serializable; use .* \.item\(\)"):
        record(Findings({"a": [value]}))


def test_numbers_that_are_none() -> None:
    assert finite((1, float("-inf"), "x", None, True)) == [1, None, "x", None, True]
