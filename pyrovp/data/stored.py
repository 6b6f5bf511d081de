"""Videos from files, prepared once (`pyrovp.data.prepare`), keyed like the generated ones.

The clips of a split come from its N pieces, which are its videos or, with `cut`, consecutive parts
of them. A training set goes through all pieces once an epoch, from a start that is drawn,

    item i of "train":  piece perm_e[i mod N] of epoch e = i // N,  start ~ U{0, ..., frames - T}
    item i otherwise:   piece i,                                    start = 0

With `cut` a test video is still one piece: what is predicted is longer than what was trained on.
perm_e comes from the generator of the epoch's key, default_rng((seed, split, 2^32 + e)), and
the start from the item's own. So an item is a function of its index, and a run resumes from its
step number alone. Pixels are stored as bytes p and returned as p / 255; a gray of a colour is

    y = 0.299 r + 0.587 g + 0.114 b    (the luma of ITU-R BT.601).

The stored array is mapped into memory: of the disk, only the frames that are asked for are read.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, final

import numpy as np
import torch
from numpy.typing import NDArray

from pyrovp.data.checks import one_of, whole
from pyrovp.data.errors import DataError, MissingFiles
from pyrovp.data.keyed import SPLITS, Item, KeyedVideos, Split
from pyrovp.data.places import prepare_command, prepared_folder
from pyrovp.data.registry import find_source
from pyrovp.data.store import Prepared, PreparedSplit, open_prepared
from pyrovp.data.store.sidecar import read_sidecar
from pyrovp.words import counted

__all__ = ["StoredVideos", "unit_frames"]

_ENDLESS = 2**31
# Epochs are keyed beyond every item, so that no epoch shares its generator with an item.
_EPOCHS = 2**32

# In thousandths: sums of bytes times these are whole numbers that float32 holds exactly, so the
# luma is the same to the last bit whatever matrix library adds them up.
_LUMA = np.array([299, 587, 114], np.float32)


@final
class StoredVideos(KeyedVideos):
    """Clips of a prepared data set.

    Validation and test sets are finite: they have one item a piece. Processes of a loader open
    the files anew instead of receiving a copy.

    Args:
        split: "train", "validation" or "test".
        length: Frames T of a clip.
        name: Of the data set, as `python -m pyrovp.data list` shows it.
        root: The folder of all data; by default the environment's PYROVP_DATA, or `data`.
        resolution: Height and width of a frame in px, as it was prepared.
        channels: 1 (gray) or 3 (colour); by default as stored.
        cut: Frames of a piece: videos to train on and to validate with are cut into consecutive
            pieces of so many, and the rest at their ends is left out. Test videos are not cut. By
            default a video is one piece.
        skip_short: Whether videos that are too short for a piece or a clip are left out.
        size: Number of items; by default 2^31 for training, otherwise as many as there are
            pieces, and never more.
        seed: First part of every item's key.

    Shapes:
        video: [T, C, R, R]
        states: name -> [T, ...] float32, what the data set knows of its frames

    Raises:
        MissingFiles: If the data set is not prepared at this resolution.
        DataError: If it has no videos for this split, or too short ones.
        ValueError: If an argument is out of range.
    """

    def __init__(
        self,
        split: Split,
        length: int,
        name: str,
        root: str | Path | None = None,
        resolution: int = 64,
        channels: int | None = None,
        cut: int | None = None,
        skip_short: bool = False,
        size: int | None = None,
        seed: int = 0,
    ) -> None:
        split = one_of("split", split, SPLITS)  # type: ignore[assignment]
        length = whole("length (frames of a clip)", length)
        resolution = whole("resolution (px)", resolution, minimum=4)
        self.name, self.skip_short = str(name), bool(skip_short)
        cut = None if cut is None else whole("cut (frames of a piece)", cut)
        self.cut = None if split == "test" else cut
        if self.cut is not None and self.cut < length:
            raise ValueError(
                f"cut={cut} makes pieces that are shorter than a clip of length={length} frames; "
                f"use a cut of {length} or more, or shorter clips"
            )
        prepared = _opened(root, self.name, resolution)
        self.folder = prepared.folder.absolute()  # a worker may stand in another folder
        self._stored = _split_of(prepared, split)
        self._pieces = _pieces(self._stored.starts, length, self.cut)
        if not self.skip_short or not self.pieces:
            _check_lengths(f"{split} videos of {self.name}", self._stored.starts, length, self.cut)
        count = self.pieces
        if split != "train":
            size = count if size is None else min(whole("size (items)", size), count)
        super().__init__(
            split,
            length,
            resolution,
            prepared.channels if channels is None else channels,
            _ENDLESS if size is None else size,
            seed,
        )
        self.source = (
            f"{prepared.title}, {split}: {counted(self._stored.videos, 'video')}, "
            f"{counted(len(self._stored.frames), 'frame')}; licence: {prepared.licence}"
        )
        self._sums = _sums(self.folder, split)
        self._epoch: tuple[int, NDArray[np.int64]] | None = None

    @property
    def pieces(self) -> int:
        """Number N of pieces that clips are taken from."""
        return len(self._pieces.first)

    def item(self, index: int, rng: np.random.Generator) -> Item:
        if self.split == "train":
            piece = int(self._order(index // self.pieces)[index % self.pieces])
            start = int(rng.integers(self._pieces.frames[piece] - self.length + 1))
        else:
            piece, start = index, 0
        first = int(self._pieces.first[piece]) + start
        part = slice(first, first + self.length)
        states = {name: np.array(values[part]) for name, values in self._stored.states.items()}
        return {
            "video": torch.from_numpy(unit_frames(self._stored.frames[part], self.channels)),
            "states": {name: torch.from_numpy(values) for name, values in states.items()},
        }

    def rules(self) -> Mapping[str, object]:
        return {
            "name": self.name,
            "material": self.split_hash(),
            "files": self._sums,
            "cut": self.cut,
            "skip_short": self.skip_short,
        }

    def split_hash(self) -> str:
        """See `KeyedVideos.split_hash`: the names and lengths of the split's videos."""
        return self._stored.hash

    def _order(self, epoch: int) -> NDArray[np.int64]:
        """The pieces in the order of an epoch; the newest one is kept."""
        if self._epoch is None or self._epoch[0] != epoch:
            key = (self.seed, SPLITS.index(self.split), _EPOCHS + epoch)
            self._epoch = epoch, np.random.default_rng(key).permutation(self.pieces)
        return self._epoch[1]

    def __getstate__(self) -> dict[str, Any]:
        """Without the maps, which would be pickled as copies of all they show."""
        return {name: value for name, value in self.__dict__.items() if name != "_stored"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._stored = _split_of(open_prepared(self.folder), self.split)
        if _sums(self.folder, self.split) != self._sums:
            raise DataError(f"{self.folder} was prepared anew in the meantime; start once more")


def unit_frames(frames: NDArray[np.uint8], channels: int) -> NDArray[np.float32]:
    """Bytes as they are stored, as numbers in [0, 1] with the channels first.

    Args:
        frames: Gray or colour.
        channels: 1 (gray, the luma of colours) or 3 (colour, three times the gray).

    Shapes:
        frames: [T, H, W, 1] or [T, H, W, 3]
        returns: [T, channels, H, W], contiguous
    """
    if channels < frames.shape[-1]:
        luma = frames.astype(np.float32) @ _LUMA  # [T, H, W]
        return (luma / np.float32(255_000))[:, None]
    unit = np.divide(np.moveaxis(frames, -1, 1), np.float32(255), order="C")
    return unit if channels == frames.shape[-1] else unit.repeat(channels, axis=1)


class _Pieces(NamedTuple):
    """Where the pieces begin in their split's array, and how long they are.

    Shapes:
        first, frames: [N]
    """

    first: NDArray[np.int64]
    frames: NDArray[np.int64]


def _pieces(starts: NDArray[np.int64], length: int, cut: int | None) -> _Pieces:
    """The pieces of all videos that are long enough, in the order of the videos."""
    frames = np.diff(starts)
    counts = (frames >= length).astype(np.int64) if cut is None else frames // cut
    video = np.repeat(np.arange(len(frames)), counts)
    if cut is None:
        return _Pieces(starts[video], frames[video])
    nth = np.arange(len(video)) - np.repeat(counts.cumsum() - counts, counts)  # of its video
    return _Pieces(starts[video] + nth * cut, np.full(len(video), cut))


def _check_lengths(what: str, starts: NDArray[np.int64], length: int, cut: int | None) -> None:
    """Refuses videos that are too short.

    Raises:
        DataError: With their number and the shortest.
    """
    frames, needed = np.diff(starts), length if cut is None else cut
    short = int((frames < needed).sum())
    if not short:
        return
    which = f"length={length}" if cut is None else f"cut={cut}"
    skip = ", or skip_short=true to leave them out" if short < len(frames) else ""
    raise DataError(
        f"{short} of the {len(frames)} {what} have fewer than {needed} frames ({which}), the "
        f"shortest {frames.min()}; use a smaller {which.partition('=')[0]}{skip}"
    )


def _opened(root: str | Path | None, name: str, resolution: int) -> Prepared:
    """The prepared data set of that name."""
    folder = prepared_folder(root, name, resolution)
    if folder.is_dir():
        return open_prepared(folder)
    try:
        find_source(name)
    except DataError as error:  # misspelt, or a user's own
        command = prepare_command(root, name, resolution, own=True)
        raise MissingFiles(
            f"{name} is not prepared at {resolution} px: there is no folder {folder}; a data set "
            f"of your own is prepared with `{command}`, and for the others {error}"
        ) from None
    others = ", ".join(path.name for path in sorted(folder.parent.glob(f"{name}-*px")))
    raise MissingFiles(
        f"{name} is not prepared at {resolution} px: there is no folder {folder}"
        f"{f', only {others}' if others else ''}; prepare it once with "
        f"`{prepare_command(root, name, resolution)}`, or say where it is with root=... or the "
        "environment variable PYROVP_DATA"
    )


def _split_of(prepared: Prepared, split: str) -> PreparedSplit:
    """The videos of a split, of which there is at least one."""
    held = {name: part.videos for name, part in prepared.splits.items() if part.videos}
    if split in held:
        return prepared.splits[split]
    listed = ", ".join(f"{videos} for {name}" for name, videos in held.items()) or "none at all"
    advice = {
        "train": "it can only be evaluated on: train on another data set",
        "validation": "do without a validation, or prepare more originals",
        "test": "prepare more originals, some of them for the test",
    }
    raise DataError(
        f"{prepared.name} has no videos for {split} (it has {listed}, in {prepared.folder}); "
        f"{advice[split]}"
    )


def _sums(folder: Path, split: str) -> dict[str, str]:
    """The sha256 of a split's arrays, as they were written down when it was prepared."""
    files = read_sidecar(folder)["splits"][split]["files"]
    return {name: facts["sha256"] for name, facts in files.items() if name.endswith(".npy")}
