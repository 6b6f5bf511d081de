"""The prepared form: what is in the files, what is refused, and what a part survives."""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from pyrovp.data.contact_sheet import Strip, contact_sheet
from pyrovp.data.errors import DamagedFile, DataError, MissingFiles
from pyrovp.data.places import (
    data_root,
    originals_folder,
    prepare_command,
    prepared_folder,
    prepared_resolutions,
)
from pyrovp.data.sources.base import Footage, Original
from pyrovp.data.store import FORM, Head, Part, finish, open_prepared, split_hash, verify
from pyrovp.data.store.arrays import HEADER, GrowingArray
from pyrovp.data.store.journal import Journal
from tests.data.toy_source import footage

HEAD = Head(FORM, "toy", 1, 16, 1, "abc")
FACTS = {"title": "Toys", "licence": "free", "published": {}, "skipped": {}}
VIDEOS = {"train-a": [3, 5], "test-a": [4], "train-b": [1]}


def original(name: str) -> Original:
    return Original(name, "train" if name.startswith("train") else "test", Path(name))


def videos(name: str) -> Iterator[Footage]:
    return (footage(f"{name}/{n}", length) for n, length in enumerate(VIDEOS[name]))


def fill(folder: Path) -> Part:
    """A part with all of the videos."""
    part = Part(folder, HEAD)
    for name in VIDEOS:
        part.append(original(name), videos(name))
    return part


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A prepared data set; validation is a split without videos."""
    with closing(fill(tmp_path / "toy-16px")) as part:
        finish(part, ["train", "validation", "test"], FACTS)
    return tmp_path / "toy-16px"


def test_places(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("PYROVP_DATA", raising=False)
    assert data_root() == Path("data")
    assert originals_folder(None, "kth") == Path("data/kth")
    monkeypatch.setenv("PYROVP_DATA", "/tank")
    assert data_root() == Path("/tank")
    assert prepared_folder(None, "kth", 64) == Path("/tank/prepared/kth-64px")
    assert data_root("here") == Path("here")
    assert "--root" not in prepare_command("/tank", "kth", 64)
    assert "--root '/a b'" in prepare_command("/a b", "kth", 64)
    for name in ("kth-128px", "kth-64px", "kth_more-32px", "kth-xpx", ".kth-16px.part"):
        (tmp_path / "prepared" / name).mkdir(parents=True)
    assert prepared_resolutions(tmp_path, "kth") == [64, 128]


def test_what_is_stored(folder: Path) -> None:
    """Read with numpy alone."""
    train = [*videos("train-a"), *videos("train-b")]
    frames = np.load(folder / "train.npy", mmap_mode="r")
    assert (frames.dtype, frames.shape) == (np.uint8, (9, 16, 16, 1))
    np.testing.assert_array_equal(frames, np.concatenate([video.frames for video in train]))
    for state in ("action", "speed"):
        values = np.load(folder / f"train.{state}.npy")
        assert values.dtype == np.float32
        np.testing.assert_array_equal(values, np.concatenate([v.states[state] for v in train]))
    with np.load(folder / "train.index.npz") as index:
        assert index["names"].tolist() == ["train-a/0", "train-a/1", "train-b/0"]
        assert index["starts"].tolist() == [0, 3, 8, 9]
    facts = json.loads((folder / "prepared.json").read_text())
    assert facts["splits"]["train"]["states"] == {"action": [2], "speed": []}
    assert facts["splits"]["validation"]["videos"] == 0
    noted = facts["splits"]["train"]["files"]["train.npy"]
    assert noted["sha256"] == hashlib.sha256((folder / "train.npy").read_bytes()).hexdigest()
    assert noted["bytes"] == HEADER + 9 * 16 * 16


def test_what_is_opened(folder: Path) -> None:
    prepared = open_prepared(folder)
    assert (prepared.name, prepared.resolution, prepared.channels) == ("toy", 16, 1)
    assert list(prepared.splits) == ["train", "validation", "test"]
    train = prepared.splits["train"]
    assert isinstance(train.frames, np.memmap) and not train.frames.flags.writeable
    assert (train.videos, train.lengths.tolist()) == (3, [3, 5, 1])
    np.testing.assert_array_equal(train.frames[3:8], footage("train-a/1", 5).frames)
    np.testing.assert_array_equal(
        train.states["speed"][8:], footage("train-b/0", 1).states["speed"]
    )
    empty = prepared.splits["validation"]
    assert (empty.videos, empty.frames.shape, empty.starts.tolist()) == (0, (0, 16, 16, 1), [0])
    assert verify(folder).splits["test"].names.tolist() == ["test-a/0"]


def test_the_hash_of_a_split(folder: Path) -> None:
    text = '[["train-a/0", 3], ["train-a/1", 5], ["train-b/0", 1]]'
    expected = hashlib.sha256(text.encode()).hexdigest()[:16]
    assert open_prepared(folder).splits["train"].hash == expected
    assert split_hash(["a"], [3]) != split_hash(["a"], [4])
    assert split_hash(["a"], [3]) != split_hash(["b"], [3])


@pytest.mark.parametrize("shape", [(), (2,), (16, 16, 3), (1, 2, 3, 4, 5, 6, 7)])
@pytest.mark.parametrize("rows", [0, 1, 5])
def test_an_array_is_one_once_it_is_finished(
    tmp_path: Path, rows: int, shape: tuple[int, ...]
) -> None:
    values = np.random.default_rng(0).random((rows, *shape), np.float32)
    path = tmp_path / "a.npy"
    with closing(GrowingArray(path, "<f4", shape)) as array:
        for row in values:
            array.append(row[None])
        with pytest.raises(ValueError):
            np.load(path)
        array.finish()
    np.testing.assert_array_equal(np.load(path, mmap_mode="r"), values, strict=True)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def grow(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0")


def unheaded(path: Path) -> None:
    path.write_bytes(bytes(HEADER) + path.read_bytes()[HEADER:])


def other_form(path: Path) -> None:
    path.write_text(path.read_text().replace('"form": 1', '"form": 2'))


def no_splits(path: Path) -> None:
    path.write_text(path.read_text().replace('"splits"', '"spilt"'))


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        ("train.npy", cut, r"train.npy: found 2559 bytes, expected 2560 bytes"),
        ("train.npy", grow, r"train.npy: found 2561 bytes"),
        ("train.npy", Path.unlink, r"train.npy: found no file"),
        ("train.npy", unheaded, r"train.npy: found content that cannot be used"),
        ("test.npy", cut, r"test.npy: found"),
        ("train.action.npy", cut, r"train.action.npy: found"),
        ("train.index.npz", cut, r"train.index.npz: found"),
        ("validation.npy", Path.unlink, r"validation.npy: found no file"),
        ("prepared.json", Path.unlink, r"toy-16px: found no prepared.json"),
        ("prepared.json", cut, r"JSON|bytes"),
        ("prepared.json", other_form, r"in form 2 .* reads form 1"),
        ("prepared.json", no_splits, r"prepared.json: found content .*KeyError"),
    ],
)
def test_what_is_not_whole_is_refused(
    folder: Path, name: str, damage: Callable[[Path], None], message: str
) -> None:
    if (name, damage) == ("prepared.json", cut):  # its last byte is only a line feed
        cut(folder / name)
    damage(folder / name)
    with pytest.raises(DataError, match=message) as caught:
        open_prepared(folder)
    command = prepare_command(folder.parent.parent, "toy", 16, "--force", own=True)
    assert command in str(caught.value)


def test_what_is_not_there(tmp_path: Path) -> None:
    folder = tmp_path / "prepared" / "toy-16px"
    command = f"prepare --source MODULE:CLASS --resolution 16 --root {tmp_path}"
    with pytest.raises(MissingFiles, match=f"no prepared data set in {folder}.*{command}$"):
        open_prepared(folder)


@pytest.mark.parametrize(
    ("name", "place"),
    [("train.npy", 300), ("test.npy", -1), ("train.speed.npy", 260), ("train.index.npz", None)],
)
def test_verify_finds_a_flipped_bit(folder: Path, name: str, place: int | None) -> None:
    data = bytearray((folder / name).read_bytes())
    # In the index, a letter of a video's name; the archive's own checksum is seen to by opening.
    place = data.index(b"t\0\0\0r") if place is None else place
    data[place] ^= 1
    (folder / name).write_bytes(data)
    with pytest.raises(DamagedFile, match=f"{name}.*--force"):
        verify(folder)


def test_verify_finds_an_edited_hash(folder: Path) -> None:
    path, digits = folder / "prepared.json", open_prepared(folder).splits["test"].hash
    path.write_text(path.read_text().replace(digits, "0" * 16))
    open_prepared(folder)
    with pytest.raises(DamagedFile, match=r"the hash of test"):
        verify(folder)


@pytest.mark.parametrize(
    ("video", "error", "message"),
    [
        (Footage("x", np.zeros((0, 16, 16, 1), np.uint8)), DamagedFile, "found no frames"),
        (Footage("x", np.zeros((2, 16, 16, 1), np.uint8)), DamagedFile, r"found states {}, .*act"),
        (Footage("x", np.zeros((2, 16, 16, 3), np.uint8)), DataError, r"uint8 \[2, 16, 16, 3\]"),
        (Footage("x", np.zeros((2, 16, 16, 1), np.float32)), DataError, "frames of float32"),
        (footage("train-a/1", 3), DataError, "name of another"),
        (Footage("x", footage("x", 3).frames, footage("x", 2).states), DataError, r"\[3, ...\]"),
        (
            Footage("x", footage("x", 3).frames, {"action": np.zeros((3, 0), np.float32)}),
            DataError,
            r"states 'action' of float32 \[3, 0\]",
        ),
        (None, DamagedFile, "found no video"),
    ],
)
def test_what_cannot_be_stored(
    tmp_path: Path, video: Footage | None, error: type[DataError], message: str
) -> None:
    """And nothing of it stays, nor of what came before it in the same original."""
    with closing(fill(tmp_path / "part")) as part:
        before = {path.name: path.read_bytes() for path in part.folder.iterdir()}
        with pytest.raises(error, match=message):
            part.append(original("train-c"), [] if video is None else [footage("y", 3), video])
        assert {path.name: path.read_bytes() for path in part.folder.iterdir()} == before
        part.append(original("train-d"), [footage("y", 3)])
        assert finish(part, ["train"], FACTS).splits["train"].names[-1] == "y"


def test_states_that_only_a_damaged_original_had(tmp_path: Path) -> None:
    def broken() -> Iterator[Footage]:
        yield footage("x", 3)
        raise DamagedFile("x", "a", "b", "c")

    with closing(Part(tmp_path / "part", HEAD)) as part:
        with pytest.raises(DamagedFile):
            part.append(original("train-a"), broken())
        part.append(original("train-b"), [Footage("y", footage("y", 3).frames)])
        finish(part, ["train"], FACTS)
    names = {path.name for path in (tmp_path / "part").iterdir()}
    assert names == {"journal.jsonl", "prepared.json", "train.index.npz", "train.npy"}


@pytest.mark.parametrize("file", ["train.npy", "train.speed.npy", "test.npy"])
@pytest.mark.parametrize("damage", ["lost", "zeroed"])
def test_a_part_is_believed_as_far_as_its_bytes_agree(
    tmp_path: Path, file: str, damage: str
) -> None:
    """A power failure may keep the journal's lines and lose the end of an array."""
    fill(tmp_path / "part").close()
    whole = {path.name: path.read_bytes() for path in (tmp_path / "part").iterdir()}
    data = whole[file]
    (tmp_path / "part" / file).write_bytes(data[:-4] + (bytes(4) if damage == "zeroed" else b""))
    with closing(Part(tmp_path / "part", HEAD)) as part:
        kept = [record.name for record in part.records]
        assert kept == ["train-a", "test-a"] if file.startswith("train") else ["train-a"]
        for name in list(VIDEOS)[len(kept) :]:
            part.append(original(name), videos(name))
    assert {path.name: path.read_bytes() for path in (tmp_path / "part").iterdir()} == whole


def test_a_part_of_something_else_is_given_up(tmp_path: Path) -> None:
    fill(tmp_path / "part").close()
    other = Head(FORM, "toy", 2, 16, 1, "abc")
    with closing(Part(tmp_path / "part", other)) as part:
        assert (part.changed, part.records) == (["version"], [])
    assert [path.name for path in (tmp_path / "part").iterdir()] == ["journal.jsonl"]
    assert len((tmp_path / "part" / "journal.jsonl").read_text().splitlines()) == 1
    with closing(Part(tmp_path / "part", other)) as part:
        assert part.changed == []


@pytest.mark.parametrize("tail", [b'{"half', b'{"whole": 1}', b"\0\0\0\n", b"7\n", b"\n{}\n"])
def test_a_journal_ends_with_its_last_whole_line(tmp_path: Path, tail: bytes) -> None:
    path = tmp_path / "journal"
    first = Journal(path)
    first.append({"a": 1})
    first.append({"b": 2})
    whole = path.read_bytes()
    path.write_bytes(whole + tail)
    second = Journal(path)
    assert second.lines == [{"a": 1}, {"b": 2}]
    second.append({"c": 3})
    assert path.read_bytes() == whole + b'{"c": 3}\n'


def test_files_may_move(folder: Path, tmp_path: Path) -> None:
    shutil.move(folder, tmp_path / "elsewhere")
    assert verify(tmp_path / "elsewhere").splits["train"].videos == 3


def test_a_contact_sheet_writes_names_as_they_are(tmp_path: Path) -> None:
    """Letters that the font has are drawn; the same row with an escape looks otherwise."""
    shown = footage("a", 1).frames
    captions = []
    for n, name in enumerate(("größe", "grosse", "日本", r"\u65e5\u672c")):
        contact_sheet([Strip(name, shown)], tmp_path / f"{n}.png")
        picture = Image.open(tmp_path / f"{n}.png").convert("L").crop((0, 0, 600, 18))
        captions.append(ImageOps.invert(picture))
    written, plain = captions[0].getbbox(), captions[1].getbbox()
    assert written and plain  # left, top, right, bottom
    assert written[1] < plain[1] and written[2] < 1.2 * plain[2], "dots on an o, and no longer"
    assert captions[2].tobytes() == captions[3].tobytes()


@pytest.mark.parametrize("channels", [1, 3])
def test_the_contact_sheet(tmp_path: Path, channels: int) -> None:
    """Each frame is where it should be, four times as large, in its own colours."""
    shown = [footage("a", 3, channels=channels).frames, footage("b", 12, channels=channels).frames]
    rows = [Strip("train  a", shown[0]), Strip("test  " + "long " * 200 + "\u540d", shown[1])]
    contact_sheet(rows, tmp_path / "sheet.png")
    picture = np.asarray(Image.open(tmp_path / "sheet.png"))
    frames = [frame for row in shown for frame in row]
    found = [(y, x) for y in (18, 102) for x in range(2, picture.shape[1] - 64, 66)]
    found = [place for place in found if place[0] == 102 or place[1] < 2 + 3 * 66]
    for (y, x), frame in zip(found, frames, strict=True):
        tile = picture[y : y + 64 : 4, x : x + 64 : 4]
        np.testing.assert_array_equal(tile, np.broadcast_to(frame, (16, 16, 3)))
    assert (picture[18:82, 2 + 3 * 66 :] == 255).all(), "nothing behind the last frame"
