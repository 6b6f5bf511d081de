"""`--help` reads what is written elsewhere, and shells complete what it lists."""

import os
import subprocess
import sys
from dataclasses import dataclass, fields
from pathlib import Path

import pytest

from experiments import analyse, compare, evaluate, predict, run
from pyrovp.commands.command_line import GROUPS, KEYS
from pyrovp.commands.folder_command import FolderCommand
from pyrovp.commands.help_text import commented, key_rows, meanings, page
from pyrovp.runs.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = {"run": run, "analyse": analyse, "evaluate": evaluate, "predict": predict,
           "compare": compare}  # fmt: skip


@dataclass
class Kettle:
    """Makes tea.

    Args:
        cups, pots: How many, and
            of what; None: none.
        lid: Whether it has one.
        whistle: Once it boils.

    Raises:
        ValueError: Never.
    """

    cups: int = 0
    pots: int = 2
    lid: bool = False
    whistle: float | None = None


def test_meanings_and_defaults_are_read() -> None:
    assert meanings(Kettle)["pots"] == "How many, and of what; null: none."
    assert list(meanings(Kettle)) == ["cups", "pots", "lid", "whistle"]
    assert key_rows(Kettle, ["cups", "lid", "whistle", "pots"]) == {
        "cups=0 pots=2": "How many, and of what; null: none.",
        "lid=false": "Whether it has one.",
        "whistle=null": "Once it boils.",
    }


def test_nested_settings() -> None:
    rows = key_rows(Settings, KEYS)
    assert rows["train.steps=600"] == "Updates of the weights."
    assert rows["evaluate.context=12 evaluate.horizon=12"] == "Frames given and predicted."


def test_the_page() -> None:
    about = "Makes tea.\n\n    tea.py\n\nIt is hot. See --help.\n"
    text = page("tea.py", about, {"none": {}, "keys": {"a=1": "The first.", "b" * 40: "Long."}})
    shown = f"keys:\n  a=1  The first.\n  {'b' * 40}\n       Long."
    assert text == f"usage: tea.py\n\nMakes tea.\n\n    tea.py\n\nIt is hot.\n\n{shown}"
    assert all(len(line) < 100 for line in page("x", None, {"": {"k": "word " * 99}}).split("\n"))


def test_comments_of_files(tmp_path: Path) -> None:
    own, ours = tmp_path / "own", tmp_path / "ours"
    for folder, text in ((own, "# @package _global_\n# Mine.\nx: 1\n"), (ours, "x: 1\n# Late.\n")):
        (folder / "tea").mkdir(parents=True)
        (folder / "tea/green.yaml").write_text(text)
    (ours / "tea/black.yaml").write_text("x: 1\n")
    found = commented("tea", ["black", "green"], [own, ours])
    assert found == {"black": "", "green": "Mine."}


@pytest.mark.parametrize("name", SCRIPTS)
def test_help(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model/my_own.yaml").touch()
    script = SCRIPTS[name]
    monkeypatch.setattr(sys, "argv", [f"{name}.py", "--help", f"--config-dir={tmp_path}"])
    monkeypatch.setattr(script, "tune_allocator", lambda: None, raising=False)
    script.main()
    said = capsys.readouterr().out
    assert said.startswith(f"usage: python experiments/{name}.py ")
    assert f"    python experiments/{name}.py" in said and "See --help" not in said
    assert "--cfg job" in said and "--config-dir" in said
    assert max(map(len, said.splitlines())) < 100
    if name == "run":
        assert all(f"{group}=NAME" in said for group in GROUPS) and "my_own" in said
        assert "None" not in said and "optimiser.lr=0.0005" in said
    else:
        command = script.COMMAND
        assert isinstance(command, FolderCommand)
        assert set(command.keys) <= {field.name for field in fields(command.settings)}
        assert all(f"{key}=" in said for key in command.keys)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("run.py +mo", ["+model="]),
        ("run.py +model=d", ["+model=dlh"]),
        ("run.py +model=composed data=moving_b", ["data=moving_ball"]),
        ("run.py +model=dlh +data=moving_ball train.st", ["train.steps="]),
        ("run.py -m model=composed model.hierarchy.wi", ["model.hierarchy.wiring."]),
        ("run.py +model=composed model.hierarchy.levels.2.ga", ["model.hierarchy.levels.2.gate."]),
        ("analyse.py runs/a runs/b analysis=level_k", ["analysis=level_kl"]),
        ("analyse.py runs/a +analysis=level_kl analysis.u", ["analysis.unit="]),
        ("evaluate.py runs/a/seed0 hor", ["horizon="]),
    ],
)
def test_a_shell_completes(
    line: str,
    expected: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    line = f"python experiments/{line}"
    script = SCRIPTS[Path(line.split()[1]).stem]
    monkeypatch.setenv("COMP_LINE", line)
    monkeypatch.setenv("COMP_POINT", str(len(line)))
    monkeypatch.setattr(sys, "argv", [line.split()[1], "-sc", "query=bash"])
    monkeypatch.setattr(script, "tune_allocator", lambda: None, raising=False)
    script.main()
    assert capsys.readouterr().out.split() == expected


@pytest.mark.slow  # imports torch twice
def test_the_line_that_readers_are_given(tmp_path: Path) -> None:
    """Switched on and asked by bash itself; the folder README.md says how."""
    switch = 'eval "$(python experiments/run.py -sc install=bash)"'
    assert switch in (ROOT / "experiments/conf/README.md").read_text()
    (tmp_path / "python").symlink_to(sys.executable)
    asked = (
        f"{switch}\nCOMP_LINE='python experiments/run.py +model=vt'; COMP_POINT=34; COMP_CWORD=2\n"
        'export COMP_LINE COMP_POINT; hydra_bash_completion; echo "${COMPREPLY[@]}"\n'
    )
    path = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    path["PYTHONPATH"] += os.pathsep + os.pathsep.join(filter(None, sys.path))
    found = subprocess.run(
        ["bash", "-c", asked], cwd=ROOT, env=os.environ | path, capture_output=True, text=True
    )
    assert found.stdout.strip() == "+model=vta", found.stderr
