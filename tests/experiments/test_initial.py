"""A run that starts from another one's weights."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from pyrovp.runs import load
from pyrovp.train import read_rows
from tests.experiments.tiny import Outcome

Command = Callable[..., Outcome]


def weights(folder: Path, step: int) -> dict[str, torch.Tensor]:
    path = folder / f"checkpoint/step_{step:08d}.pt"
    return torch.load(path, weights_only=True)["objective"]


@pytest.fixture
def source(command: Command, tmp_path: Path) -> Path:
    return command("+model=rssm", out=tmp_path / "source").folder


def test_it_starts_where_the_other_one_ended(
    command: Command, source: Path, tmp_path: Path
) -> None:
    """With a rate of next to nothing the weights stay; the steps and the name are new ones."""
    outcome = command(
        "+model=rssm", f"init_from={source}", "optimiser.lr=1e-12", "train.steps=1", "seed=4"
    )
    assert outcome.code == 0, outcome.errors
    assert f"weights of {source} after 2 steps" in outcome.output
    expected, found = weights(source, 2), weights(outcome.folder, 1)
    for name in expected:
        torch.testing.assert_close(found[name], expected[name], rtol=0, atol=1e-9)
    assert [row["step"] for row in read_rows(outcome.folder / "metrics.jsonl")] == [1, 1]
    assert outcome.folder.parent.name != source.parent.name


def test_the_name_is_that_of_the_weights_and_not_of_their_place(
    command: Command, source: Path, tmp_path: Path
) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(source, moved)
    first = command("+model=rssm", f"init_from={source}")
    again = command("+model=rssm", f"init_from={moved}")
    assert first.folder == again.folder and "Nothing to do" in again.output
    command("+model=rssm", "train.steps=3", out=tmp_path / "source")  # the source trains on
    further = command("+model=rssm", f"init_from={source}", out=tmp_path / "further")
    assert further.folder.parent.name != first.folder.parent.name


def test_a_path_may_be_spelled_in_many_ways(command: Command, source: Path) -> None:
    first = command("+model=rssm", f"init_from={source}")
    more = command("+model=rssm", f"init_from={source.parent}/./seed0/", "train.steps=3")
    assert more.code == 0 and more.folder == first.folder
    assert load(more.folder, device="cpu").step == 3


@pytest.mark.parametrize("lost", [False, True], ids=["trained further", "gone"])
def test_a_run_that_was_broken_off_goes_on_whatever_became_of_its_source(
    command: Command, source: Path, lost: bool
) -> None:
    begun = command("+model=rssm", f"init_from={source}").folder
    (begun / "done.json").unlink()  # as if it had been stopped after two steps
    if lost:
        shutil.rmtree(source)
    else:
        command("+model=rssm", "train.steps=3", out=source.parents[1])
    outcome = command("+model=rssm", f"init_from={source}", "train.steps=4")
    assert outcome.code == 0, outcome.errors
    assert load(begun, device="cpu").step == 4
    assert [row["step"] for row in read_rows(begun / "metrics.jsonl") if "loss" in row][:2] == [
        1,
        2,
    ]


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["+model=rssm", "model.memory=16"], "(24, 8) float32 there, (48, 16) float32 here"),
        (["+model=cwvae"], "none there, (24, 8) float32 here"),
        (
            ["+model=rssm", "+data=moving_ball"],
            "(64, 1, 4, 4) float32 there, (64, 3, 4, 4) float32 here",
        ),
    ],
)
def test_what_does_not_fit_is_listed(
    command: Command, source: Path, arguments: list[str], said: str
) -> None:
    outcome = command(*arguments, f"init_from={source}")
    assert outcome.code == 2 and not outcome.out.exists()
    assert "weights do not fit" in outcome.errors and said in outcome.errors


def test_no_such_run(command: Command, tmp_path: Path) -> None:
    outcome = command("+model=rssm", f"init_from={tmp_path / 'nowhere'}")
    assert outcome.code == 2 and "init_from=" in outcome.errors and "nowhere" in outcome.errors
