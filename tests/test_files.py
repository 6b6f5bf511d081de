"""Atomic writes: the old file or the new one, and never a trace of a failed attempt."""

from pathlib import Path

import pytest

from pyrovp.files import atomic_write, remove_leftovers


def test_replaces_the_old_content(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    path.write_text("old")
    with atomic_write(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
        assert temporary.parent == path.parent, "a rename must not cross file systems"
        assert temporary.suffix == ".json", "writers choose their format by the suffix"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_leaves_everything_as_it_was(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "picture.png"
    path.write_text("old")
    with pytest.raises(error), atomic_write(str(path)) as temporary:
        temporary.write_text("half of the new")
        raise error
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_kill_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    kept = [tmp_path / name for name in (".lock", "step_1.pt", ".tmp", ".a.tmp.pt", "b.tmp.pt")]
    for path in kept:
        path.write_text("")
    for name in ("step_2.pt", "LICENSE", ".hidden"):
        with atomic_write(tmp_path / name) as temporary:
            temporary.write_text("half")
        (tmp_path / name).rename(temporary)  # as if it had been killed before the end
    assert len(list(tmp_path.iterdir())) == len(kept) + 3
    remove_leftovers(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted(kept)
    remove_leftovers(tmp_path / "missing")


def test_two_writers_do_not_meet(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with atomic_write(path) as first, atomic_write(path) as second:
        assert first != second
        first.write_text("first")
        second.write_text("second")
    assert path.read_text() == "first", "the one that ends last"
    assert list(tmp_path.iterdir()) == [path]


def test_a_new_file_has_ordinary_permissions(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("")
    with atomic_write(tmp_path / "atomic") as temporary:
        temporary.write_text("")
    assert (tmp_path / "atomic").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_says_what_is_wrong(tmp_path: Path) -> None:
    with (
        pytest.raises(FileNotFoundError, match="there is no folder"),
        atomic_write(tmp_path / "missing" / "file"),
    ):
        pytest.fail("nothing may be yielded without a folder")
    path = tmp_path / "file"
    with pytest.raises(FileNotFoundError, match="nothing was written"), atomic_write(path):
        path.write_text("to the final name by mistake")
