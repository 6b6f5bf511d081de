"""Processes that train together also end together: in time, with a sentence, said once."""

import os
import re
import resource
import signal
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import pytest
import torch
from torch import Tensor

from pyrovp.errors import RunError
from pyrovp.processes import Processes, patience
from pyrovp.train import read_rows, torchrun
from pyrovp.train.torchrun import joined
from tests.train.together import Together, joining, shares, train_toy

STEPS = 40
LOST = "error: lost contact with another process of this run"


def until(ready: Callable[[], bool]) -> None:
    """Waits until something is there."""
    end = time.monotonic() + 60
    while not ready():
        assert time.monotonic() < end
        time.sleep(0.01)


def under_way(folder: Path) -> Callable[[], bool]:
    """Whether a run has written its third checkpoint."""
    return lambda: any("00021" in path.name for path in folder.glob("checkpoint/step_*.pt"))


def weights(folder: Path) -> dict[str, Tensor]:
    return torch.load(folder / "weights.pt", weights_only=True)


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tensor]:
    """The weights of a pair of processes that nothing happens to."""
    folder = tmp_path_factory.mktemp("straight")
    pair = Together(train_toy, folder, STEPS, folder=folder)
    assert pair.wait() == [0, 0] and pair.said() == ""
    return weights(folder)


def finished(folder: Path, straight: dict[str, Tensor]) -> bool:
    """Whether the same command ends with the weights of a run that nothing has happened to."""
    pair = Together(train_toy, folder, STEPS, folder=folder)
    assert pair.wait() == [0, 0], pair.said()
    found = weights(folder)
    steps = [row["step"] for row in read_rows(folder / "metrics.jsonl") if "loss" in row]
    assert steps == list(range(5, STEPS + 1, 5))
    return all(torch.equal(found[name], value) for name, value in straight.items())


@pytest.mark.parametrize("lost", [0, 1])
def test_a_process_is_killed(tmp_path: Path, straight: dict[str, Tensor], lost: int) -> None:
    pair = Together(train_toy, tmp_path, STEPS, 0.02, folder=tmp_path, patience=600)
    until(under_way(tmp_path))
    pair.processes[lost].kill()
    codes = pair.wait()
    assert codes[lost] == -signal.SIGKILL and codes[1 - lost] == 2
    assert pair.said().count(LOST) == 1 and "Traceback" not in pair.said()
    assert "same command goes on from the last checkpoint" in pair.said()
    assert finished(tmp_path, straight)


@pytest.mark.parametrize(("lost", "torchrun"), [(1, True), (0, False)])
def test_a_process_hangs(tmp_path: Path, lost: int, torchrun: bool) -> None:
    """Without torchrun process 0 also holds the table in which the first to end is noted."""
    pair = Together(
        train_toy, tmp_path, STEPS, 0.02, folder=tmp_path, patience=4, torchrun=torchrun
    )
    until(under_way(tmp_path))
    os.kill(pair.processes[lost].pid or 0, signal.SIGSTOP)
    pair.processes[1 - lost].join(30)
    assert pair.wait(0)[1 - lost] == 2
    assert LOST in pair.said() and "not answered for 4 s (PYROVP_PATIENCE)" in pair.said()


def refused(processes: Processes, step: int) -> Iterator[Tensor]:
    """A user's mistake that one process alone meets."""
    yield from islice(shares(processes, step), 3)
    if processes.rank == 1:
        raise RunError("clip 7 is damaged")
    yield from shares(processes, step + 3)


def broken(processes: Processes, step: int) -> Iterator[Tensor]:
    """An error that nobody foresaw, of the kind that a lost connection raises too."""
    yield from islice(shares(processes, step), 3)
    if processes.rank == 1:
        raise RuntimeError("shapes do not fit")
    yield from shares(processes, step + 3)


def ended(processes: Processes, step: int) -> Iterator[Tensor]:
    """Data that end for all."""
    return islice(shares(processes, step), 3)


def not_finite(processes: Processes, step: int) -> Iterator[Tensor]:
    """A clip of process 1 that is not finite."""
    yield from islice(shares(processes, step), 3)
    yield next(shares(processes, step)) * (float("nan") if processes.rank == 1 else 1)


def full_disk(processes: Processes, step: int) -> Iterator[Tensor]:
    """The main process cannot write its checkpoint."""
    if processes.main:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, resource.RLIM_INFINITY))
    return shares(processes, step)


@pytest.mark.parametrize(
    ("videos", "sentence", "codes"),
    [
        (refused, r"error: clip 7 is damaged", [2, 2]),
        (broken, r"Traceback [\s\S]*RuntimeError: shapes do not fit", [2, 1]),
        (ended, r"error: the training data ended after 3 of 40 steps", [2, 2]),
        (not_finite, r"error: the loss is not finite at step 4", [2, 2]),
        (full_disk, r"error: cannot write the checkpoint .* \(File too large\)", [2, 2]),
    ],
)
def test_an_error_is_said_once(
    tmp_path: Path,
    videos: Callable[[Processes, int], Iterator[Tensor]],
    sentence: str,
    codes: list[int],
) -> None:
    begun = time.monotonic()
    pair = Together(train_toy, tmp_path, STEPS, 0.0, videos, folder=tmp_path, patience=600)
    assert pair.wait() == codes
    assert time.monotonic() - begun < 60
    assert len(re.findall(sentence, pair.said())) == 1
    assert "lost contact" not in pair.said()
    assert pair.said().count("Traceback") == sentence.count("Traceback")


def test_sigterm_of_one_process_saves_and_stops_all(
    tmp_path: Path, straight: dict[str, Tensor]
) -> None:
    pair = Together(train_toy, tmp_path, STEPS, 0.02, folder=tmp_path)
    until(under_way(tmp_path))
    pair.processes[1].terminate()
    assert pair.wait() == [143, 143]
    (stopped,) = re.findall(r"error: stopped by SIGTERM after step (\d+)", pair.said())
    assert (tmp_path / f"checkpoint/step_{int(stopped):08d}.pt").exists()
    assert "Traceback" not in pair.said()
    assert finished(tmp_path, straight)


@joining
def look(processes: Processes, folder: Path) -> None:
    """The folders of the processes lie on two disks."""
    (folder / f"disk{processes.rank}").mkdir()
    processes.see(folder / f"disk{processes.rank}")


@joining
def differ(processes: Processes) -> None:
    """Both were given settings of their own."""
    processes.agree(processes.rank, "different settings")


def test_processes_have_to_see_and_to_want_the_same(tmp_path: Path) -> None:
    pair = Together(look, tmp_path, folder=tmp_path)
    assert pair.wait() == [2, 2]
    assert pair.said().count("not all processes of this run see the same folder") == 1
    pair = Together(differ, folder=tmp_path)
    assert pair.wait() == [2, 2] and pair.said() == "error: different settings\n"
    assert list(tmp_path.glob("disk*/.*")) == []


@pytest.mark.parametrize("text", ["soon", "0", "-3", "inf", "nan", ""])
def test_patience_is_a_positive_number(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYROVP_PATIENCE", text)
    with pytest.raises(RunError, match="positive number of seconds"):
        patience()


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"RANK": "abc", "WORLD_SIZE": "2"}, "RANK=abc is set"),
        ({"RANK": "0", "WORLD_SIZE": "abc"}, "WORLD_SIZE=abc is set"),
        ({"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": ""}, "LOCAL_RANK= is set"),
        ({"RANK": "2", "WORLD_SIZE": "2"}, "counted from 0"),
    ],
)
def test_variables_that_torchrun_has_not_set(
    variables: dict[str, str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torchrun, "_end_with_torchrun", lambda: None)  # this process is pytest's
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(RunError, match=f"{said}.*; start them with torchrun, or unset RANK"):
        with joined():
            pytest.fail("nothing may be joined")
