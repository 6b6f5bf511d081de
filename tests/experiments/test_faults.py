"""The main job when it is told to end, and when the disk is full."""

import os
import resource
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from pyrovp.runs import experiment
from pyrovp.train import Log
from tests.experiments.tiny import Outcome

Command = Callable[..., Outcome]
STEPS = ("train.steps=6", "train.log_every=1", "train.checkpoint_every=4")


def weights(folder: Path) -> dict[str, torch.Tensor]:
    path = folder / "checkpoint/step_00000006.pt"
    return torch.load(path, weights_only=True)["objective"]


def test_sigterm_saves_ends_with_143_and_the_same_command_goes_on(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Terminating(Log):
        def write(self, row: Mapping[str, Any]) -> None:
            super().write(row)
            if row["step"] == 3:
                os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(experiment, "Log", Terminating)
    outcome = command("+model=rssm", *STEPS)
    assert outcome.code == 143
    assert "stopped by SIGTERM after step 3" in outcome.errors
    assert "without force=true, goes on" in outcome.errors
    assert "Traceback" not in outcome.errors
    kept = {path.name for path in (outcome.folder / "checkpoint").glob("step_*")}
    assert kept == {"step_00000003.pt"} and not (outcome.folder / "done.json").exists()
    monkeypatch.setattr(experiment, "Log", Log)
    assert command("+model=rssm", *STEPS).code == 0
    straight = command("+model=rssm", *STEPS, out=tmp_path / "straight")
    expected, found = weights(straight.folder), weights(outcome.folder)
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_sigterm_when_nothing_trains_says_so(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def evaluate(*_: object, **__: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(experiment, "evaluate", evaluate)
    outcome = command("+model=rssm")
    assert outcome.code == 143 and "Traceback" not in outcome.errors
    assert outcome.errors.splitlines()[-1].startswith("stopped by SIGTERM; the same command")


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """What a full disk does to a file: writing beyond a size fails."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_costs_nothing_that_was_saved(command: Command) -> None:
    outcome = command("+model=rssm", "train.steps=2")
    (outcome.folder / "done.json").unlink()
    kept = sorted((outcome.folder / "checkpoint").glob("*"))
    with files_of_at_most(20_000):
        full = command("+model=rssm", "train.steps=4")
    assert full.code == 2 and "Traceback" not in full.errors
    assert "cannot write the checkpoint" in full.errors and "File too large" in full.errors
    assert "step_00000002.pt, is whole" in full.errors
    assert sorted((outcome.folder / "checkpoint").glob("*")) == kept
    assert command("+model=rssm", "train.steps=4").code == 0


def test_a_full_disk_from_the_start(command: Command) -> None:
    with files_of_at_most(50):
        outcome = command("+model=rssm")
    assert outcome.code == 2
    assert "cannot write" in outcome.errors and "File too large" in outcome.errors
    assert "make room, and the same command goes on; or choose another" in outcome.errors
