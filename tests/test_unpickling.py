"""No file of a user's is ever unpickled: unpickling a file runs what its author wrote.

All of the project's sources are read for what could: modules that unpickle, and readers of torch,
numpy and YAML with their guard taken off.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("pyrovp", "models", "guides", "experiments", "benchmarks", "examples", "docs")
UNPICKLING = {"pickle", "_pickle", "cPickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}
READERS = {"read_pickle", "unsafe_load", "full_load", "load_all", "Unpickler"}


def complaints(source: str) -> list[str]:
    """What could unpickle a file, line by line."""
    return [f"{node.lineno}: {why}" for node, why in _found(ast.parse(source))]


def _found(tree: ast.AST) -> Iterator[tuple[ast.expr | ast.stmt, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = {alias.name.partition(".")[0] for alias in node.names}
            if names & UNPICKLING:
                yield node, "imports what unpickles"
        elif isinstance(node, ast.ImportFrom):
            if (node.module or "").partition(".")[0] in UNPICKLING:
                yield node, "imports what unpickles"
            if {alias.name for alias in node.names} & READERS or (
                node.module in ("torch", "numpy", "yaml")
                and any(alias.name == "load" for alias in node.names)
            ):
                yield node, "imports a reader by a name that hides where it is from"
        elif isinstance(node, ast.Attribute) and node.attr in READERS:
            yield node, f"uses {node.attr}"
        elif isinstance(node, ast.Call):
            yield from ((node, why) for why in _call(node))


def _call(node: ast.Call) -> Iterator[str]:
    called = ast.unparse(node.func)
    options = {word.arg: word.value for word in node.keywords}
    if called == "torch.load" and not _is(options.get("weights_only"), True):
        yield "torch.load without weights_only=True"
    if called == "yaml.load":
        yield "yaml.load; use yaml.safe_load"
    if "allow_pickle" in options and not _is(options["allow_pickle"], False):
        yield "allow_pickle"
    if None in options and called in ("torch.load", "np.load", "numpy.load"):
        yield f"{called} with options that are not written here"


def _is(node: ast.expr | None, value: bool) -> bool:
    return isinstance(node, ast.Constant) and node.value is value


def test_nothing_is_unpickled() -> None:
    files = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
    assert len(files) > 200, "the folders have moved"
    found = {str(path.relative_to(ROOT)): complaints(path.read_text()) for path in files}
    assert {name: why for name, why in found.items() if why} == {}


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from dill import loads",
        "import torch\ntorch.load(path)",
        "torch.load(path, weights_only=False)",
        "torch.load(path, weights_only=flag)",
        "torch.load(path, **options)",
        "from torch import load",
        "np.load(path, allow_pickle=True)",
        "np.load(path, **options)",
        "yaml.load(text, Loader)",
        "yaml.unsafe_load(text)",
        "from yaml import unsafe_load",
        "pandas.read_pickle(path)",
    ],
)
def test_it_would_be_noticed(source: str) -> None:
    assert complaints(source)


@pytest.mark.parametrize(
    "source",
    [
        "torch.load(path, map_location='cpu', weights_only=True)",
        "np.load(path)",
        "np.load(path, allow_pickle=False)",
        "yaml.safe_load(text)",
        "json.load(file)",
        "pyrovp.load(folder)",
    ],
)
def test_it_does_not_cry_wolf(source: str) -> None:
    assert not complaints(source)
