"""What contributors are told is true: files, lists and versions are those of the code."""

import ast
import re
from pathlib import Path

import pytest
import yaml

import pyrovp
from pyrovp import models

ROOT = Path(__file__).resolve().parents[1]
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text())
PATHS = sorted(set(re.findall(r"`([\w.]+/[\w/.]*)`", CONTRIBUTING)))
LISTS = re.findall(r"`(\w+)(?:\(\))?`(?: and `(\w+)`)? in `([\w/]+\.py)`", CONTRIBUTING)


@pytest.mark.parametrize("path", PATHS)
def test_files_are_where_contributors_are_sent(path: str) -> None:
    """A file of a new part (`NAME`) has a folder."""
    found = ROOT / path
    assert (found.parent if "NAME" in path else found).exists()


def test_lists_to_join_are_there() -> None:
    assert len(LISTS) > 10
    for *names, path in LISTS:
        body = ast.parse((ROOT / path).read_text()).body
        known = {node.name for node in body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
        for node in body:
            targets = node.targets if isinstance(node, ast.Assign) else []
            targets = [node.target] if isinstance(node, ast.AnnAssign) else targets
            known |= {target.id for target in targets if isinstance(target, ast.Name)}
        assert {name for name in names if name} <= known, path


def test_what_ci_runs_is_what_contributors_run() -> None:
    ci = (ROOT / ".ci/run").read_text() + (ROOT / "README.md").read_text()
    (block,) = re.findall(r"does this:\n\n```sh\n(.*?)```", CONTRIBUTING, re.DOTALL)
    for line in block.splitlines():
        for command in line.partition("#")[0].split("&&"):
            words = command.replace("/tmp/runs", "").strip()
            assert words.removeprefix(".venv/bin/python ").partition(" train.")[0] in ci, words


def test_the_citation_is_of_this_version_and_of_every_paper() -> None:
    assert CITATION["version"] == pyrovp.__version__
    told = "\n".join(path.read_text() for path in (ROOT / "models").glob("*.py"))
    cited = {reference.get("url") for reference in CITATION["references"]}
    assert set(re.findall(r"https://arxiv\.org/abs/[\d.]+\d", told)) <= cited
    said = " ".join(reference["notes"] for reference in CITATION["references"])
    assert set(models.__all__) <= set(re.findall(r"\w+", said))


def test_the_changelog_knows_the_version() -> None:
    text = (ROOT / "CHANGELOG.md").read_text()
    assert re.search(
        rf"^(What will be |## \[){re.escape(pyrovp.__version__)}\b", text, re.MULTILINE
    )
