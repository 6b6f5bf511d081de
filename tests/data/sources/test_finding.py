"""Files below a folder, by names that do not depend on the machine."""

import os
from pathlib import Path

import pytest

from pyrovp.data.errors import DataError
from pyrovp.data.sources.finding import files_below, unpacked


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def test_names_are_sorted_and_relative(tmp_path: Path) -> None:
    touch(
        tmp_path, "b/2.avi", "b/10.avi", "a.AVI", "c.mp4", "b/readme", ".hidden/x.avi", "._y.avi"
    )
    found = files_below(tmp_path, {".avi"})
    assert list(found) == ["a.AVI", "b/10.avi", "b/2.avi"]
    assert found["b/2.avi"] == tmp_path / "b" / "2.avi"


def test_no_folder_no_files(tmp_path: Path) -> None:
    assert files_below(tmp_path / "nothing", {".avi"}) == {}
    touch(tmp_path, "file.avi")
    assert files_below(tmp_path / "file.avi", {".avi"}) == {}


def test_links_are_followed_and_circles_are_not(tmp_path: Path) -> None:
    touch(tmp_path / "disk", "1.avi", "deep/2.avi")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train").symlink_to(tmp_path / "disk")
    (tmp_path / "disk" / "deep" / "back").symlink_to(tmp_path / "data")
    assert list(files_below(tmp_path / "data", {".avi"})) == ["train/1.avi", "train/deep/2.avi"]


def test_a_name_that_is_no_text_is_an_error(tmp_path: Path) -> None:
    try:
        touch(tmp_path, os.fsdecode(b"\xe9t\xe9.avi"))
    except OSError:
        pytest.skip("this file system takes no such name")
    with pytest.raises(DataError, match=r"holds \\udce9t\\udce9.avi, a name that is not UTF-8"):
        files_below(tmp_path, {".avi"})


def test_a_folder_that_cannot_be_listed_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path, "a/1.avi")

    def walk(folder: Path, onerror: object, followlinks: bool) -> list[object]:
        assert callable(onerror)
        onerror(PermissionError(13, "Permission denied", str(folder / "a")))
        return []

    monkeypatch.setattr("pyrovp.data.sources.finding.os.walk", walk)
    with pytest.raises(DataError, match="a cannot be listed .Permission denied.; allow it"):
        files_below(tmp_path, {".avi"})


@pytest.mark.parametrize(("made", "place"), [("train", "."), ("in/test", "in"), ("other", ".")])
def test_the_folder_that_an_archive_unpacks_into(made: str, place: str, tmp_path: Path) -> None:
    (tmp_path / made).mkdir(parents=True)
    assert unpacked(tmp_path, ["in"], ["train", "test"]) == tmp_path / place
