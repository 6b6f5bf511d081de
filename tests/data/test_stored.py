"""Clips from prepared videos: which frames, in which order, and what they cost.

The videos are made so that a frame tells where it is from: all its bytes are 10 v + t, for frame t
of video v, and its state `place` is (v, t).
"""

import pickle
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from pyrovp.data import Item, StoredVideos, batches
from pyrovp.data.errors import DamagedFile, DataError, MissingFiles
from pyrovp.data.keyed import Split
from pyrovp.data.prepare import prepare
from pyrovp.data.sources.base import Footage, Original, Source
from pyrovp.data.stored import unit_frames

# Python 3.12 warns of a fork in a process with threads; torch's loader forks on Linux.
forks = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")

TRAIN = (7, 9, 6, 8, 10)
"""Frames of the training videos, in the order of their names."""
TEST = (6, 9, 7)


class Ramps(Source):
    """Videos that count up."""

    name: ClassVar[str] = "kth"  # a name that the command line knows
    title: ClassVar[str] = "Ramps"
    what: ClassVar[str] = "counting"
    licence: ClassVar[str] = "free"
    address: ClassVar[str] = "none"
    layout: ClassVar[str] = "none"
    size: ClassVar[str] = "0 GB"
    counts: ClassVar[Mapping[str, int]] = {}
    splits: ClassVar[str] = "as given"
    channels: ClassVar[int] = 1

    def __init__(self, splits: Mapping[Split, tuple[int, ...]]) -> None:
        self.lengths = {
            f"{split}-{v}": (split, v, frames)
            for split, videos in splits.items()
            for v, frames in enumerate(videos)
        }

    def originals(self, folder: Path) -> list[Original]:
        found = self.lengths.items()
        return sorted(
            (Original(name, split, folder) for name, (split, _, _) in found), key=lambda o: o.name
        )

    def read(self, original: Original, resolution: int) -> Iterator[Footage]:
        _, v, frames = self.lengths[original.name]
        values = 10 * v + np.arange(frames, dtype=np.uint8)
        shape = (frames, resolution, resolution, self.channels)
        video = np.broadcast_to(values[:, None, None, None], shape).copy()
        place = np.stack([np.full(frames, v), np.arange(frames)], axis=1).astype(np.float32)
        yield Footage(original.name, video, {"place": place})


class Colours(Ramps):
    """The same in pure red, which is a gray of 0.299."""

    channels: ClassVar[int] = 3

    def read(self, original: Original, resolution: int) -> Iterator[Footage]:
        for footage in super().read(original, resolution):
            footage.frames[..., 1:] = 0
            yield footage


Make = Callable[..., StoredVideos]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "kth").mkdir()
    return tmp_path


def silent(text: str) -> None:
    """Says nothing."""


@pytest.fixture
def make(root: Path) -> Make:
    """Makes data sets of the videos above."""
    source = Ramps({"train": TRAIN, "validation": (9,), "test": TEST})
    prepare(source, root, resolution=8, say=silent)

    def call(split: Split = "train", length: int = 4, **options: Any) -> StoredVideos:
        return StoredVideos(split, length, "kth", root, resolution=8, **options)

    return call


def place(item: Item) -> tuple[int, int]:
    """(v, t) of a clip's first frame, after looking at all of its pixels and states."""
    (v, t), length = item["states"]["place"][0].int().tolist(), len(item["video"])
    expected = (10 * v + t + torch.arange(length)).to(torch.float32) / 255
    assert torch.equal(item["video"], expected[:, None, None, None].expand_as(item["video"]))
    assert item["states"]["place"][:, 0].eq(v).all()
    assert item["states"]["place"][:, 1].tolist() == list(range(t, t + length))
    return v, t


def places(data: StoredVideos) -> list[tuple[int, int]]:
    """The same of all clips of a held-out set."""
    return [place(data[index]) for index in range(len(data))]


def test_held_out_items_are_the_videos_from_their_first_frame(make: Make) -> None:
    assert places(make("test")) == [(0, 0), (1, 0), (2, 0)]
    assert places(make("validation", length=9)) == [(0, 0)]


@pytest.mark.parametrize(("asked", "size"), [(None, 3), (2, 2), (3, 3), (64, 3)])
def test_held_out_sets_are_finite(make: Make, asked: int | None, size: int) -> None:
    assert len(make("test", size=asked)) == size
    assert len(make("train", size=asked)) == (2**31 if asked is None else asked)


def test_an_item_is_of_the_documented_kind(make: Make) -> None:
    data = make()
    item = data[3]
    assert item["video"].shape == (4, *data.frame_shape) == (4, 1, 8, 8)
    assert item["video"].dtype == item["states"]["place"].dtype == torch.float32
    assert item["video"].is_contiguous()
    assert item["states"]["place"].shape == (4, 2)
    assert data.pieces == 5
    assert "Ramps" in data.source and "5 videos" in data.source and "free" in data.source


@pytest.mark.parametrize("seed", [0, 3])
def test_an_epoch_shows_every_video_once_in_the_order_of_its_key(make: Make, seed: int) -> None:
    """The rule written out: a permutation per epoch, a start per item."""
    data = make(seed=seed)
    for epoch in (0, 1, 7):
        order = np.random.default_rng((seed, 0, 2**32 + epoch)).permutation(5)
        shown = []
        for index in range(5 * epoch, 5 * epoch + 5):
            v, t = place(data[index])
            starts = TRAIN[v] - 4 + 1
            assert t == np.random.default_rng((seed, 0, index)).integers(starts)
            shown.append(v)
        assert shown == order.tolist()
        assert sorted(shown) == [0, 1, 2, 3, 4]


def test_every_start_is_drawn_and_none_beyond(make: Make) -> None:
    """One of 20 starts stays out of 60 epochs with a chance below (6/7)^60 * 20 < 2e-3."""
    data = make()
    seen = {place(data[index]) for index in range(300)}
    assert seen == {(v, t) for v, frames in enumerate(TRAIN) for t in range(frames - 4 + 1)}


def test_the_order_of_reading_has_no_say(make: Make) -> None:
    data = make()
    forward = [place(data[index]) for index in range(12)]
    backward = [place(data[index]) for index in reversed(range(12))]
    assert forward == backward[::-1]
    last = make(length=10, skip_short=True)
    assert place(last[2**31 - 1]) == (4, 0)


def test_cut_videos(make: Make) -> None:
    """The rest of a video that makes no piece is left out; a test video is not cut."""
    assert places(make("test", cut=4)) == places(make("test"))
    assert make("test", length=5, cut=4).length == 5  # longer than what is trained on
    training = make(length=3, cut=4)
    seen = {place(training[index]) for index in range(20 * training.pieces)}
    whole = [(v, 4 * n) for v, frames in enumerate(TRAIN) for n in range(frames // 4)]
    assert training.pieces == len(whole) == 8
    assert seen == {(v, first + late) for v, first in whole for late in (0, 1)}


@pytest.mark.parametrize(
    ("options", "needed", "advice"),
    [
        ({"length": 8}, "fewer than 8 frames (length=8)", "use a smaller length, or skip_short"),
        ({"cut": 8}, "fewer than 8 frames (cut=8)", "use a smaller cut, or skip_short=true"),
    ],
)
def test_videos_that_are_too_short(
    make: Make, options: dict[str, Any], needed: str, advice: str
) -> None:
    with pytest.raises(DataError) as error:
        make("train", **options)
    text = str(error.value)
    assert text.startswith("2 of the 5 train videos of kth have ") and "shortest 6" in text
    assert needed in text and advice in text
    left = make("train", **options, skip_short=True)
    assert {place(left[index])[0] for index in range(3)} == {1, 3, 4}


def test_no_video_is_long_enough(make: Make) -> None:
    with pytest.raises(DataError) as error:
        make("test", length=10, skip_short=True)
    assert "3 of the 3 test videos" in str(error.value)
    assert "skip_short" not in str(error.value)


def test_pixels_known_by_hand() -> None:
    """White stays exactly 1, primaries are BT.601's weights, grays are themselves."""
    colours = np.array([[255, 255, 255], [255, 0, 0], [0, 255, 0], [0, 0, 255], [51, 51, 51]])
    frames = colours.astype(np.uint8).reshape(5, 1, 1, 3)
    gray = unit_frames(frames, 1)
    assert gray.shape == (5, 1, 1, 1) and gray.dtype == np.float32
    assert gray.ravel().tolist() == np.array([1, 0.299, 0.587, 0.114, 0.2], np.float32).tolist()
    assert unit_frames(frames, 3)[1].ravel().tolist() == [1, 0, 0]
    again = unit_frames((gray[4:] * 255).astype(np.uint8).transpose(0, 2, 3, 1), 3)
    assert again.shape == (1, 3, 1, 1) and again.flags.c_contiguous
    assert again.ravel().tolist() == [np.float32(0.2)] * 3


def test_channels_come_first() -> None:
    frames = np.arange(2 * 4 * 5 * 3, dtype=np.uint8).reshape(2, 4, 5, 3)
    unit = unit_frames(frames, 3)
    assert unit.shape == (2, 3, 4, 5) and unit.flags.c_contiguous
    assert unit[1, 2, 3, 4] == np.float32(frames[1, 3, 4, 2]) / np.float32(255)


def test_gray_and_colour(make: Make, root: Path) -> None:
    colour, gray = make("test", channels=3)[1]["video"], make("test")[1]["video"]
    assert torch.equal(colour, gray.expand(4, 3, 8, 8))
    red = Colours({"train": TRAIN, "test": TEST})
    prepare(red, root, resolution=8, force=True, say=silent)
    assert make("test").channels == 3
    luma = make("test", channels=1)[1]["video"]
    torch.testing.assert_close(luma, 0.299 * gray)
    with pytest.raises(ValueError, match=r"channels must be 1 \(gray\) or 3 \(colour\), got 2"):
        make("test", channels=2)


def test_an_item_is_a_copy(make: Make) -> None:
    data = make("test")
    item = data[0]
    item["video"].zero_()
    item["states"]["place"].zero_()
    assert place(data[0]) == (0, 0) and place(data[1]) == (1, 0)


def test_pickled_without_the_videos(
    make: Make, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("train.npy", "train.place.npy"):  # beyond what a pickle may hold by chance
        assert (root / "prepared" / "kth-8px" / name).stat().st_size > 400
    monkeypatch.chdir(root)
    data = StoredVideos("train", 4, "kth", ".", resolution=8)
    pickled = pickle.dumps(data)
    monkeypatch.chdir("/")  # the worker's
    copy = pickle.loads(pickled)
    assert all(torch.equal(copy[i]["video"], data[i]["video"]) for i in range(7))
    assert copy.fingerprint() == data.fingerprint()
    frames = np.asarray(data._stored.frames)
    assert frames[:3].tobytes() not in pickled


def test_prepared_anew_under_the_feet_of_a_worker(make: Make, root: Path) -> None:
    pickled = pickle.dumps(make())
    other = Ramps({"train": (*TRAIN[:4], 9), "test": TEST})
    prepare(other, root, resolution=8, force=True, say=silent)
    with pytest.raises(DataError, match="was prepared anew in the meantime"):
        pickle.loads(pickled)


@forks
def test_workers_change_nothing(make: Make) -> None:
    alone, helped = batches(make(), 3, start_step=1), batches(make(), 3, start_step=1, workers=2)
    for _ in range(4):
        first, second = next(alone), next(helped)
        assert torch.equal(first["video"], second["video"])
        assert torch.equal(first["states"]["place"], second["states"]["place"])


def test_the_fingerprint_names_the_clips_and_the_hash_their_material(
    make: Make, root: Path
) -> None:
    variants: list[dict[str, Any]] = [
        {}, {"split": "test"}, {"length": 3}, {"cut": 4}, {"skip_short": True}, {"channels": 3},
        {"seed": 1}, {"size": 5},
    ]  # fmt: skip
    made = [make(**variant) for variant in variants]
    assert len({data.fingerprint() for data in made}) == len(variants)
    assert make().fingerprint() == made[0].fingerprint()
    assert len({data.split_hash() for data in made}) == 2  # of train and of test
    assert len(made[0].split_hash()) == 16
    before = made[0]
    dark = Colours({"train": TRAIN, "validation": (9,), "test": TEST})
    prepare(dark, root, resolution=8, force=True, say=silent)
    assert make(channels=1).split_hash() == before.split_hash()  # names and lengths are the same
    assert make(channels=1).fingerprint() != before.fingerprint()  # the pixels are not


def test_not_prepared(make: Make, root: Path) -> None:
    with pytest.raises(MissingFiles) as error:
        StoredVideos("train", 4, "kth", root, resolution=64)
    text = str(error.value)
    assert str(root / "prepared" / "kth-64px") in text and "only kth-8px" in text
    assert f"python -m pyrovp.data prepare kth --resolution 64 --root {root}" in text


def test_a_misspelt_name(root: Path) -> None:
    with pytest.raises(DataError, match="did you mean 'kth'"):
        StoredVideos("train", 4, "khth", root)


def test_a_set_of_ones_own_that_is_not_prepared(root: Path) -> None:
    with pytest.raises(MissingFiles) as error:
        StoredVideos("train", 4, "ducks", root)
    assert f"there is no folder {root / 'prepared' / 'ducks-64px'};" in str(error.value)
    assert "pyrovp.data prepare --source MODULE:CLASS --resolution 64" in str(error.value)


def test_the_environment_says_where(make: Make, root: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("PYROVP_DATA", str(root))
    assert len(StoredVideos("test", 4, "kth", resolution=8)) == 3


@pytest.mark.parametrize(
    ("split", "advice"),
    [
        ("train", "it can only be evaluated on: train on another data set"),
        ("validation", "do without a validation, or prepare more originals"),
    ],
)
def test_a_split_that_is_not_there(root: Path, split: Split, advice: str) -> None:
    prepare(Ramps({"test": TEST}), root, resolution=8, say=silent)
    with pytest.raises(DataError) as error:
        StoredVideos(split, 4, "kth", root, resolution=8)
    text = str(error.value)
    assert text.startswith(f"kth has no videos for {split} (it has 3 for test") and advice in text


class Damaged(Ramps):
    """The same without its test videos, which cannot be read."""

    def read(self, original: Original, resolution: int) -> Iterator[Footage]:
        if original.split == "test":
            raise DamagedFile(original.path, "noise", "a video", "replace it")
        return super().read(original, resolution)


def test_a_split_of_which_nothing_is_left(root: Path) -> None:
    prepare(
        Damaged({"train": TRAIN, "test": TEST}), root, resolution=8, skip_damaged=True, say=silent
    )
    with pytest.raises(DataError, match=r"no videos for test \(it has 4 for train, 1 for valid"):
        StoredVideos("test", 4, "kth", root, resolution=8)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"split": "val"}, "did you mean 'validation'"),
        ({"length": 0}, "length .* at least 1, got 0"),
        ({"cut": 0}, "cut .* at least 1, got 0"),
        ({"cut": 3}, "cut=3 makes pieces that are shorter than a clip of length=4"),
        ({"size": 0}, "size .* at least 1, got 0"),
        ({"split": "test", "size": -1}, "size .* at least 1, got -1"),
        ({"seed": -1}, "seed .* at least 0, got -1"),
    ],
)
def test_wrong_arguments(make: Make, wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(**wrong)
