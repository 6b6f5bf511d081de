"""Preparing: the result is the same whatever happened on the way."""

import errno
import hashlib
import json
import multiprocessing
import os
import resource
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pyrovp.data.errors import DamagedFile, DataError, MissingFiles
from pyrovp.data.keyed import Split
from pyrovp.data.prepare import prepare, with_validation
from pyrovp.data.sources.base import Original
from pyrovp.data.store import unfinished, verify
from pyrovp.data.store.arrays import GrowingArray
from tests.data.toy_source import (
    LENGTHS,
    POINTS,
    Deserter,
    HalfSender,
    Mistaken,
    ToySource,
    footage,
    prepare_and_die,
    prepare_slowly,
    silent,
    write_toys,
)

Start = Callable[..., BaseProcess]


def contents(folder: Path) -> dict[str, bytes]:
    """All files in a folder."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def final(root: Path) -> Path:
    """Where the toys are prepared."""
    return root / "prepared" / "toy-16px"


def visible(root: Path) -> list[str]:
    """What is in the folder of prepared data sets, without hidden names."""
    return sorted(p.name for p in (root / "prepared").glob("[!.]*"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder of all data with the toys' originals."""
    write_toys(tmp_path / "root" / "toy")
    return tmp_path / "root"


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What a preparation gives that nothing disturbs."""
    root = tmp_path_factory.mktemp("straight")
    write_toys(root / "toy")
    prepare(ToySource(), root, say=silent)
    return contents(final(root))


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, pytestconfig: pytest.Config) -> ForkServerContext:
    """A server that has imported everything forks a child in milliseconds.

    Unlike this process, it has no threads whose locks a fork could take along. There is one
    server in a session, so it also imports what the tests of training ask of theirs.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.data.toy_source", "tests.train.toy"])
    monkeypatch.setenv("PYTHONPATH", str(pytestconfig.rootpath))  # all that the server heeds
    return context


@pytest.fixture
def start(server: ForkServerContext) -> Start:
    """Starts a function in another process."""

    def call(function: Callable[..., None], *arguments: Any) -> BaseProcess:
        # A daemon: one that waits for a test that has failed does not outlive it.
        process = server.Process(target=function, args=arguments, daemon=True)
        process.start()
        return process

    return call


def test_the_result(root: Path) -> None:
    said: list[str] = []
    prepared = prepare(ToySource(), root, say=said.append)
    (held_out,) = prepared.splits["validation"].names[:1]
    train = [name for name in LENGTHS if name.startswith("train")]
    smallest = min(train, key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    assert held_out == f"{smallest}/0"
    names = [f"{o}/{n}" for o in train if o != smallest for n in range(len(LENGTHS[o]))]
    assert prepared.splits["train"].names.tolist() == names
    test = prepared.splits["test"]
    assert test.names.tolist() == ["test-00.toy/0", "test-01.toy/0", "test-01.toy/1"]
    np.testing.assert_array_equal(test.frames[5:7], footage("test-01.toy/0", 2).frames)
    np.testing.assert_array_equal(
        test.states["action"][7:], footage("test-01.toy/1", 3).states["action"]
    )
    assert (prepared.licence, prepared.title) == ("free", "Toys (Nobody, 2026)")
    assert prepared.folder == final(root) and visible(root) == ["toy-16px"]
    arrays = {f"{split}{s}.npy" for split in prepared.splits for s in ("", ".action", ".speed")}
    indices = {f"{split}.index.npz" for split in prepared.splits}
    assert set(contents(final(root))) == arrays | indices | {"prepared.json", "contact_sheet.png"}
    assert not any("note:" in line for line in said), "8 and 3 videos are the published numbers"
    assert f"look at {final(root) / 'contact_sheet.png'}" in said[-1]
    verify(final(root))


def test_other_places_and_sizes(tmp_path: Path) -> None:
    originals = write_toys(tmp_path / "elsewhere")
    prepared = prepare(ToySource(), tmp_path / "r", folder=originals, resolution=8, say=silent)
    assert prepared.folder == tmp_path / "r" / "prepared" / "toy-8px"
    assert prepared.splits["train"].frames.shape[1:] == (8, 8, 1)


@pytest.mark.parametrize(
    ("train", "held_out"), [(0, 0), (1, 0), (2, 1), (39, 1), (40, 2), (100, 5)]
)
def test_the_validation_part(train: int, held_out: int) -> None:
    made = [Original(f"{n}", "train", Path()) for n in range(train)]
    made += [Original("x", "test", Path())]
    by_hash = sorted(map(str, range(train)), key=lambda n: hashlib.sha256(n.encode()).digest())
    result = with_validation(made)
    chosen = {original.name for original in result if original.split == "validation"}
    assert chosen == set(by_hash[:held_out])
    assert [original.name for original in result] == sorted(original.name for original in made)
    assert Counter(original.split for original in result)["test"] == 1


def test_a_validation_part_of_its_own() -> None:
    splits: list[Split] = ["train", "validation", "train", "train"]
    made = [Original(f"{n}", split, Path()) for n, split in enumerate(splits)]
    assert with_validation(made) == made
    with pytest.raises(DataError, match="2 originals are called '0'"):
        with_validation([made[0], made[0]])


def test_a_split_that_there_is_not() -> None:
    """Said before hours of reading, not after."""
    with pytest.raises(DataError, match=r"a is in split 'val'; there are train, validation, test"):
        with_validation([Original("a", "val", Path())])  # type: ignore[arg-type]


def test_a_source_that_finds_nothing_and_does_not_say_so(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ToySource, "originals", lambda source, folder: [])
    with pytest.raises(MissingFiles, match=r"toy: looked for originals in .*which holds none"):
        prepare(ToySource(), root, say=silent)


@pytest.mark.parametrize("point", [*POINTS, "video train-02.toy/1", "video train-04.toy/0"])
def test_killed_and_resumed(
    root: Path, straight: dict[str, bytes], start: Start, tmp_path: Path, point: str
) -> None:
    log = tmp_path / "log"
    process = start(prepare_and_die, root, log, point)
    process.join()
    assert process.exitcode == -9
    named = point == "after the name"
    assert visible(root) == (["toy-16px"] if named else []), "no half has the final name"
    journal = root / "prepared" / ".toy-16px.part" / "journal.jsonl"
    lines = journal.read_text().split("\n")[1:-1] if journal.exists() else []
    finished = {json.loads(line)["name"] for line in lines}
    said: list[str] = []
    prepare(ToySource(log), root, say=said.append)
    assert contents(final(root)) == straight
    reads = Counter(log.read_text().split())
    assert set(reads) == set(LENGTHS)
    assert all(reads[name] == 1 for name in finished), "nothing finished is read twice"
    assert reads.total() <= len(LENGTHS) + 1, "only the one that was being read"
    assert any("going on" in line for line in said) == bool(finished)
    assert [path.name for path in (root / "prepared").glob(".*")] == [".toy-16px.lock"]


def test_killed_again_and_again(
    root: Path, straight: dict[str, bytes], start: Start, tmp_path: Path
) -> None:
    videos = [f"video {name}/0" for name in sorted(LENGTHS)]
    for point in [*videos, "a header", "the sidecar", "the picture"]:
        process = start(prepare_and_die, root, tmp_path / "log", point)
        process.join()
        assert process.exitcode == -9
    prepare(ToySource(), root, say=silent)
    assert contents(final(root)) == straight


def test_originals_that_changed_before_the_resume(
    root: Path, start: Start, tmp_path: Path
) -> None:
    start(prepare_and_die, root, tmp_path / "log", "video train-02.toy/1").join()
    assert unfinished(final(root)) == 4
    write_toys(root / "toy", {"train-00a.toy": [2]})
    said: list[str] = []
    prepare(ToySource(), root, say=said.append)
    assert any("starting over: originals changed" in line for line in said)
    other = tmp_path / "other"
    write_toys(other / "toy", {**LENGTHS, "train-00a.toy": [2]})
    prepare(ToySource(), other, say=silent)
    assert contents(final(root)) == contents(final(other))


def test_an_original_whose_content_changed_before_the_resume(
    root: Path, start: Start, tmp_path: Path
) -> None:
    """Its name and split say nothing of that, and its old videos must not stay."""
    start(prepare_and_die, root, tmp_path / "dead", "video train-04.toy/0").join()
    new = {"train-01.toy": [4, 4, 2]}
    write_toys(root / "toy", new)
    said: list[str] = []
    prepare(ToySource(tmp_path / "log"), root, say=said.append)
    assert "reading again from train-01.toy on: its file changed since it was read" in said
    read = (tmp_path / "log").read_text().split()
    assert read == sorted(name for name in LENGTHS if name >= "train-01"), "only from there on"
    write_toys(tmp_path / "other" / "toy", {**LENGTHS, **new})
    prepare(ToySource(), tmp_path / "other", say=silent)
    assert contents(final(root)) == contents(final(tmp_path / "other"))


def test_two_at_once(root: Path, straight: dict[str, bytes], start: Start, tmp_path: Path) -> None:
    process = start(prepare_slowly, root, tmp_path)
    while not (tmp_path / "waiting").exists():
        assert process.is_alive()
        process.join(0.01)
    for force in (False, True):
        with pytest.raises(DataError, match=r"another process is preparing toy-16px.*wait"):
            prepare(ToySource(), root, force=force, say=silent)
    prepare(ToySource(), root, resolution=8, say=silent)  # another folder
    (tmp_path / "go").touch()
    process.join()
    assert process.exitcode == 0
    assert contents(final(root)) == straight


def test_already_prepared(root: Path, straight: dict[str, bytes], tmp_path: Path) -> None:
    prepare(ToySource(), root, say=silent)
    before, said = final(root).stat().st_ino, list[str]()
    (root / "toy").rename(tmp_path / "away")  # the originals are no longer needed
    prepare(ToySource(tmp_path / "log"), root, say=said.append)
    assert said == [f"{final(root)} is prepared; --force prepares it again"]
    assert not (tmp_path / "log").exists()
    (tmp_path / "away").rename(root / "toy")
    prepare(ToySource(tmp_path / "log"), root, force=True, say=silent)
    assert contents(final(root)) == straight and final(root).stat().st_ino != before
    assert (tmp_path / "log").read_text().split() == sorted(LENGTHS)
    assert [path.name for path in (root / "prepared").glob(".*")] == [".toy-16px.lock"]


def test_what_a_kill_left_beside_whole_data_is_removed(root: Path) -> None:
    prepare(ToySource(), root, say=silent)
    for kind in ("part", "sorted", "old"):
        (root / "prepared" / f".toy-16px.{kind}").mkdir()
    prepare(ToySource(), root, say=silent)
    assert [path.name for path in (root / "prepared").glob(".*")] == [".toy-16px.lock"]


def test_killed_after_the_name_of_a_sorted_copy(
    root: Path, straight: dict[str, bytes], start: Start, tmp_path: Path
) -> None:
    """The part that it was copied from is left, and there is nothing to go on with."""
    (root / "toy" / "test-00.toy").write_text("[5]#")
    with pytest.raises(DamagedFile):
        prepare(ToySource(), root, say=silent)
    write_toys(root / "toy", {"test-00.toy": LENGTHS["test-00.toy"]})
    start(prepare_and_die, root, tmp_path / "log", "after the name").join()
    assert visible(root) == ["toy-16px"] and unfinished(final(root)) == 7
    (root / "toy").rename(tmp_path / "away")
    prepare(ToySource(), root, say=silent)
    assert contents(final(root)) == straight
    assert [path.name for path in (root / "prepared").glob(".*")] == [".toy-16px.lock"]


def test_force_leaves_the_old_one_until_the_new_one_is_whole(root: Path) -> None:
    prepare(ToySource(), root, say=silent)
    (root / "toy" / "train-03.toy").write_text("[2]#")
    with pytest.raises(DamagedFile):
        prepare(ToySource(), root, force=True, say=silent)
    assert verify(final(root)).splits["train"].videos == 7


def test_force_reads_everything_anew(root: Path, start: Start, tmp_path: Path) -> None:
    start(prepare_and_die, root, tmp_path / "dead", "video train-02.toy/1").join()
    prepare(ToySource(tmp_path / "log"), root, force=True, say=silent)
    assert (tmp_path / "log").read_text().split() == sorted(LENGTHS)


def test_what_force_began_goes_on_without_it(
    root: Path, straight: dict[str, bytes], tmp_path: Path
) -> None:
    prepare(ToySource(), root, say=silent)
    (root / "toy" / "train-03.toy").write_text("[2]#")
    with pytest.raises(DamagedFile):
        prepare(ToySource(), root, force=True, say=silent)
    write_toys(root / "toy", {"train-03.toy": LENGTHS["train-03.toy"]})
    before = final(root).stat().st_ino
    prepare(ToySource(tmp_path / "log"), root, say=silent)
    assert (tmp_path / "log").read_text().split() == ["train-03.toy"]
    assert contents(final(root)) == straight and final(root).stat().st_ino != before
    assert [path.name for path in (root / "prepared").glob(".*")] == [".toy-16px.lock"]


def test_a_newer_source_prepares_again(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare(ToySource(), root, say=silent)
    monkeypatch.setattr(ToySource, "version", 2)
    said: list[str] = []
    assert prepare(ToySource(), root, say=said.append).version == 2
    assert "was prepared by version 1 of toy, which now is 2: preparing it again" in said[0]


def test_damaged_originals(root: Path, straight: dict[str, bytes], tmp_path: Path) -> None:
    """All are listed, the good ones are kept, and the repaired ones go where they belong."""
    bad = {"train-01.toy": "[3, 5]#", "test-00.toy": "[5]#"}
    for name, text in bad.items():
        (root / "toy" / name).write_text(text)
    with pytest.raises(DamagedFile, match="2 damaged originals among 7.*--skip-dam") as caught:
        prepare(ToySource(tmp_path / "log"), root, say=silent)
    for name in bad:
        assert f"{root / 'toy' / name}: found a #, expected none; get it again" in str(
            caught.value
        )
    assert visible(root) == [] and unfinished(final(root)) == 5
    write_toys(root / "toy", {name: LENGTHS[name] for name in bad})
    (tmp_path / "log").unlink()
    prepare(ToySource(tmp_path / "log"), root, say=silent)
    assert (tmp_path / "log").read_text().split() == sorted(bad)
    assert contents(final(root)) == straight
    assert [path.name for path in (root / "prepared").glob(".*")] == [".toy-16px.lock"]


def test_damaged_originals_left_out(root: Path) -> None:
    (root / "toy" / "train-02.toy").write_text("[2, 2, 6]#")
    said: list[str] = []
    prepared = prepare(ToySource(), root, skip_damaged=True, say=said.append)
    text = "train-02.toy: found a #, expected none; get it again"  # without the folder
    assert prepared.skipped == {"train-02.toy": text}
    assert prepared.published == {"train": 8, "test": 3}
    assert not any("train-02" in name for name in prepared.splits["train"].names)
    assert "left out as damaged: train-02.toy" in said
    assert any("train has 5 videos where 8 are published" in line for line in said)


def test_an_original_that_cannot_be_opened(root: Path) -> None:
    (root / "toy" / "train-02.toy").unlink()
    (root / "toy" / "train-02.toy").mkdir()
    with pytest.raises(DamagedFile, match=r"train-02.toy: found Is a directory"):
        prepare(ToySource(), root, say=silent)


def test_a_split_that_is_left_empty(root: Path) -> None:
    for name in ("test-00.toy", "test-01.toy"):
        (root / "toy" / name).write_text("[1]#")
    prepared = prepare(ToySource(), root, skip_damaged=True, say=silent)
    assert prepared.splits["test"].videos == 0
    assert verify(final(root)).splits["test"].frames.shape == (0, 16, 16, 1)


def test_nothing_is_left(root: Path) -> None:
    for name in LENGTHS:
        (root / "toy" / name).write_text("[1]#")
    with pytest.raises(DataError, match="all 7 originals in .* are damaged"):
        prepare(ToySource(), root, skip_damaged=True, say=silent)
    assert visible(root) == []


def test_no_originals(tmp_path: Path) -> None:
    with pytest.raises(MissingFiles, match=f"looked for toys in {tmp_path / 'toy'}"):
        prepare(ToySource(), tmp_path, say=silent)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"resolution": 3}, r"resolution \(px\) .* at least 4"), ({"workers": -1}, "workers")],
)
def test_wrong_arguments(root: Path, options: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        prepare(ToySource(), root, say=silent, **options)  # type: ignore[arg-type]


@contextmanager
def file_size_limit(folder: Path, size: int) -> Iterator[None]:
    """No file may grow beyond `size` bytes, as under a quota."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))  # Python ignores the signal
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def small_disk(folder: Path, pages: int) -> Iterator[None]:
    """A disk of some pages, which is a large one behind the block. Each file takes a page."""
    folder.mkdir()
    page = resource.getpagesize()
    options = ["-t", "tmpfs", "-o", f"size={pages * page}", "tmpfs", str(folder)]
    if subprocess.run(["mount", *options], capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a small disk")
    yield
    subprocess.run(["mount", "-o", f"remount,size={200 * page}", str(folder)], check=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on which a disk may be mounted."""
    yield tmp_path / "disk"
    if (tmp_path / "disk").is_mount():
        subprocess.run(["umount", str(tmp_path / "disk")], check=True)


@pytest.mark.parametrize(
    ("filled", "size"),
    [
        # The last one is too small for the picture alone.
        *((file_size_limit, size) for size in (100, 700, 1500, 3000, 10_000)),
        *((small_disk, pages) for pages in (1, 3, 5, 7, 9, 12)),
    ],
)
def test_a_full_disk(
    root: Path, straight: dict[str, bytes], disk: Path, filled: Any, size: int
) -> None:
    """Wherever it becomes full: a clear error, and the same command goes on."""
    with (
        filled(disk, size),
        pytest.raises(DataError, match="cannot write .*make room and give the same command again"),
    ):
        prepare(ToySource(), disk, folder=root / "toy", say=silent)
    assert visible(disk) == []
    prepare(ToySource(), disk, folder=root / "toy", say=silent)
    assert contents(final(disk)) == straight


@pytest.mark.parametrize("module", ["journal", "arrays"])
@pytest.mark.parametrize("nth", [1, 2, 5, 10])
def test_a_write_that_is_refused(
    root: Path,
    straight: dict[str, bytes],
    monkeypatch: pytest.MonkeyPatch,
    module: str,
    nth: int,
) -> None:
    """With half of it written."""
    target = f"pyrovp.data.store.{module}.write_all"
    calls = 0

    def refuse(file: Any, data: memoryview) -> None:
        nonlocal calls
        calls += 1
        if calls == nth:
            file.write(data[: len(data) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")
        while data:
            data = data[file.write(data) :]

    monkeypatch.setattr(target, refuse)
    if (module, nth) == ("journal", 10):
        prepare(ToySource(), root, say=silent)  # it has only eight lines
    else:
        with pytest.raises(DataError, match="No space left on device; make room"):
            prepare(ToySource(), root, say=silent)
        assert visible(root) == []
        prepare(ToySource(), root, say=silent)
    assert contents(final(root)) == straight


@contextmanager
def nobody() -> Iterator[None]:
    """Root may write everywhere, so it must not be root."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def read_only() -> Iterator[Path]:
    """A folder that others may read; pytest's own folders are its owner's alone."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        yield folder
        for path in [folder, *folder.rglob("*")]:
            path.chmod(0o755)


def test_a_read_only_root(read_only: Path) -> None:
    write_toys(read_only / "toy")
    read_only.chmod(0o555)
    advice = "cannot write .*Permission denied; choose another folder .*--root.*--originals"
    with nobody(), pytest.raises(DataError, match=advice):
        prepare(ToySource(), read_only, say=silent)
    assert [path.name for path in read_only.iterdir()] == ["toy"]


def test_a_read_only_root_serves_what_is_prepared(read_only: Path) -> None:
    write_toys(read_only / "toy")
    prepare(ToySource(), read_only, say=silent)
    for path in [*read_only.rglob("*"), read_only]:
        path.chmod(0o555)
    with nobody():
        assert prepare(ToySource(), read_only, say=silent).splits["train"].videos == 7


def test_a_root_that_is_a_file(root: Path) -> None:
    (root / "prepared").touch()
    with pytest.raises(DataError, match="cannot write .*choose another folder"):
        prepare(ToySource(), root, say=silent)


@pytest.mark.usefixtures("server")
def test_workers_change_nothing(root: Path, straight: dict[str, bytes]) -> None:
    """Neither the order nor what a damaged original leaves behind in its pipe."""
    damage = {"train-01.toy": "[3, 5]#", "test-00.toy": "[]", "test-01.toy": "[0, 3, 2]"}
    for name, text in damage.items():
        (root / "toy" / name).write_text(text)
    with pytest.raises(DamagedFile, match="3 damaged originals among 7") as caught:
        prepare(ToySource(), root, workers=2, say=silent)
    for error in ("01.toy: found a #", "00.toy: found no video", "01.toy: found no frames"):
        assert error in str(caught.value)
    assert unfinished(final(root)) == 4
    write_toys(root / "toy")
    prepare(ToySource(), root, say=silent)
    assert contents(final(root)) == straight


@pytest.mark.usefixtures("server")
def test_a_reading_process_that_ends(root: Path) -> None:
    with pytest.raises(DataError, match=r"reading test-00.toy ended before it was done"):
        prepare(Deserter(), root, workers=1, say=silent)


@pytest.mark.usefixtures("server")
def test_a_reading_process_that_ends_in_the_middle_of_a_video(root: Path) -> None:
    with pytest.raises(DataError, match=r"reading test-00.toy ended before it was done"):
        prepare(HalfSender(), root, workers=1, say=silent)


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize("workers", [0, 1])
def test_a_mistake_in_a_source_names_the_original(root: Path, workers: int) -> None:
    """It is no `ValueError`, which would be taken for a wrong setting."""
    with pytest.raises(RuntimeError, match=r"test-00.toy could not be read: ValueError\('oh'\)"):
        prepare(Mistaken(), root, workers=workers, say=silent)


def test_one_video_at_a_time(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No video is asked for before the frames and both states of the one before are stored."""
    written, counts = list[None](), list[int]()
    append = GrowingArray.append

    def noted(array: GrowingArray, values: Any) -> memoryview:
        written.append(None)
        return append(array, values)

    monkeypatch.setattr(GrowingArray, "append", noted)
    prepare(ToySource(before=lambda name: counts.append(len(written))), root, say=silent)
    assert counts == list(range(0, 33, 3))
