"""Every primitive can be named in YAML, and what is composed there has a bound and a gradient."""

import importlib
import inspect
import re

import pytest
import torch
import yaml

from pyrovp.runs.build import make, make_guide
from tests.runs.primitives import COMPOSED, GUIDES, OBJECTIVES, SPARE

PLACES = ("cells", "gates", "emission", "nets", "posteriors", "wiring")
TEXT = "".join([*COMPOSED.values(), *GUIDES.values(), *OBJECTIVES.values()])


@pytest.mark.parametrize("case", COMPOSED)
def test_composed_in_yaml(case: str) -> None:
    torch.manual_seed(0)
    model = make("model", yaml.safe_load(COMPOSED[case]))
    guide = make_guide(yaml.safe_load(GUIDES[case]), model)
    objective = make("objective", yaml.safe_load(OBJECTIVES[case]), model=model, guide=guide)
    loss, _ = objective(torch.rand(2, 6, 1, 16, 16))
    loss.backward()
    assert bool(loss.isfinite())
    reached = [name for name, p in objective.named_parameters() if p.grad is not None]
    assert any("emission" in name for name in reached), reached


def test_no_primitive_is_out_of_reach() -> None:
    reached = {path.rpartition(".")[2] for path in re.findall(r"_target_: ([\w.]+)", TEXT)}
    for place in ("", *(f".{name}" for name in PLACES)):
        module = importlib.import_module(f"pyrovp{place}")
        for name in module.__all__:
            part = getattr(module, name)
            described = inspect.isclass(part) and not inspect.isabstract(part)
            # A NamedTuple is what something returns.
            if described and not issubclass(part, tuple) and f"pyrovp{place}.{name}" not in SPARE:
                spare = f"pyrovp.{name}" in SPARE
                assert spare or name in reached, f"pyrovp{place}.{name} stands in no YAML"


def test_what_is_spared_exists() -> None:
    for path in SPARE:
        module, _, name = path.rpartition(".")
        assert name in importlib.import_module(module).__all__, path
