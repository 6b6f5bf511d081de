"""Cityscapes' groups against the published numbers, and its frames from folder and archive."""

import hashlib
import random
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pyrovp.data.errors import DamagedFile
from pyrovp.data.sources import cityscapes
from pyrovp.data.sources.base import Original
from pyrovp.data.sources.cityscapes import Cityscapes
from tests.data.sources.writers import encoded, plain, write_png

# Snippets of 30 frames in the folder train, by city.
SNIPPETS = {
    "aachen": 174, "bochum": 96, "bremen": 316, "cologne": 154, "darmstadt": 85,
    "dusseldorf": 221, "erfurt": 109, "hamburg": 248, "hanover": 196, "jena": 119, "krefeld": 99,
    "monchengladbach": 94, "strasbourg": 365, "stuttgart": 196, "tubingen": 144, "ulm": 95,
    "weimar": 142, "zurich": 122,
}  # fmt: skip
# Cities whose snippets share one sequence number or two.
SHARED = {
    "bochum": 1, "hamburg": 1, "hanover": 1, "krefeld": 1, "monchengladbach": 2, "strasbourg": 2,
}  # fmt: skip


def member(split: str, city: str, sequence: int, frame: int) -> str:
    name = f"{city}_{sequence:06d}_{frame:06d}_leftImg8bit.png"
    return f"leftImg8bit_sequence/{split}/{city}/{name}"


def published() -> Iterator[str]:
    for city, snippets in SNIPPETS.items():
        for snippet in range(snippets):
            if city in SHARED:
                sequence, start = snippet % SHARED[city], 100 * snippet
            else:
                sequence, start = snippet, 0
            yield from (member("train", city, sequence, start + t) for t in range(30))


def grouped(folder: Path, names: list[str], monkeypatch: pytest.MonkeyPatch) -> list[Original]:
    """The originals of a folder with these files in it."""
    monkeypatch.setattr(cityscapes, "members", lambda place: names if place == folder else [])
    return Cityscapes().originals(folder)


def test_1877_of_2975_snippets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = list(published())
    assert len(names) == 2975 * 30
    random.shuffle(names)
    found = grouped(tmp_path, names, monkeypatch)
    assert len(found) == 1877 == Cityscapes().counts["train"]
    assert {original.split for original in found} == {"train"}
    assert {original.name.split("/")[1] for original in found} == set(SNIPPETS) - set(SHARED)
    assert found[0].name == "train/aachen/aachen_000000" and found[0].path == tmp_path
    assert found[0].members == tuple(member("train", "aachen", 0, t) for t in range(30))


@pytest.mark.parametrize("frames", [1, 29, 31, 60])
def test_groups_of_other_sizes(
    frames: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [member("train", "ulm", 0, t) for t in range(frames)]
    names += [member("train", "ulm", 1, t) for t in range(30)]
    (original,) = grouped(tmp_path, names, monkeypatch)
    assert original.name == "train/ulm/ulm_000001"


def test_256_test_sequences_are_always_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups = [(city, n) for city in ("berlin", "munich") for n in range(200)]
    names = [member("test", city, n, t) for city, n in groups for t in range(30)]
    names += [member("val", "lindau", n, t) for n in range(9) for t in range(30)]
    drawn = grouped(tmp_path, names, monkeypatch)
    assert len(drawn) == 256 == Cityscapes().counts["test"]
    assert {original.split for original in drawn} == {"test"}
    cities = [original.name.split("/")[1] for original in drawn]
    assert 100 < cities.count("berlin") < 156  # a draw, not the first 256
    assert grouped(tmp_path, names[::-1], monkeypatch) == drawn
    listed = "\n".join(original.name for original in drawn)
    assert hashlib.sha256(listed.encode()).hexdigest()[:16] == "a74e9595f63a38d0"


def test_fewer_test_sequences_are_all_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [member("test", "bonn", n, t) for n in range(5) for t in range(30)]
    assert len(grouped(tmp_path, names, monkeypatch)) == 5


@pytest.mark.parametrize("prefix", ["leftImg8bit_sequence/", "cs/leftImg8bit_sequence/", ""])
def test_other_packages_beside_it(
    prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The package of single frames repeats frame 19 of each group."""
    plain = [f"train/ulm/ulm_000000_{t:06d}_leftImg8bit.png" for t in range(30)]
    others = [f"leftImg8bit/{plain[19]}", f"gtFine/{plain[19].replace('leftImg', 'gtFine')}"]
    others += [name.replace("left", "right") for name in plain]
    found = grouped(tmp_path, [prefix + name for name in plain] + others, monkeypatch)
    assert [original.name for original in found] == ["train/ulm/ulm_000000"]


def frame(t: int) -> np.ndarray:
    """Twice as wide as high; what lies beside the centre square is red and blue."""
    picture = plain((0, 8 * t, 0), 16, 32)
    picture[:, :8] = (255, 0, 0)
    picture[:, 24:] = (0, 0, 255)
    return picture


@pytest.mark.parametrize("kind", ["folder", "inner", "archive", "beside"])
def test_frames_are_centre_squares_in_order(kind: str, tmp_path: Path) -> None:
    names = [member("train", "ulm", 3, t) for t in range(30)]
    if kind in ("folder", "inner"):
        for t, name in enumerate(names):
            write_png(tmp_path / name, frame(t))
    else:
        path = tmp_path / "leftImg8bit_sequence_trainvaltest.zip"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("license.txt", "...")
            for t, name in reversed(list(enumerate(names))):
                archive.writestr(name, encoded(frame(t), "PNG"))
    place = {
        "inner": tmp_path / "leftImg8bit_sequence",
        "archive": tmp_path / "leftImg8bit_sequence_trainvaltest.zip",
    }.get(kind, tmp_path)
    (original,) = Cityscapes().originals(place)
    assert (original.name, original.split) == ("train/ulm/ulm_000003", "train")
    (video,) = Cityscapes().read(original, 8)
    assert video.name == original.name and video.states == {}
    expected = np.zeros((30, 8, 8, 3), np.uint8)
    expected[..., 1] = 8 * np.arange(30)[:, None, None]
    np.testing.assert_array_equal(video.frames, expected)


def test_a_damaged_frame_is_named(tmp_path: Path) -> None:
    for t in range(30):
        write_png(tmp_path / member("train", "ulm", 0, t), frame(t))
    bad = tmp_path / member("train", "ulm", 0, 17)
    bad.write_bytes(bad.read_bytes()[:40])
    (original,) = Cityscapes().originals(tmp_path)
    with pytest.raises(DamagedFile, match="ulm_000000_000017_leftImg8bit.png"):
        list(Cityscapes().read(original, 8))
