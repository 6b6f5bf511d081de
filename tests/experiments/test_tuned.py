"""Searches for settings: a known valley, found again by the same way however often broken off."""

import json
import math
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from experiments import run
from pyrovp.commands.sweep import Failure, member
from pyrovp.data import DataError
from pyrovp.errors import NonFiniteLoss, RunError
from pyrovp.runs.run_directory import RunDirectory
from pyrovp.runs.settings import Settings
from tests.experiments.test_faults import files_of_at_most
from tests.experiments.tiny import Outcome

pytest.importorskip("optuna")

Command = Callable[..., Outcome]
SEARCH = ("+tune=lr", "+model=rssm", "hydra.sweeper.random=3")


@dataclass
class Valley:
    """What runs do, and the learning rates that were tried."""

    best: float = 1e-3
    interrupted_at: int = 0
    failing_at: int = 0
    fault: Exception = field(default_factory=lambda: NonFiniteLoss("diverged", 1))
    silent: bool = False
    tried: list[float] = field(default_factory=list)

    def visit(self, lr: float, folder: Path) -> None:
        """A run: its validation loss grows with the distance from the best learning rate."""
        self.tried.append(lr)
        if len(self.tried) == self.interrupted_at:
            raise KeyboardInterrupt
        if len(self.tried) == self.failing_at:
            raise self.fault
        if not self.silent:
            folder.mkdir(parents=True, exist_ok=True)
            row = {"step": 1, "validation": math.log10(lr / self.best) ** 2}
            (folder / "metrics.jsonl").write_text(json.dumps(row))


@pytest.fixture
def valley(monkeypatch: pytest.MonkeyPatch) -> Valley:
    """In place of training."""
    valley = Valley()

    class Visit:
        def __init__(self, settings: Settings, model: str, data: str) -> None:
            self.lr = settings.optimiser.lr
            self.directory = RunDirectory(
                Path(settings.out), model, data, asdict(settings), settings.seed
            )

        def run(self) -> None:
            valley.visit(self.lr, self.directory.path)

    monkeypatch.setattr(run, "Experiment", Visit)
    return valley


def table(outcome: Outcome) -> list[tuple[float, float]]:
    """Losses and learning rates, as printed."""
    rows = re.findall(r"^  (\S+) +optimiser\.lr=(\S+)$", outcome.output, re.MULTILINE)
    return [(float(loss), float(lr)) for loss, lr in rows]


def test_losses_lead_the_search(command: Command, valley: Valley, tmp_path: Path) -> None:
    outcome = command(*SEARCH, "hydra.sweeper.trials=5", out=tmp_path / "a")
    assert outcome.code == 0, outcome.errors
    way, valley.tried = valley.tried, []
    assert len(set(way)) == 5 and all(1e-4 <= lr <= 1e-2 for lr in way)
    found = table(outcome)
    assert sorted(found) == found and {lr for _, lr in found} == set(way)
    for loss, lr in found:
        assert loss == pytest.approx(math.log10(lr / 1e-3) ** 2, rel=1e-4)
    valley.best = 1e-2
    command(*SEARCH, "hydra.sweeper.trials=5", out=tmp_path / "b")
    assert valley.tried[:3] == way[:3]  # drawn from the space alone
    assert valley.tried[3:] != way[3:]


def test_broken_off_and_taken_up(command: Command, valley: Valley, tmp_path: Path) -> None:
    straight = command(*SEARCH, "hydra.sweeper.trials=5", out=tmp_path / "a")
    way, valley.tried = valley.tried, []
    valley.interrupted_at = 4
    broken = command(*SEARCH, "hydra.sweeper.trials=5", out=tmp_path / "b")
    assert broken.code == 130 and valley.tried == way[:4]
    continued = command(*SEARCH, "hydra.sweeper.trials=5", out=tmp_path / "b")
    assert continued.code == 0 and valley.tried == [*way[:4], *way[3:]]
    assert table(continued) == table(straight)


def test_what_is_finished_is_not_run_again(command: Command, valley: Valley) -> None:
    for trials, number in ((2, 2), (2, 2), (3, 3), (1, 3)):
        assert command(*SEARCH, f"hydra.sweeper.trials={trials}").code == 0
        assert len(valley.tried) == number
    command(*SEARCH, "hydra.sweeper.trials=1", "train.steps=9")
    assert len(valley.tried) == 4  # other losses: another search


def test_failures_count_and_are_listed(command: Command, valley: Valley) -> None:
    valley.failing_at = 2
    outcome = command(*SEARCH, "hydra.sweeper.trials=3")
    assert outcome.code == 2 and len(valley.tried) == 3 and len(table(outcome)) == 2
    assert outcome.errors.splitlines()[-2:] == [
        "error: 1 of the 3 members that ran failed; the others are done:",
        f"  optimiser.lr={valley.tried[1]}: diverged",
    ]
    assert command(*SEARCH, "hydra.sweeper.trials=3").code == 0 and len(valley.tried) == 3


@pytest.mark.parametrize("fault", [RunError("the disk is full"), RuntimeError("a lost GPU")])
def test_a_fault_outside_of_the_settings_burns_no_trial(
    command: Command, valley: Valley, tmp_path: Path, fault: Exception
) -> None:
    straight = command(*SEARCH, "hydra.sweeper.trials=4", out=tmp_path / "a")
    way, valley.tried = valley.tried, []
    valley.failing_at, valley.fault = 2, fault
    outcome = command(*SEARCH, "hydra.sweeper.trials=4", out=tmp_path / "b")
    assert outcome.code == 2 and valley.tried == way[:2] and len(table(outcome)) == 1
    last = outcome.errors.splitlines()[-1]
    assert "same command takes the trial up again: " in last and last.endswith(str(fault))
    valley.failing_at = 0
    continued = command(*SEARCH, "hydra.sweeper.trials=4", out=tmp_path / "b")
    assert continued.code == 0 and valley.tried == [*way[:2], *way[1:]]
    assert table(continued) == table(straight)


def test_the_others_of_a_batch_are_kept(command: Command, valley: Valley) -> None:
    valley.failing_at, valley.fault = 1, RunError("the disk is full")
    three = ("hydra.sweeper.trials=3", "hydra.sweeper.max_batch_size=3")
    assert command(*SEARCH, *three).code == 2
    valley.failing_at = 0
    assert command(*SEARCH, *three).code == 0
    assert len(valley.tried) == 4 and valley.tried[3] == valley.tried[0]


def test_bad_settings_fail_their_trials(command: Command, valley: Valley) -> None:
    outcome = command(*SEARCH, "hydra.sweeper.trials=2", "train.batch=-1,-2")
    assert outcome.code == 2 and "has stopped" not in outcome.errors
    assert "error: 2 of the 2 members that ran failed" in outcome.errors and not valley.tried


@pytest.mark.parametrize(
    ("error", "lasting"),
    [
        (NonFiniteLoss("diverged", 1), True),
        (ValueError("std is positive"), True),
        (torch.OutOfMemoryError("too large"), True),
        (DataError("no such file"), False),
        (RunError("the disk is full"), False),
        (OSError("unreachable"), False),
    ],
)
def test_which_failures_last(
    monkeypatch: pytest.MonkeyPatch, error: Exception, lasting: bool
) -> None:
    def refuse(*_: object) -> None:
        raise error

    monkeypatch.setattr(run, "Experiment", refuse)
    settings = OmegaConf.structured(Settings({}, {}, {}, {}, {}))
    failure = member(lambda: run.train(settings, "rssm", "moving_digits"))
    assert isinstance(failure, Failure) and failure.lasting == lasting
    assert str(error) in failure.reason


def test_no_trial_with_a_value(command: Command, valley: Valley) -> None:
    valley.silent = True  # or all of them NaN
    for _ in range(2):
        outcome = command(*SEARCH, "hydra.sweeper.trials=2")
        assert outcome.code == 2 and len(valley.tried) == 2
        assert "none of the 2 trials of this search has come to a valid" in outcome.errors


def test_a_journal_that_was_cut_short(command: Command, valley: Valley, tmp_path: Path) -> None:
    straight = command(*SEARCH, "hydra.sweeper.trials=3", out=tmp_path / "a")
    way, valley.tried = valley.tried, []
    first = command(*SEARCH, "hydra.sweeper.trials=2", out=tmp_path / "b")
    (journal,) = first.out.glob(".searches/*.journal")
    journal.write_bytes(journal.read_bytes()[:-9])  # in what is said of the second trial
    outcome = command(*SEARCH, "hydra.sweeper.trials=3", out=tmp_path / "b")
    assert outcome.code == 0, outcome.errors
    assert valley.tried == [*way[:2], *way[1:]] and table(outcome) == table(straight)


@pytest.mark.parametrize("garbage", [b"\xff\x00\n", b"{cut\n", b"{}\n", b"[]\n"])
def test_a_damaged_journal(command: Command, valley: Valley, garbage: bytes) -> None:
    outcome = command(*SEARCH, "hydra.sweeper.trials=1")
    (journal,) = outcome.out.glob(".searches/*.journal")
    journal.write_bytes(journal.read_bytes() + garbage)
    damaged = command(*SEARCH, "hydra.sweeper.trials=2")
    assert damaged.code == 2 and f"{journal} is damaged" in damaged.errors
    assert "move it away" in damaged.errors and "Traceback" not in damaged.errors
    assert len(valley.tried) == 1


def test_a_journal_on_a_full_disk(command: Command, valley: Valley) -> None:
    with files_of_at_most(50):
        full = command(*SEARCH, "hydra.sweeper.trials=1")
    assert full.code == 2 and not valley.tried and "Traceback" not in full.errors
    assert "cannot write down the search in" in full.errors and "make room" in full.errors
    assert command(*SEARCH, "hydra.sweeper.trials=1").code == 0


def test_a_folder_that_is_a_file(command: Command, valley: Valley, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    outcome = command(*SEARCH, out=tmp_path / "file")
    assert outcome.code == 2 and "move it away" in outcome.errors, outcome.errors


def test_one_command_at_a_time(command: Command, valley: Valley) -> None:
    outcome = command(*SEARCH, "hydra.sweeper.trials=1")
    (journal,) = outcome.out.glob(".searches/*.journal")
    holds = "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.lockf(f, fcntl.LOCK_EX); "
    holds += "print('held', flush=True); sys.stdin.read()"
    other = subprocess.Popen(
        [sys.executable, "-c", holds, str(journal.with_suffix(".lock"))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with other:
        assert other.stdout is not None and other.stdout.readline() == "held\n"
        refused = command(*SEARCH, "hydra.sweeper.trials=2")
        other.communicate()
    assert refused.code == 2 and "another process is at work" in refused.errors
    assert len(valley.tried) == 1


def test_several_at_once_and_several_settings(command: Command, valley: Valley) -> None:
    outcome = command(
        *SEARCH,
        "hydra.sweeper.trials=5",
        "hydra.sweeper.max_batch_size=2",
        "model.state=3,5",
        "model.memory=int(interval(4,9))",
        "guide.lift=[8],[4,4]",
    )
    assert outcome.code == 0, outcome.errors
    rows = re.findall(r"lr=(\S+) model.state=(\d) model.memory=(\d) guide.lift=(\S+)$",
                      outcome.output, re.MULTILINE)  # fmt: skip
    assert len(rows) == len(valley.tried) == 5
    assert {row[3] for row in rows} <= {"[8]", "[4,4]"} and {row[1] for row in rows} <= {"3", "5"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("optimiser.lr=1e-3",), "nothing to go through"),
        (
            ("hydra.sweeper.trials=0",),
            "error: hydra.sweeper.trials must be a whole number of at least 1",
        ),
        (("hydra.sweeper.random=few",), "random must be a whole number of at least 1, got few"),
        (("train.validate_every=3",), "train.validate_every=3, train.validate_sequences=2"),
        (("train.steps=0",), "train.steps must be a whole number of at least 1, got 0"),
        (("optimiser.lr=tag(log,interval(0,1))",), "optimiser.lr=tag(log,interval(0,1)): "),
        (("hydra.sweeper.trails=3",), "there is no setting hydra.sweeper.trails"),
    ],
)
def test_refused(
    command: Command, valley: Valley, arguments: tuple[str, ...], message: str
) -> None:
    outcome = command(*SEARCH, *arguments)
    assert outcome.code == 2 and not valley.tried and message in outcome.errors
    assert "Traceback" not in outcome.errors


@pytest.mark.parametrize("name", ["lr", "optimiser"])
def test_every_search_runs(command: Command, valley: Valley, name: str) -> None:
    outcome = command(f"+tune={name}", "+model=dlh", "hydra.sweeper.trials=1")
    assert outcome.code == 0, outcome.errors
    assert len(valley.tried) == 1
