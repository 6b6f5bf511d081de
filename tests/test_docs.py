"""The site's pages: their code runs as printed, their links to the code lead somewhere.

Blocks of one page run one after the other in one folder, as a reader would type them. A block that
begins with `# name.py` or `# name.yaml` (after Hydra's line, if it has one) is a file; other
Python runs; commands run with a budget of two steps on tiny frames. What needs a GPU, a network or
a paper's data set is composed only.
"""

import ast
import doctest
import importlib
import os
import pkgutil
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from glob import glob
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

import pyrovp
from experiments import analyse, compare, evaluate, predict, run
from pyrovp import models
from pyrovp.commands.command_line import arranged
from pyrovp.data.__main__ import main as prepare
from pyrovp.runs.build import make
from tests.experiments.tiny import SIZES, TINY, draw_nothing

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
COMMANDS = {
    "run": run,
    "analyse": analyse,
    "compare": compare,
    "evaluate": evaluate,
    "predict": predict,
}
PAGES = [
    "index.md",
    "tutorial.md",
    "from-trace-to-prediction.md",
    *sorted(str(page.relative_to(DOCS)) for page in DOCS.glob("how-to/*.md")),
    *sorted(str(page.relative_to(DOCS)) for page in DOCS.glob("systems/*.md")),
]
FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"(?:# @package _global_\n)?# ([\w/-]+\.(?:py|yaml))\n")

Typed = Callable[[str], None]


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Typed]:
    """Runs a line of a shell block, in an empty folder that Python finds modules in."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delenv("PYROVP_DATA", raising=False)
    for part in COMMANDS.values():
        if hasattr(part, "tune_allocator"):
            monkeypatch.setattr(part, "tune_allocator", lambda: None)  # this process is not theirs
    draw_nothing(monkeypatch)
    before = set(sys.modules)

    def call(line: str) -> None:
        words = [word for word in shlex.split(line, comments=True) if word != "PYTHONPATH=."]
        if words[:3] == ["python", "-m", "pyrovp.data"]:
            assert prepare(words[3:]) == 0
        elif words[:1] == ["python"] and words[1].startswith("experiments/"):
            _command(monkeypatch, Path(words[1]).stem, words[2:])
        elif words[:1] == ["torchrun"]:
            _composed(words[words.index("experiments/run.py") + 1 :])

    yield call
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def _command(monkeypatch: pytest.MonkeyPatch, name: str, words: list[str]) -> None:
    if name == "run":
        if "+size=paper" in words:
            _composed(words)
            return
        words = _cheap(words)
    elif words[0] == "runs" and not Path("runs").exists():
        _command(monkeypatch, "run", ["+model=dlh"])
    words = [path for word in words for path in (sorted(glob(word)) or [word])]
    with monkeypatch.context() as patch:
        patch.setattr(sys, "argv", [f"{name}.py", *words])
        try:
            COMMANDS[name].main()
        except SystemExit as error:
            assert not error.code, f"{name}.py {shlex.join(words)}"


def _cheap(words: list[str]) -> list[str]:
    """The same command with two steps; what it sets itself stands."""
    given = {word.lstrip("+").partition("=")[0]: word.partition("=")[2] for word in words}
    small = [*TINY, *SIZES.get(given.get("model", ""), ())]
    return [*words, *(word for word in small if word.partition("=")[0] not in given)]


def _composed(words: list[str]) -> None:
    with initialize_config_dir(str(run.CONF), version_base="1.3"):
        assert compose("config", arranged(words)).model._target_


def _blocks(page: str) -> list[tuple[str, str]]:
    return FENCE.findall((DOCS / page).read_text())


@pytest.mark.parametrize("page", PAGES)
def test_a_page_runs_as_printed(page: str, typed: Typed) -> None:
    torch.manual_seed(0)
    scope: dict[str, Any] = {}
    for language, text in _blocks(page):
        if file := FILE.match(text):
            Path(file[1]).parent.mkdir(parents=True, exist_ok=True)
            Path(file[1]).write_text(text)
            importlib.invalidate_caches()
        elif language == "python":
            exec(compile(text, page, "exec"), scope)
        elif language == "sh":
            for line in text.splitlines():
                typed(line)


def test_the_tutorial_says_in_yaml_what_it_says_in_python(typed: Typed) -> None:
    """Both hierarchies are the same."""
    blocks = _blocks("tutorial.md")
    (python,) = (text for _, text in blocks if "Hierarchy(" in text)
    (yaml,) = (text for language, text in blocks if language == "yaml")
    scope: dict[str, Any] = {"torch": torch}
    exec(python, scope)
    Path("my_conf/model").mkdir(parents=True)
    Path("my_conf/model/mine.yaml").write_text(yaml)
    with initialize_config_dir(str(run.CONF), version_base="1.3"):
        folder = f"hydra.searchpath=[file://{Path('my_conf').absolute()}]"
        words = ["model=mine", "data=moving_ball", "data.resolution=32", folder]
        config = compose("config", words)
    model = make("model", OmegaConf.to_container(config.model, resolve=True))
    ours = scope["model"].state_dict()
    theirs = model.state_dict()
    assert {k: v.shape for k, v in ours.items()} == {k: v.shape for k, v in theirs.items()}
    assert model.hierarchy.levels == scope["hierarchy"].levels


def _sources() -> list[tuple[str, str]]:
    found = {
        (path, name)
        for page in DOCS.rglob("*.md")
        for path, name in re.findall(r"\{source\}`([^:`]+):([^`]+)`", page.read_text())
    }
    return sorted(found)


def _defined(tree: ast.AST, prefix: str = "") -> Iterator[str]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            yield prefix + node.name
            yield from _defined(node, f"{prefix}{node.name}.")


def test_every_equation_has_its_line() -> None:
    sources = _sources()
    assert len(sources) > 50
    known = {path: set(_defined(ast.parse((ROOT / path).read_text()))) for path, _ in sources}
    assert not [(path, name) for path, name in sources if name not in known[path]]


def test_every_system_has_its_page() -> None:
    pages = {page.stem for page in DOCS.glob("systems/*.md")} - {"index"}
    assert pages == set(models.__all__)
    listed = (DOCS / "systems/index.md").read_text().splitlines()
    assert pages <= set(listed)


def test_every_public_name_is_in_the_reference() -> None:
    text = "\n".join(page.read_text() for page in DOCS.glob("reference/*.md"))
    shown = set(re.findall(r"\.\. public:: (\S+)", text))
    packages = {
        f"pyrovp.{part.name}"
        for part in pkgutil.iter_modules(pyrovp.__path__)
        if part.ispkg and vars(importlib.import_module(f"pyrovp.{part.name}")).get("__all__")
    }
    assert packages <= shown
    names = {name for module in shown for name in importlib.import_module(module).__all__}
    assert set(pyrovp.__all__) <= names


@pytest.mark.slow
def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    for part in ("sphinx", "myst_parser", "furo"):
        pytest.importorskip(part)
    command = [sys.executable, "-m", "sphinx", "-W", "-q", "-E", "-b", "html", str(DOCS)]
    done = subprocess.run(
        [*command, str(tmp_path)], capture_output=True, text=True, env=os.environ, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "equations.html").read_text()
    assert 'href="_modules/pyrovp/gates/rules.html#KLComparison.infer"' in page
    code = (tmp_path / "_modules/pyrovp/sweep.html").read_text()
    assert 'id="Sweep._draw"' in code  # private, and shown all the same


def test_docstrings_are_shown_as_they_are_written(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sphinx")
    monkeypatch.syspath_prepend(DOCS / "extensions")
    part = importlib.import_module("plain_docstrings")
    assert doctest.testmod(part).attempted and not doctest.testmod(part).failed
