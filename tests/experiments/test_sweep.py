"""Sweeps: every member gets its turn, whatever becomes of the others."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from experiments import run
from pyrovp.commands.sweep import best_validation
from pyrovp.errors import LostProcess, RunError, Stopped
from pyrovp.runs.settings import Settings
from tests.experiments.tiny import SIZES, Outcome

Command = Callable[..., Outcome]


class Folder:
    """Of a run without a log."""

    path = Path("nowhere")


def runs(behaviour: Callable[[Settings], None], started: list[int]) -> type:
    """An experiment that notes its seed and does as it is told."""

    class Told:
        directory = Folder

        def __init__(self, settings: Settings, model: str, data: str) -> None:
            self.settings = settings
            started.append(settings.seed)
            if settings.seed == 9:
                raise ValueError("seed 9 cannot be built")

        def run(self) -> None:
            behaviour(self.settings)

    return Told


def failing(settings: Settings) -> None:
    if settings.seed == 1:
        raise RunError("the loss is not finite\nat step 3")
    if settings.seed == 2:
        raise RuntimeError("out of memory")


def test_the_others_run_and_failures_are_listed(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[int] = []
    monkeypatch.setattr(run, "Experiment", runs(failing, started))
    outcome = command("-m", "+model=rssm", "seed=0,1,2,9,3")
    assert outcome.code == 2 and started == [0, 1, 2, 9, 3]
    assert outcome.errors.splitlines()[-4:] == [
        "error: 3 of the 5 members that ran failed; the others are done:",
        "  seed=1: the loss is not finite",
        "  seed=2: RuntimeError: out of memory",
        "  seed=9: seed 9 cannot be built",
    ]
    assert outcome.errors.count("Traceback") == 1  # of the error that nobody foresaw
    assert outcome.errors.index("error: the loss is not finite") < outcome.errors.index("3 of")


@pytest.mark.parametrize(("end", "code"), [(Stopped, 143), (LostProcess, 2)])
def test_what_ends_the_whole_sweep(
    command: Command, monkeypatch: pytest.MonkeyPatch, end: type[RunError], code: int
) -> None:
    started: list[int] = []

    def behaviour(settings: Settings) -> None:
        raise end("no more")

    monkeypatch.setattr(run, "Experiment", runs(behaviour, started))
    outcome = command("-m", "+model=rssm", "seed=0,1")
    assert outcome.code == code and started == [0] and "error: no more" in outcome.errors


def test_a_single_run_ends_as_ever(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "Experiment", runs(failing, []))
    outcome = command("+model=rssm", "seed=1")
    assert outcome.code == 2 and outcome.errors == "error: the loss is not finite\nat step 3\n"
    with pytest.raises(RuntimeError, match="out of memory"):
        command("+model=rssm", "seed=2")


def test_nothing_begins_where_a_member_is_misspelt(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[int] = []
    monkeypatch.setattr(run, "Experiment", runs(failing, started))
    outcome = command("-m", "+model=rssm", "seed=0,none")
    assert outcome.code == 2 and not started and "seed=none" in outcome.errors


def test_best_validation(tmp_path: Path) -> None:
    assert best_validation(tmp_path) is None
    rows = [{"step": 1, "loss": 0.0}, {"step": 1, "validation": 3.0}, {"step": 2, "validation": 2}]
    text = "\n".join(map(json.dumps, [*rows, {"step": 3, "validation": 2.5}]))
    (tmp_path / "metrics.jsonl").write_text(text)
    assert best_validation(tmp_path) == 2
    (tmp_path / "metrics.jsonl").write_text('{"step": 1, "validation": NaN}\n')
    assert best_validation(tmp_path) is None
    (tmp_path / "metrics.jsonl").write_text('{"step": 1, "validation": NaN}\n' + text)
    assert best_validation(tmp_path) == 2


def test_a_launcher_that_is_not_installed(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "hydra/launcher").mkdir(parents=True)
    (tmp_path / "hydra/launcher/cloud.yaml").write_text("defaults: [submitit_cloud]\n")
    outcome = command("-m", f"--config-dir={tmp_path}", "hydra/launcher=cloud", "+model=rssm")
    assert outcome.code == 2 and "pip install 'pyrovp[cluster]'" in outcome.errors


@pytest.mark.parametrize("launcher", ["slurm", "local"])
def test_the_launchers_compose(command: Command, launcher: str) -> None:
    pytest.importorskip("submitit")
    outcome = command("+model=rssm", f"hydra/launcher={launcher}", "--cfg", "hydra")
    assert outcome.code == 0, outcome.errors
    target = f"submitit_launcher.{launcher.capitalize()}Launcher"
    assert target in outcome.output and "_target_: hydra_plugins.pyrovp.Grid" in outcome.output


@pytest.mark.slow
def test_jobs_in_processes_of_their_own(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a cluster, by submitit's executor for one machine."""
    pytest.importorskip("submitit")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).resolve().parents[2]))
    arguments = ("-m", "hydra/launcher=local", "+model=rssm", "optimiser.lr=1e-3,1e30")
    outcome = command(*arguments, "train.steps=4", *SIZES["rssm"])
    assert outcome.code == 2 and "2 members handed over" in outcome.output
    assert "1 of the 2 members that ran failed" in outcome.errors
    assert "  optimiser.lr=1e+30: the loss is not finite at step" in outcome.errors
    (done,) = outcome.out.glob("*/seed0/done.json")
    assert len(list(outcome.out.glob("*/seed0"))) == 2
    again = command(*arguments, "train.steps=4", *SIZES["rssm"])
    assert again.code == 2
    logs = [path.read_text() for path in outcome.out.glob(".submitit/*/*.out")]
    assert len(logs) == 4
    assert sum(f"{done.parent} is finished" in log for log in logs) == 1
