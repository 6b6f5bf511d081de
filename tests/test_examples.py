"""The examples run with a budget of two steps, end in a picture, and stay short.

The notebooks hold the scripts' code, cell by cell, and one more cell that shows the picture.
"""

import ast
import json
import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from tests.experiments.tiny import draw_nothing

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
SCRIPTS = sorted(path.stem for path in EXAMPLES.glob("[!_]*.py"))
NOTEBOOKS = ("compose", "predict", "train")
TINY = (
    "train.steps=2 train.batch=2 train.validate_sequences=2 evaluate.sequences=2 "
    "evaluate.context=3 evaluate.horizon=3 device=cpu"
)

Run = Callable[[Callable[[], object]], None]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all, so that the runs which they share are trained once."""
    return tmp_path_factory.mktemp("examples")


@pytest.fixture
def run(place: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Calls something as a script that was started in that folder."""

    def call(script: Callable[[], object]) -> None:
        monkeypatch.chdir(place)
        monkeypatch.setattr(sys, "path", [str(EXAMPLES), *sys.path])
        monkeypatch.delitem(sys.modules, "_trained", raising=False)
        monkeypatch.setenv("PYROVP_SETTINGS", TINY)
        monkeypatch.setattr(sys, "argv", ["script.py"])
        draw_nothing(monkeypatch)
        script()
        sys.modules.pop("_trained", None)

    return call


def drawn(path: Path) -> bool:
    with Image.open(path) as image:
        darkest, brightest = image.convert("L").getextrema()
    return darkest != brightest


@pytest.mark.parametrize("name", SCRIPTS)
def test_an_example_ends_in_a_picture(name: str, place: Path, run: Run) -> None:
    (place / f"{name}.png").unlink(missing_ok=True)
    run(lambda: runpy.run_path(str(EXAMPLES / f"{name}.py")))
    assert drawn(place / f"{name}.png")


def test_there_are_ten_and_they_are_short() -> None:
    assert len(SCRIPTS) == 10
    lengths = {name: len((EXAMPLES / f"{name}.py").read_text().splitlines()) for name in SCRIPTS}
    assert max(lengths.values()) < 40, lengths


def code(name: str) -> list[str]:
    """The code cells of a notebook that has not been run."""
    notebook = json.loads((EXAMPLES / f"{name}.ipynb").read_text())
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert not any(cell["outputs"] for cell in cells)
    return ["".join(cell["source"]) for cell in cells]


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_is_its_script(name: str) -> None:
    script = ast.parse((EXAMPLES / f"{name}.py").read_text())
    script.body = script.body[1:]  # its docstring is the notebook's text
    assert ast.unparse(ast.parse("\n".join(code(name)[:-1]))) == ast.unparse(script)


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_runs_to_its_picture(name: str, place: Path, run: Run) -> None:
    (place / f"{name}.png").unlink(missing_ok=True)
    names: dict[str, object] = {"__name__": "__main__"}

    def cells() -> None:
        for cell in code(name):
            exec(compile(cell, f"{name}.ipynb", "exec"), names)

    run(cells)
    assert f'Image.open("{name}.png")' in code(name)[-1]
    assert drawn(place / f"{name}.png")


def test_every_example_is_in_both_lists() -> None:
    for list_ in (EXAMPLES / "README.md", EXAMPLES.parent / "docs" / "examples.md"):
        assert [name for name in SCRIPTS if f"`{name}.py`" not in list_.read_text()] == []
