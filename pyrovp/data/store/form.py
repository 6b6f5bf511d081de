"""The prepared form of a data set: one folder of arrays, and what they are.

    ROOT/prepared/kth-64px/
        prepared.json        what it was made from and by which rules; sizes and sha256 of files
        train.npy            [F, H, W, C] uint8, all videos of the split one after another
        train.index.npz      names [N], starts [N + 1]: video n is frames starts[n]...starts[n+1]-1
        train.action.npy     [F, ...] float32, one file for each state that is known of a frame
        contact_sheet.png    some of the videos, to look at

and the same for `validation` and `test` where the data set has them. Videos are in the order of
their originals' names. The folder gets its name last (`pyrovp.data.store.writer`), so one that is
there is whole; opening it compares the sizes of its files, and `verify` their contents.
"""

import hashlib
import json
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyrovp.data.errors import DamagedFile
from pyrovp.data.store.sidecar import SIDECAR, again, read_sidecar

__all__ = ["Prepared", "PreparedSplit", "open_prepared", "split_hash"]


@dataclass(frozen=True)
class PreparedSplit:
    """The videos of a split, on the disk.

    Args:
        frames: All videos, one after another; mapped, not read.
        starts: Video n is `frames[starts[n]:starts[n + 1]]`.
        names: Of the videos.
        states: What else is known of each frame; mapped, not read.
        hash: Sixteen hexadecimal digits of the names and lengths of the videos.

    Shapes:
        frames: [F, H, W, C] uint8
        starts: [N + 1] int64, from 0 to F
        names: [N]
        states: name -> [F, ...] float32
    """

    frames: NDArray[np.uint8]
    starts: NDArray[np.int64]
    names: NDArray[np.str_]
    states: Mapping[str, NDArray[np.float32]]
    hash: str

    @property
    def videos(self) -> int:
        """Number N of videos."""
        return len(self.names)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Frames of each video, [N]."""
        return np.diff(self.starts)


@dataclass(frozen=True)
class Prepared:
    """A data set in the prepared form.

    Args:
        folder: Where it is.
        name: Of the data set: "kth".
        title: Its proper name.
        licence: Of the originals.
        resolution: Height and width of the frames in px.
        channels: 1 or 3.
        version: Of the source that read the originals.
        splits: By name; a split that the data set does not have is no key.
        skipped: Damaged originals that were left out: name -> what is wrong with it.
        published: Number of videos by split according to the data set's authors, where known.
    """

    folder: Path
    name: str
    title: str
    licence: str
    resolution: int
    channels: int
    version: int
    splits: Mapping[str, PreparedSplit]
    skipped: Mapping[str, str]
    published: Mapping[str, int]


# What the sidecar and a `Prepared` have in common.
_FACTS = (
    "name", "title", "licence", "resolution", "channels", "version", "skipped", "published"
)  # fmt: skip


def split_hash(names: Iterable[str], lengths: Iterable[int]) -> str:
    """Sixteen hexadecimal digits of a split: of its videos' names and lengths, in any order.

    Example:
        >>> split_hash(["b", "a"], [5, 3]) == split_hash(["a", "b"], [3, 5])
        True
    """
    pairs = sorted([str(name), int(length)] for name, length in zip(names, lengths, strict=True))
    return hashlib.sha256(json.dumps(pairs).encode()).hexdigest()[:16]


def open_prepared(folder: Path) -> Prepared:
    """Opens a prepared data set without reading its frames.

    Raises:
        MissingFiles: If the folder is not there.
        DamagedFile: If a file of it is missing or has another size than it was written with.
        DataError: If it was written in another form.
    """
    facts = read_sidecar(folder)
    with _whole(folder / SIDECAR, again(folder)):
        frame = (facts["resolution"], facts["resolution"], facts["channels"])
        splits = {
            split: _open_split(folder, split, found, frame)
            for split, found in facts["splits"].items()
        }
        kept = {name: facts[name] for name in _FACTS}
    return Prepared(folder, splits=splits, **kept)


def _open_split(
    folder: Path, split: str, found: Mapping[str, Any], frame: tuple[int, ...]
) -> PreparedSplit:
    for name, facts in found["files"].items():
        _check_size(folder / name, facts["bytes"])
    path = folder / f"{split}.index.npz"
    with _whole(path, again(folder)), np.load(path, allow_pickle=False) as index:
        names, starts = index["names"], index["starts"]
        found_counts, rows = (len(names), len(starts) - 1, int(starts[-1])), found["frames"]
    if found_counts != (found["videos"], found["videos"], rows):
        raise DamagedFile(
            path,
            f"{found_counts[0]} videos with {found_counts[2]} frames",
            f"{found['videos']} with {rows}",
            again(folder),
        )
    states = {
        state: _mapped(folder / f"{split}.{state}.npy", np.dtype("<f4"), (rows, *shape))
        for state, shape in found["states"].items()
    }
    frames = _mapped(folder / f"{split}.npy", np.dtype("u1"), (rows, *frame))
    return PreparedSplit(frames, starts, names, states, found["hash"])


def _check_size(path: Path, expected: int) -> None:
    found = path.stat().st_size if path.is_file() else None
    if found != expected:
        text = "no file" if found is None else f"{found} bytes"
        raise DamagedFile(path, text, f"{expected} bytes", again(path.parent))


def _mapped(path: Path, dtype: np.dtype[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    with _whole(path, again(path.parent)):
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    if (array.dtype, array.shape) != (dtype, shape):
        found = f"{array.dtype} {list(array.shape)}"
        raise DamagedFile(path, found, f"{dtype} {list(shape)}", again(path.parent))
    return array


@contextmanager
def _whole(path: Path, advice: str) -> Iterator[None]:
    """Whatever goes wrong while a file is understood says that it is not what was written."""
    try:
        yield
    except DamagedFile:
        raise
    except (ValueError, KeyError, TypeError, IndexError, OSError, zipfile.BadZipFile) as error:
        found = f"content that cannot be used ({type(error).__name__}: {error})"
        raise DamagedFile(path, found, "what was written when it was prepared", advice) from error
