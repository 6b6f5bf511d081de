"""Your own videos: a folder of films, animations and arrays, with what is in its folders.

The split of a file comes from its bytes. Their sha256, read as a number u in [0, 1), says

    u < 0.8   train        0.8 <= u < 0.9   validation        0.9 <= u   test

so a file keeps its split whatever it is called and whatever else is in the folder. Files with
equal bytes are one video, which the first of their names stands for: a copy cannot carry a test
video into the training set.

The exception are small folders, where chance may leave a split empty. Then, in the order train,
test, validation, an empty split is lent the file whose u is nearest to its range, from a split
that can spare one:

    1 video     train
    2 videos    train, test
    3 or more   all three

A run needs all three and says which one is missing. A new file may end such a loan, so that a file
changes its split: prepare again and train anew, or what was trained on may be tested on.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, final

from pyrovp.data.errors import DataError
from pyrovp.data.keyed import Split
from pyrovp.data.readers.arrays import read_array
from pyrovp.data.readers.video import read_video
from pyrovp.data.sources.base import Footage, Original, Source
from pyrovp.data.sources.finding import files_below, hidden_below, missing
from pyrovp.data.sources.packing import packed
from pyrovp.words import counted

__all__ = ["VideoFolder", "share"]

_ARRAYS = {".npy", ".npz"}
_FILMS = {".avi", ".gif", ".m4v", ".mkv", ".mov", ".mp4", ".webm"}

# What each split reaches over, in the order in which they are filled.
_RANGES: Mapping[Split, tuple[float, float]] = {
    "train": (0.0, 0.8),
    "test": (0.9, 1.0),
    "validation": (0.8, 0.9),
}


@final
class VideoFolder(Source):
    """Any folder of videos; of a frame, its centre square.

    Arrays hold one video, [T, H, W] or [T, H, W, C], or several, see `pyrovp.data.readers.arrays`.
    """

    name: ClassVar[str] = "video_folder"
    title: ClassVar[str] = "a folder of your own videos"
    what: ClassVar[str] = "whatever your videos show, the centre square of it, in colour"
    licence: ClassVar[str] = "that of your videos"
    address: ClassVar[str] = "your own collection"
    layout: ClassVar[str] = (
        "files .mp4 .m4v .mov .mkv .avi .gif .webm .npz .npy, with or without folders"
    )
    size: ClassVar[str] = "as large as they are"
    channels: ClassVar[int] = 3
    counts: ClassVar[Mapping[str, int]] = {}
    splits: ClassVar[str] = (
        "by the sha256 of each file's bytes, about 80 % train, 10 % validation, 10 % test; equal "
        "files are one video"
    )

    def originals(self, folder: Path) -> list[Original]:
        """See `Source.originals`; reads every file once, for its hash."""
        first: dict[str, tuple[str, Path]] = {}
        for name, path in files_below(folder, _ARRAYS | _FILMS).items():
            first.setdefault(_sha256(path), (name, path))
        if not first:
            raise missing(self, folder)
        splits = share(first)
        found = [Original(name, splits[digest], path) for digest, (name, path) in first.items()]
        return sorted(found, key=lambda original: original.name)

    def left_out(self, folder: Path, originals: Sequence[Original]) -> str:
        """Files that a system hides, and copies."""
        kinds = _ARRAYS | _FILMS
        found = {
            "hidden file": hidden_below(folder, kinds),
            "equal file": len(files_below(folder, kinds)) - len(originals),
        }
        return " and ".join(counted(number, what) for what, number in found.items() if number)

    def read(self, original: Original, resolution: int) -> Iterator[Footage]:
        path = original.path
        if path.suffix.lower() in _FILMS:
            yield Footage(original.name, packed(read_video(path), resolution, 3, "centre", path))
            return
        videos = read_array(path)
        for number, video in enumerate(videos):
            name = original.name if len(videos) == 1 else f"{original.name}/{number:03d}"
            yield Footage(name, packed(video, resolution, 3, "centre", path))


def share(digests: Iterable[str]) -> dict[str, Split]:
    """The split of each digest.

    Args:
        digests: Hexadecimal sha256 of different files.

    Example:
        >>> share(["00" * 32, "d0" * 32, "f0" * 32]).values()
        dict_values(['train', 'validation', 'test'])
        >>> share(["f0" * 32]).values()
        dict_values(['train'])
    """
    points = {digest: int(digest[:13], 16) / 16**13 for digest in digests}
    splits: dict[str, Split] = {
        digest: next(split for split, (low, high) in _RANGES.items() if low <= u < high)
        for digest, u in points.items()
    }
    wanted = list(_RANGES)[: len(splits)]
    for split in wanted:
        held = Counter(splits.values())
        if held[split]:
            continue
        spare = [d for d, s in splits.items() if held[s] > 1 or s not in wanted]
        low, high = _RANGES[split]
        nearest = min(spare, key=lambda d: max(low - points[d], points[d] - high))
        splits[nearest] = split
    return splits


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(
            f"{path} cannot be read ({error.strerror}); allow it to be read, or move it out of "
            "the folder"
        ) from error
