"""A run that is killed at random moments ends as if it had never been."""

import multiprocessing
import random
from pathlib import Path

import pytest
import torch

from pyrovp.train import Cadence, read_rows
from tests.train.toy import run_toy

STEPS = 60


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return torch.load(folder / "weights.pt", weights_only=True)


def rows(folder: Path) -> list[dict[str, object]]:
    """The log without what a clock says."""
    clocked = ("seconds", "frames_per_second")
    return [
        {name: value for name, value in row.items() if name not in clocked}
        for row in read_rows(folder / "metrics.jsonl")
    ]


def test_killed_at_any_moment(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch, pytestconfig: pytest.Config
) -> None:
    # A server that has imported everything forks a child in milliseconds, and, unlike this
    # process, it has no threads whose locks a fork could take along.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.train.toy"])
    monkeypatch.setenv("PYTHONPATH", str(pytestconfig.rootpath))  # all that the server heeds
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    run_toy(straight, STEPS)

    def start() -> multiprocessing.process.BaseProcess:
        process = context.Process(target=run_toy, args=(killed, STEPS, Cadence(5, 10, 7), 0.01))
        process.start()
        return process

    first = context.Process(target=int)  # the server imports everything before its first fork
    first.start()
    first.join()
    moment, kills = random.Random(seed), 0
    while not (killed / "weights.pt").exists():
        process = start()
        # A whole run takes 0.6 s at least, so the first three die on their way, some of them
        # before their first step. Later ones live longer, so that the test ends.
        process.join(moment.uniform(0.0, 0.2 if kills < 3 else 0.1 * 1.5**kills))
        if process.is_alive():
            process.kill()
            kills += 1
        process.join()
        assert process.exitcode in (0, -9)

    assert kills >= 3
    expected, found = weights(straight), weights(killed)
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    assert rows(killed) == rows(straight)


@pytest.mark.parametrize("first", [7, 20, 33])
def test_extended(tmp_path: Path, first: int) -> None:
    run_toy(tmp_path / "straight", STEPS)
    run_toy(tmp_path / "extended", first)
    run_toy(tmp_path / "extended", STEPS)
    expected, found = weights(tmp_path / "straight"), weights(tmp_path / "extended")
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    assert rows(tmp_path / "extended") == rows(tmp_path / "straight")


@pytest.mark.parametrize(
    "cadence", [Cadence(1, 1, 1), Cadence(7, 13, 1000), Cadence(9, 2, 3, 0.0)]
)
def test_looking_changes_nothing(tmp_path: Path, cadence: Cadence) -> None:
    run_toy(tmp_path / "a", 30)
    run_toy(tmp_path / "b", 30, cadence)
    expected, found = weights(tmp_path / "a"), weights(tmp_path / "b")
    assert all(torch.equal(expected[name], found[name]) for name in expected)
