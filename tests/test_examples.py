"""The examples run with a budget of two steps, end in a picture, and stay short.

The notebooks hold the scripts' code, cell by cell, and one more cell that shows the picture.
"""

import ast
import json
import runpy
import sys
from pathlib import Path

import pytest
from PIL import Image

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
SCRIPTS = sorted(path.stem for path in EXAMPLES.glob("[!_]*.py"))
NOTEBOOKS = ("compose", "predict", "train")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all, so that the small models are trained once."""
    return tmp_path_factory.mktemp("examples")


@pytest.mark.parametrize("name", SCRIPTS)
def test_an_example_ends_in_a_picture(
    name: str, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    monkeypatch.syspath_prepend(EXAMPLES)
    monkeypatch.delitem(sys.modules, "_trained", raising=False)
    monkeypatch.setenv("PYROVP_STEPS", "2")
    monkeypatch.setattr(sys, "argv", [f"{name}.py"])
    runpy.run_path(str(EXAMPLES / f"{name}.py"))
    sys.modules.pop("_trained", None)
    with Image.open(f"{name}.png") as image:
        extrema = image.convert("L").getextrema()
    assert extrema[0] != extrema[1]  # something is drawn


def test_there_are_ten_and_they_are_short() -> None:
    assert len(SCRIPTS) == 10
    lengths = {name: len((EXAMPLES / f"{name}.py").read_text().splitlines()) for name in SCRIPTS}
    assert max(lengths.values()) < 40, lengths


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_is_its_script(name: str) -> None:
    notebook = json.loads((EXAMPLES / f"{name}.ipynb").read_text())
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert not any(cell["outputs"] for cell in cells)
    *code, show = ["".join(cell["source"]) for cell in cells]
    script = ast.parse((EXAMPLES / f"{name}.py").read_text())
    script.body = script.body[1:]  # its docstring is the notebook's text
    assert ast.unparse(ast.parse("\n".join(code))) == ast.unparse(script)
    assert f'Image.open("{name}.png")' in show


def test_every_example_is_in_the_list() -> None:
    text = (EXAMPLES / "README.md").read_text()
    assert [name for name in SCRIPTS if f"`{name}.py`" not in text] == []
