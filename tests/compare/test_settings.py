"""By which settings runs are told apart."""

import pytest

from pyrovp.compare.settings import differing, learned, named, of_clips


def test_budget_and_defaults_that_came_later_do_not_count() -> None:
    settings = {
        "model.levels": 2, "seed": 1, "out": "runs", "train.steps": 5, "evaluate.context": 3,
        "data.root": "/data", "optimiser.amsgrad": False, "optimiser.betas": [0.5, 0.9],
    }  # fmt: skip
    assert learned(settings) == {"model.levels": 2, "optimiser.betas": [0.5, 0.9]}


def test_what_decides_the_clips() -> None:
    settings = {"data.length": 24, "data.root": "a", "data.speed": 2, "model.levels": 2}
    assert of_clips(settings) == {"data.speed": 2}


def test_of_many_differences_enough_to_tell() -> None:
    same = {f"guide.{i}": 0 for i in range(9)}
    other = {f"guide.{i}": 1 for i in range(9)}
    runs = [{**same, "model.a": 1}, {**other, "model.a": 2}, {**other, "model.a": 1}]
    assert differing(runs) == ["model.a", "guide.0"]
    assert differing(runs[:1]) == []


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("model.factor", 2, "m factor=2"),
        ("model.cells", None, "m cells=null"),
        ("data.speed_factor", 0.03, "m speed_factor=0.03"),
        ("model.latents", [1, 8], "m latents=[1,8]"),
        ("elbo._target_", "pyrovp.HierarchyELBO", "m elbo=HierarchyELBO"),
        ("objective.beta.start", 1.0, "m objective.beta.start=1"),
    ],
)
def test_names(key: str, value: object, text: str) -> None:
    assert named("m", {key: value}, [key, "not.there"]) == text
