"""How far each data set is: what is found of it, prepared from it, and begun."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from pyrovp.data.errors import DamagedFile, MissingFiles
from pyrovp.data.generated import GENERATED
from pyrovp.data.prepare import prepare
from pyrovp.data.registry import SOURCES
from pyrovp.data.status import AtResolution, Status, all_statuses, generated_status, source_status


def found(name: str, root: Path) -> Status:
    return source_status(SOURCES[name], root)


def touch(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def own_videos(folder: Path, lengths: list[int]) -> None:
    """Gray videos that differ, of so many frames."""
    folder.mkdir(parents=True)
    for number, length in enumerate(lengths):
        np.save(folder / f"{number}.npy", np.full((length, 8, 8), number, np.uint8))


def prepare_own(root: Path, lengths: list[int], resolution: int = 8) -> None:
    own_videos(root / "video_folder", lengths)
    prepare(SOURCES["video_folder"], root, resolution=resolution, say=lambda line: None)


def test_an_empty_machine(tmp_path: Path) -> None:
    root = tmp_path / "data"
    statuses = {status.name: status for status in all_statuses(root)}
    assert list(statuses) == [*GENERATED, *SOURCES]
    for name in SOURCES:
        assert statuses[name] == Status(name, SOURCES[name].title, False, statuses[name].originals)
        assert statuses[name].originals.state == "missing"
        assert str(root / name) in statuses[name].originals.problem
    for name in ("moving_digits", "moving_ball"):
        assert statuses[name].generated and statuses[name].originals.state == "found"
    assert statuses["moving_mnist"].originals.state == "missing"
    assert str(root / "MNIST" / "raw") in statuses["moving_mnist"].originals.problem
    assert not root.exists(), "looking must leave nothing behind"


def test_originals_are_counted_by_split_with_their_kinds(tmp_path: Path) -> None:
    for person in (1, 2, 18, 19, 25):
        touch(tmp_path / "kth" / f"person{person:02d}_walking_d1_uncomp.avi")
    originals = found("kth", tmp_path).originals
    assert originals.state == "found" and originals.problem == ""
    assert originals.splits == {"train": 3, "validation": 1, "test": 1}
    assert originals.suffixes == (".avi",)


def test_the_validation_part_counts_as_it_will_be_prepared(tmp_path: Path) -> None:
    for number in range(40):
        touch(tmp_path / "bair" / "train" / f"traj_{number}_to_{number}.tfrecords")
    touch(tmp_path / "bair" / "test" / "traj_0_to_255.tfrecords")
    assert found("bair", tmp_path).originals.splits == {"train": 38, "validation": 2, "test": 1}


def test_originals_that_cannot_be_used(tmp_path: Path) -> None:
    touch(tmp_path / "gqn_mazes" / "train" / "1.mp4")
    touch(tmp_path / "gqn_mazes" / "train" / "1.tfrecord")
    originals = found("gqn_mazes", tmp_path).originals
    assert originals.state == "unusable" and "two releases" in originals.problem
    assert originals.splits == {}


def test_what_is_prepared(tmp_path: Path) -> None:
    prepare_own(tmp_path, [9, 5, 7, 6])
    prepare(SOURCES["video_folder"], tmp_path, resolution=4, say=lambda line: None)
    small, large = found("video_folder", tmp_path).prepared
    assert (small.resolution, large.resolution) == (4, 8)
    assert sum(large.videos.values()) == 4 and set(large.videos) == {"train", "validation", "test"}
    assert min(large.shortest.values()) == 5
    assert large.folder == tmp_path / "prepared" / "video_folder-8px" and large.problem == ""


def test_a_split_without_videos_has_no_shortest_one(tmp_path: Path) -> None:
    prepare_own(tmp_path, [9])
    (stored,) = found("video_folder", tmp_path).prepared
    assert stored.videos["train"] == 1 and stored.shortest == {"train": 9}


@pytest.mark.parametrize("name", ["train.npy", "prepared.json", "train.index.npz"])
def test_a_damaged_preparation_says_what_to_do(tmp_path: Path, name: str) -> None:
    prepare_own(tmp_path, [9, 5, 7])
    path = tmp_path / "prepared" / "video_folder-8px" / name
    path.write_bytes(path.read_bytes()[:-9])
    (stored,) = found("video_folder", tmp_path).prepared
    assert stored == AtResolution(8, path.parent, {}, {}, stored.problem)
    assert name in stored.problem and "python -m pyrovp.data prepare" in stored.problem


def test_a_preparation_that_is_not_finished(tmp_path: Path) -> None:
    own_videos(tmp_path / "video_folder", [9, 5, 7])
    (tmp_path / "video_folder" / "cut.npy").write_bytes(b"no array")
    with pytest.raises(DamagedFile):
        prepare(SOURCES["video_folder"], tmp_path, resolution=8, say=lambda line: None)
    status = found("video_folder", tmp_path)
    (begun,) = status.begun
    assert (begun.resolution, begun.originals) == (8, 3) and status.prepared == ()
    journal = begun.folder / "journal.jsonl"
    first = journal.read_text().splitlines()[0]
    assert json.loads(first)["name"] == "video_folder"
    journal.write_text(first + "\nhalf a li")
    assert found("video_folder", tmp_path).begun[0].originals == 0


def test_other_data_sets_folders_are_not_taken_for_its_own(tmp_path: Path) -> None:
    for name in ("kth-fast-64px", "kth-px", ".kth-fast-64px.part"):
        (tmp_path / "prepared" / name).mkdir(parents=True)
    status = found("kth", tmp_path)
    assert status.prepared == () and status.begun == ()


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (MissingFiles("four files are missing"), "missing"),
        (DamagedFile("a file", "one sum", "another", "get it again"), "unusable"),
        (PermissionError(13, "Permission denied"), "unusable"),
    ],
)
def test_generated_sets_that_need_files(tmp_path: Path, error: Exception, state: str) -> None:
    def check(root: Path, download: bool, say: object) -> None:
        assert root == tmp_path and not download, "nothing may be fetched"
        raise error

    status = generated_status(dataclasses.replace(GENERATED["moving_ball"], check=check), tmp_path)
    assert status.originals.state == state and status.originals.problem == str(error)
