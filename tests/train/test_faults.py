"""Faults in the middle of training: SIGTERM, a loss that is not finite, a disk that is full."""

import os
import random
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from pyrovp.errors import NonFiniteLoss, Stopped
from pyrovp.randomness import seed_noise
from pyrovp.train import Cadence, Checkpoints, Log, Update, fit, read_rows
from tests.train.toy import CADENCE, ToyBound, ToyObjective, toy_adam, toy_videos

Videos = Callable[[int], Iterator[Tensor]]


def train(
    folder: Path,
    steps: int,
    *,
    videos: Videos = toy_videos,
    broken_at: int | None = None,
    skip: int = 0,
    cadence: Cadence = CADENCE,
) -> dict[str, Tensor]:
    """The weights in the end."""
    objective = ToyObjective(broken_at)
    random.seed(3)
    np.random.seed(3)
    folder.mkdir(exist_ok=True)
    fit(
        Update(objective, toy_adam(objective), clip=1.0),
        videos,
        steps,
        cadence=cadence,
        checkpoints=Checkpoints(folder / "checkpoint", "toy", lambda _: None),
        log=Log(folder, bar=False),
        skip=skip,
    )
    return objective.state_dict()


def terminated_at(step: int) -> Videos:
    """SIGTERM comes while the video of this step (from 0) is read."""

    def videos(start: int) -> Iterator[Tensor]:
        for now, video in enumerate(toy_videos(start), start):
            if now == step:
                os.kill(os.getpid(), signal.SIGTERM)
            yield video

    return videos


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("step", [0, 11, 20])
def test_sigterm_saves_and_the_same_call_goes_on(tmp_path: Path, step: int) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Stopped, match=f"SIGTERM after step {step + 1}") as caught:
        train(tmp_path / "a", 30, videos=terminated_at(step))
    assert caught.value.code == 143 and signal.getsignal(signal.SIGTERM) is before
    newest = max((tmp_path / "a/checkpoint").glob("step_*.pt"))
    assert newest.name == f"step_{step + 1:08d}.pt"
    assert same(train(tmp_path / "a", 30), train(tmp_path / "b", 30))


def test_a_worker_that_the_same_signal_ended(tmp_path: Path) -> None:
    """Whatever is half done then is not saved: the same call takes it again."""

    def videos(start: int) -> Iterator[Tensor]:
        for now, video in enumerate(terminated_at(11)(start), start):
            yield video
            if now == 10:
                os.kill(os.getpid(), signal.SIGTERM)
                raise RuntimeError("DataLoader worker (pid 7) is killed by signal: Terminated.")

    with pytest.raises(Stopped, match="SIGTERM in the middle of a step.*from the last checkpoint"):
        train(tmp_path / "a", 30, videos=videos)
    assert [path.name for path in (tmp_path / "a/checkpoint").iterdir()] == ["step_00000007.pt"]
    assert same(train(tmp_path / "a", 30), train(tmp_path / "b", 30))


def test_other_errors_of_the_data_are_left_alone(tmp_path: Path) -> None:
    def videos(start: int) -> Iterator[Tensor]:
        raise RuntimeError("no such video")
        yield

    with pytest.raises(RuntimeError, match="no such video"):
        train(tmp_path, 3, videos=videos)


def test_sigterm_at_the_last_step_finishes(tmp_path: Path) -> None:
    assert same(train(tmp_path / "a", 9, videos=terminated_at(8)), train(tmp_path / "b", 9))


@pytest.mark.parametrize("broken_at", [0, 7, 16])
def test_a_step_that_is_not_finite_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken_at: int
) -> None:
    """The others are taken with their own videos, noise and annealing, as if it were absent."""
    monkeypatch.setattr(random, "random", lambda: 0.0)  # the one draw that is not keyed
    found = train(tmp_path, 20, broken_at=broken_at, skip=1)
    objective = ToyObjective()
    update = Update(objective, toy_adam(objective), clip=1.0)
    for step, video in zip(range(20), toy_videos(0), strict=False):
        if step != broken_at:
            seed_noise(0, step, torch.device("cpu"))
            objective.set_step(step)
            update(video)
    objective.set_step(19)
    assert same(found, objective.state_dict())
    assert [row["step"] for row in read_rows(tmp_path / "metrics.jsonl")] == [5, 10, 15, 20]


def test_what_was_left_out_stays_left_out_when_a_run_goes_on(tmp_path: Path) -> None:
    straight = train(tmp_path / "a", 30, broken_at=7, skip=1)
    with pytest.raises(Stopped):
        train(tmp_path / "b", 30, broken_at=7, skip=1, videos=terminated_at(18))
    assert same(train(tmp_path / "b", 30, skip=0), straight)


def test_no_more_steps_are_left_out_than_was_allowed(tmp_path: Path) -> None:
    class Broken(ToyObjective):
        def forward(self, video: Tensor) -> ToyBound:
            self.broken_at = self.now if self.now in (6, 9) else None
            return super().forward(video)

    objective = Broken()
    checkpoints = Checkpoints(tmp_path, "toy")
    with pytest.raises(NonFiniteLoss, match=r"(?s)step 10: loss nan.*skip_nonfinite=2 would"):
        fit(
            Update(objective, toy_adam(objective)),
            toy_videos,
            20,
            checkpoints=checkpoints,
            cadence=Cadence(1, 100, 8),
            skip=1,
        )
    assert checkpoints.paths()[0].name == "step_00000008.pt"


def test_a_whole_interval_left_out_has_no_row(tmp_path: Path) -> None:
    train(tmp_path, 4, broken_at=2, skip=1, cadence=Cadence(1, 100, 1))
    assert [row["step"] for row in read_rows(tmp_path / "metrics.jsonl")] == [1, 2, 4]
