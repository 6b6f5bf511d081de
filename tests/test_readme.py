"""The front page is run: its Python as it stands, its commands as far as they can be."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch

README = Path(__file__).parents[1] / "README.md"
COMPOSING = Path(__file__).parents[1] / "docs" / "composing.md"
LOOKING = Path(__file__).parents[1] / "docs" / "looking-inside.md"
BLOCKS = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS, ids=["named", "composed"])
def test_python_runs_as_printed(block: str) -> None:
    scope = {"video": torch.rand(1, 3, 1, 64, 64)}
    exec(block, scope)
    assert torch.isfinite(scope["loss"] if "loss" in scope else scope["video"]).all()


def test_composing_across_families_runs_as_printed() -> None:
    (block,) = re.findall(r"```python\n(.*?)```", COMPOSING.read_text(), re.DOTALL)
    scope: dict[str, Any] = {}
    exec(block, scope)
    assert scope["rollout"].prediction.shape == (2, 20, 1, 32, 32)
    assert torch.isfinite(scope["rollout"].prediction).all()
    gradients = [parameter.grad for parameter in scope["guide"].parameters()]
    assert all(gradient is not None for gradient in gradients)


def test_composing_takes_at_most_25_lines() -> None:
    lines = [line for line in BLOCKS[1].splitlines() if line.strip()]
    assert len(lines) <= 25
    assert "MixtureGate()" in BLOCKS[1]
    assert BLOCKS[1].count("Every(4)") == 2


def test_each_command_is_one_line() -> None:
    commands = re.findall(r"^python3 -m venv .*$", README.read_text(), re.MULTILINE)
    assert len(commands) == 2
    assert commands[0].endswith("experiments/run.py +model=dlh")
    assert commands[1].endswith("-m pytest -n 2")


def test_looking_inside_runs_as_printed(capsys: pytest.CaptureFixture[str]) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", LOOKING.read_text(), re.DOTALL)
    scope: dict[str, Any] = {}
    exec(block, scope)
    assert scope["swapped"].shape == (2, 8, 1, 32, 32)
    assert "level 2" in capsys.readouterr().out


def test_looking_inside_names_every_analysis() -> None:
    known = {path.stem for path in (README.parent / "experiments/conf/analysis").glob("*.yaml")}
    named = set(re.findall(r"^\| `(\w+)` \|", LOOKING.read_text(), re.MULTILINE))
    assert named == known
