"""From a folder of videos to a run: prepared once, trained on, evaluated."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pyrovp.data.__main__ import main
from pyrovp.data.prepare import prepare
from pyrovp.data.registry import SOURCES
from pyrovp.data.store import open_prepared
from pyrovp.runs.trained import load
from pyrovp.train import read_rows
from tests.experiments.originals import ORIGINALS, film, pictures, video_folder
from tests.experiments.tiny import Outcome

Command = Callable[..., Outcome]


def silent(text: str) -> None:
    """Says nothing."""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder of all data."""
    return tmp_path / "data"


@pytest.fixture
def run(command: Command, root: Path) -> Command:
    """The tiny command with the videos of `root`."""

    def call(*arguments: str, data: str = "video_folder", **options: Any) -> Outcome:
        return command("+model=cwvae", f"data={data}", f"data.root={root}", *arguments, **options)

    return call


@pytest.fixture
def own(root: Path) -> Callable[..., None]:
    """Prepares some videos of one's own."""

    def call(videos: int) -> None:
        video_folder(root / "video_folder", videos)
        prepare(SOURCES["video_folder"], root, resolution=16, say=silent)

    return call


@pytest.fixture
def people(root: Path) -> Callable[..., None]:
    """Prepares KTH's videos of these persons, beside those that are there."""

    def call(*persons: int) -> None:
        for person in persons:
            film(root / "kth" / f"person{person:02d}_walking_d1_uncomp.avi", 9, person)
        prepare(SOURCES["kth"], root, resolution=16, force=True, say=silent)

    return call


def metrics(outcome: Outcome) -> dict[str, Any]:
    assert outcome.code == 0, outcome.errors
    found: dict[str, Any] = json.loads((outcome.folder / "metrics.json").read_text())
    return found


@pytest.mark.parametrize("case", ORIGINALS)
def test_every_format_is_trained_on_and_evaluated(run: Command, root: Path, case: str) -> None:
    name, write = ORIGINALS[case]
    write(root / name)
    prepared = prepare(SOURCES[name], root, resolution=16, say=silent)
    outcome = run(data=name)
    found = metrics(outcome)
    assert found["splits"] == {split: part.hash for split, part in prepared.splits.items()}
    assert found["sequences"] == min(2, prepared.splits["test"].videos)
    assert found["source"].startswith(SOURCES[name].title)
    assert [row["step"] for row in read_rows(outcome.folder / "metrics.jsonl")] == [1, 1, 2, 2]
    assert outcome.folder.parent.name.startswith(f"cwvae-{name}-")
    taken_up = load(outcome.folder)
    assert taken_up.step == 2 and len(taken_up.videos("test")) == prepared.splits["test"].videos


def test_the_two_commands(run: Command, root: Path, tmp_path: Path) -> None:
    """As a user types them: `python -m pyrovp.data prepare`, then `experiments/run.py`."""
    video_folder(tmp_path / "films")
    line = f"prepare video_folder --resolution 16 --root {root} --originals {tmp_path / 'films'}"
    assert main(line.split()) == 0
    asked = "train.validate_sequences=64", "evaluate.sequences=64"
    outcome = run(*asked)
    found = metrics(outcome)
    splits = open_prepared(root / "prepared" / "video_folder-16px").splits
    counts = {split: part.videos for split, part in splits.items()}
    assert sum(counts.values()) == 6 and min(counts.values()) >= 1
    assert found["sequences"] == counts["test"]
    for key, split in (("train.validate_sequences", "validation"), ("evaluate.sequences", "test")):
        clips = "1 clip" if counts[split] == 1 else f"{counts[split]} clips"
        assert f"note: {key}=64, but {split} has {clips}: all are used" in outcome.output
    assert "is finished" in run(*asked).output


def test_a_run_belongs_to_what_is_in_the_files_not_to_where_they_are(
    command: Command, run: Command, root: Path, people: Callable[..., None]
) -> None:
    people(1, 2, 19, 21)
    first = run(data="kth")
    elsewhere = root.rename(root.with_name("moved"))
    moved = command("+model=cwvae", "data=kth", f"data.root={elsewhere}")
    assert "is finished" in moved.output, moved.errors
    elsewhere.rename(root)
    people(3)
    again = run(data="kth")
    assert again.code == 0 and "is finished" not in again.output
    assert len(list(first.out.glob("*/seed0"))) == 2


def test_other_test_videos_are_evaluated_on(run: Command, people: Callable[..., None]) -> None:
    people(1, 2, 19, 21)
    first = run(data="kth")
    before, rows = metrics(first), (first.folder / "metrics.jsonl").read_text()
    assert before["sequences"] == 1
    assert json.loads((first.folder / "done.json").read_text())["splits"] == before["splits"]
    people(22)
    again = run(data="kth")
    assert "evaluating on the new test videos" in again.output, again.errors
    after = metrics(again)
    assert after["sequences"] == 2
    assert after["splits"]["train"] == before["splits"]["train"]
    assert after["splits"]["test"] != before["splits"]["test"]
    assert (again.folder / "metrics.jsonl").read_text() == rows  # nothing was trained
    assert "is finished" in run(data="kth").output


@pytest.mark.parametrize(
    ("videos", "arguments", "texts"),
    [
        (
            2, (),
            ["video_folder has no videos for validation", "train.validate_sequences=0 trains"],
        ),
        (1, ("train.validate_sequences=0",), ["video_folder has no videos for test"]),
        (
            6, ("evaluate.horizon=30",),
            ["test videos of video_folder have fewer than 33 frames", "evaluate.horizon=30"],
        ),
        (6, ("data.length=12",), ["train videos of video_folder have fewer", "skip_short"]),
        (6, ("data.resolution=32",), ["not prepared at 32 px", "only video_folder-16px"]),
        (6, ("data.channels=1", "channels=3"), ["channels=3", "have 1"]),
    ],
)  # fmt: skip
def test_refused(
    run: Command,
    own: Callable[..., None],
    videos: int,
    arguments: tuple[str, ...],
    texts: list[str],
) -> None:
    own(videos)
    outcome = run(*arguments)
    assert outcome.code == 2, outcome.output
    for text in texts:
        assert text in outcome.errors
    assert "Traceback" not in outcome.errors
    assert not list(outcome.out.glob("*/seed*"))


def test_two_videos_will_do(run: Command, own: Callable[..., None]) -> None:
    own(2)
    found = metrics(run("train.validate_sequences=0"))
    assert found["sequences"] == 1 and found["splits"]["validation"] is None


def test_a_test_set_is_not_trained_on(run: Command, root: Path) -> None:
    (root / "moving_mnist_test").mkdir(parents=True)
    clips = np.stack([pictures(20, n)[..., 0] for n in range(3)], axis=1)
    np.save(root / "moving_mnist_test" / "mnist_test_seq.npy", clips)
    prepare(SOURCES["moving_mnist_test"], root, resolution=16, say=silent)
    outcome = run(data="moving_mnist_test")
    assert outcome.code == 2
    assert "moving_mnist_test has no videos for train (it has 3 for test" in outcome.errors
    assert "train on another data set" in outcome.errors


def test_not_prepared(run: Command, root: Path) -> None:
    outcome = run(data="kth")
    assert outcome.code == 2 and str(root / "prepared" / "kth-16px") in outcome.errors
    assert "python -m pyrovp.data prepare kth --resolution 16" in outcome.errors
