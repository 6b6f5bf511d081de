"""From an unfinished preparation to one that is whole.

    .kth-64px.part/  --finish-->  headers, indices, prepared.json  --publish-->  kth-64px/

Everything is on the disk before the folder gets its name, and a folder gets its name in one
indivisible step. Each step may be broken off and done again.
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from pyrovp.data.keyed import Split
from pyrovp.data.sources.base import Original
from pyrovp.data.store.disk import flush, sha256, writing
from pyrovp.data.store.form import Prepared, open_prepared, split_hash
from pyrovp.data.store.journal import Journal
from pyrovp.data.store.part import FRAMES, JOURNAL, Part, array_file
from pyrovp.data.store.sidecar import SIDECAR
from pyrovp.files import atomic_write

__all__ = ["begun", "beside", "finish", "ordered", "publish", "tidy", "unfinished"]


def beside(final: Path, kind: str) -> Path:
    """A hidden neighbour of a prepared folder, on the same file system.

    Example:
        >>> beside(Path("data/prepared/kth-64px"), "part").as_posix()
        'data/prepared/.kth-64px.part'
    """
    return final.with_name(f".{final.name}.{kind}")


def unfinished(final: Path) -> int | None:
    """Originals that an unfinished preparation has behind it; None if there is none."""
    lines = Journal(beside(final, "part") / JOURNAL).lines
    return len(lines) - 1 if lines else None


def begun(final: Path) -> bool:
    """Whether there is an unfinished preparation to go on with.

    One whose result has its name, with only `tidy` to come, is none.
    """
    return bool(unfinished(final)) and not (final / JOURNAL).exists()


def ordered(part: Part, originals: Sequence[Original], folder: Path) -> Part:
    """The part with its originals in the given order.

    Originals come in order, except those that were damaged and have been replaced since.

    Args:
        part: With some of the originals; stays as it is.
        originals: In the order of their videos.
        folder: Where a copy is made, if one is needed; what was there is removed.
    """
    records = {record.name: record for record in part.records}
    order = [original for original in originals if original.name in records]
    if [original.name for original in order] == list(records):
        return part
    with writing(folder):
        shutil.rmtree(folder, ignore_errors=True)
    copy = Part(folder, part.head)
    for original in order:
        copy.append(original, part.read(records[original.name]))
    return copy


def finish(part: Part, splits: Sequence[Split], facts: Mapping[str, Any]) -> Prepared:
    """Writes what is missing to a part with at least one original, and opens it.

    Args:
        part: With all of its originals.
        splits: That the data set has; one of them may have no video.
        facts: What the sidecar says beside what the part knows.

    Raises:
        DamagedFile, DataError: See `Part.finish`.
    """
    head = {key: value for key, value in asdict(part.head).items() if key != "originals"}
    described = {split: _finish_split(part, split) for split in splits}
    text = json.dumps({**head, **facts, "splits": described}, indent=2) + "\n"
    with writing(part.folder), atomic_write(part.folder / SIDECAR) as temporary:
        temporary.write_text(text)
    return open_prepared(part.folder)


def publish(folder: Path, final: Path) -> None:
    """Gives a finished part its name, in place of what had that name.

    Raises:
        DataError: If it cannot be written.
    """
    with writing(final):
        if final.exists():
            shutil.rmtree(beside(final, "old"), ignore_errors=True)
            final.rename(beside(final, "old"))
        folder.rename(final)
        flush(final.parent)
    tidy(final)


def tidy(final: Path) -> None:
    """Removes everything that a prepared folder no longer needs, under the lock.

    Nothing depends on it: what cannot be removed stays.
    """
    for kind in ("part", "sorted", "old"):
        shutil.rmtree(beside(final, kind), ignore_errors=True)
    with suppress(OSError):
        (final / JOURNAL).unlink(missing_ok=True)


def _finish_split(part: Part, split: Split) -> dict[str, Any]:
    """Completes the files of a split and describes them."""
    records, states = part.finish(split), part.records[0].states
    videos = [pair for record in records for pair in record.videos.items()]
    names, lengths = [name for name, _ in videos], [length for _, length in videos]
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    index = part.folder / f"{split}.index.npz"
    with writing(index):
        np.savez(index, names=np.array(names, dtype=np.str_), starts=starts)
        flush(index)
    paths = [part.folder / array_file(split, state) for state in (FRAMES, *states)]
    return {
        "videos": len(videos),
        "frames": sum(lengths),
        "hash": split_hash(names, lengths),
        "states": states,
        "files": {
            path.name: {"bytes": path.stat().st_size, "sha256": sha256(path)}
            for path in [*paths, index]
        },
    }
