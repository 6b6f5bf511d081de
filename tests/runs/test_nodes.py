"""From nodes to what they name, and mistakes at any depth told with their place."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from omegaconf import OmegaConf

from pyrovp import GRU, Level
from pyrovp.data import DataError
from pyrovp.runs.build import make, make_guide
from tests.runs.primitives import COMPOSED


def test_what_nodes_are_made_to() -> None:
    node = {
        "_target_": "builtins.dict",
        "_args_": [[["a", {"_target_": "pyrovp.GRU", "size": 3}]]],
        "plain": {"b": [1, None, "x"]},
        "later": {"_target_": "pyrovp.GRU", "_partial_": True, "size": 2},
    }
    found = make("x", node)
    assert found["a"] == GRU(3)
    assert found["plain"] == {"b": [1, None, "x"]}
    assert isinstance(found["later"], partial) and found["later"]() == GRU(2)


def test_a_configuration_is_resolved() -> None:
    config = OmegaConf.create({"n": 5, "x": {"_target_": "pyrovp.GRU", "size": "${n}"}})
    assert make("x", config.x) == GRU(5)


def test_what_is_given_counts_before_the_node() -> None:
    node = {"_target_": "pyrovp.GRU", "size": "of no matter"}
    assert make("x", node, size=4) == GRU(4)


def test_an_error_with_more_to_say_arrives_as_it_is(tmp_path: Path) -> None:
    node = {"_target_": "pyrovp.data.StoredVideos", "name": "kth", "length": 4}
    with pytest.raises(DataError, match="not prepared"):
        make("data", node | {"root": str(tmp_path)}, split="train")


def changed(place: str, value: Any) -> Any:
    """The first of the composed models with one place changed; `place` as errors tell it."""
    node = {"model": yaml.safe_load(COMPOSED["gates over clocks"])}
    *way, last = place.replace("[", ".").replace("]", "").split(".")
    inside: Any = node
    for name in way:
        inside = inside[int(name)] if isinstance(inside, list) else inside[name]
    inside[last] = value
    return node["model"]


LEVEL = "model.hierarchy.levels[1]"
EMISSION = "model.hierarchy.emission"


@pytest.mark.parametrize(
    ("place", "value", "expected"),
    [
        (f"{LEVEL}.memory.sise", 3, ".sise is no argument of pyrovp.LSTM; did you mean size?"),
        (f"{LEVEL}.memory.size", "many", "=many: a whole number is needed"),
        (f"{LEVEL}.memory.size", True, "=True: a whole number is needed"),
        (f"{LEVEL}.memory.start", 0, "=0: a Start (FromContext, Learned, Zeros) is needed"),
        (f"{LEVEL}.state", None, "=None: a Latent (Gaussian, GaussianMap) is needed"),
        (f"{LEVEL}.state.hidden", [4, "b"], "[1]=b: a whole number is needed"),
        (f"{LEVEL}.gate.score", "none", "=none: open or all is needed"),
        (f"{LEVEL}.gate.rule._target_", "pyrovp.VaDe", ": there is no pyrovp.VaDe; did you"),
        (f"{LEVEL}.gate._target_", "pyrovp.OwnHead", ".size is no argument of pyrovp.OwnHead;"),
        (f"{LEVEL}.clock._target_", 3, " needs a _target_ (what to call), got "),
        (f"{LEVEL}.clock._target_", "pyrovp.clocks", ": pyrovp.clocks is a module, not something"),
        (f"{LEVEL}.clock._target_", "clocks.Ours", "no module named clocks; a package of"),
        (f"{LEVEL}.clock.period", 0, ": a clock needs a period"),
        (f"{EMISSION}.std.initial", -1, "positive"),
        (f"{EMISSION}.decoder.chanels", 1, ".chanels is no argument of pyrovp.DCGANDecoder; did"),
        (f"{EMISSION}.decoder.resolution", 24, "24"),
        ("model.hierarchy.levels", [], "at least one level"),
        ("model.hierarchy.levels", {}, "={}: a list of Level is needed"),
        ("model.hierarchy.wiring", {"_target_": "pyrovp.GRU", "size": 3}, "=GRU(size=3): a Wir"),
    ],
)
def test_mistakes_at_depth(place: str, value: Any, expected: str) -> None:
    with pytest.raises(ValueError) as told:
        make("model", changed(place, value))
    text, node = str(told.value), place.rpartition(".")[0]
    if "._target_" in place:
        place = node
    assert text.startswith((place, f"{node}: ")), text  # a class by itself knows its node only
    assert expected in text and text.count("model.hierarchy") == 1


def test_an_argument_that_is_missing() -> None:
    node = {"_target_": "pyrovp.Level", "memory": {"_target_": "pyrovp.GRU"}}
    with pytest.raises(ValueError, match=r"x\.state is missing; pyrovp\.Level has no default"):
        make("x", node)
    with pytest.raises(ValueError, match=r"x\.memory\.size is missing; pyrovp\.GRU has no"):
        make("x", node | {"state": None})
    assert make("x", {"_target_": "pyrovp.GRU", "_partial_": True})(size=2) == GRU(2)


def test_two_levels_of_which_one_is_none() -> None:
    node: Any = changed("model.hierarchy.given", 0)
    node["hierarchy"]["levels"][2] = {"_target_": "pyrovp.Every", "period": 2}
    with pytest.raises(ValueError, match=r"levels\[2\]=Every\(period=2\): a Level is needed"):
        make("model", node)


def test_what_a_call_does_not_take() -> None:
    with pytest.raises(ValueError, match="data: pyrovp.GRU takes no argument split, which it is"):
        make("data", {"_target_": "pyrovp.GRU", "size": 2}, split="train")
    with pytest.raises(ValueError, match="guide needs a _target_ .* got {}"):
        make_guide({}, None)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import no_such_module", "no_such_module"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("def x(:", "SyntaxError"),
    ],
)
def test_a_module_that_cannot_be_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, expected: str
) -> None:
    name = f"broken_{abs(hash(source))}"
    (tmp_path / f"{name}.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ValueError, match=f"model: importing {name}, for {name}.x, failed") as told:
        make("model", {"_target_": f"{name}.x"})
    assert expected in str(told.value)


class Plain:
    """A user's class: few annotations, and one that only a type checker reads."""

    def __init__(self, size, depth: int = 1, rest: "Unheard" = None) -> None:  # type: ignore  # noqa: ANN001, F821
        self.made = size, depth, rest


def test_what_is_not_annotated_is_taken() -> None:
    found = make("x", {"_target_": f"{__name__}.Plain", "size": "any", "depth": "thing"})
    assert found.made == ("any", "thing", None)


def takes(values: Mapping[str, float], where: torch.device | str, how: type[torch.nn.Module]):  # type: ignore  # noqa: ANN201
    """What a user's function may ask for."""
    return values, where, how


def test_unusual_annotations() -> None:
    node: dict[str, Any] = {"_target_": f"{__name__}.takes", "values": {"a": 1}, "where": "cpu"}
    node["how"] = {"_target_": "hydra.utils.get_class", "path": "torch.nn.ReLU"}
    assert make("x", node) == ({"a": 1}, "cpu", torch.nn.ReLU)
    with pytest.raises(ValueError, match=r"x\.values=\[1\]: a mapping is needed"):
        make("x", node | {"values": [1]})


def test_levels_come_as_they_are_written() -> None:
    level = yaml.safe_load(COMPOSED["gates over clocks"])["hierarchy"]["levels"][1]
    assert isinstance(make("level", level), Level)
