"""A preparation that is not finished, as far as it is on the disk.

    ROOT/prepared/.kth-64px.part/
        journal.jsonl     what is prepared here; then one line for each original that is finished
        train.npy ...     the arrays, without their headers

An original counts once its line is in the journal: its videos are written first, then the line
with their names, their frames and the CRC-32 of their bytes. After a kill, and also after a power
failure, which may lose bytes and keep the line about them, the lines are compared with the arrays,
and everything from the first that does not fit on is cut off. So a part always holds whole
originals, and going on gives the same bytes as never having stopped.
"""

import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pyrovp.data.errors import DamagedFile
from pyrovp.data.keyed import Split
from pyrovp.data.sources.base import Footage, Original
from pyrovp.data.store.arrays import GrowingArray
from pyrovp.data.store.checks import check_footage
from pyrovp.data.store.disk import writing
from pyrovp.data.store.journal import Journal
from pyrovp.data.store.stamp import stamp

__all__ = ["FRAMES", "JOURNAL", "Head", "Part", "Record", "array_file"]

JOURNAL = "journal.jsonl"

FRAMES = ""
"""Stands for the frames where states have their names."""


def array_file(split: Split, state: str = FRAMES) -> str:
    """The file of a split's frames, or of one of its states.

    Example:
        >>> array_file("train"), array_file("test", "action")
        ('train.npy', 'test.action.npy')
    """
    return f"{split}.{state}.npy" if state else f"{split}.npy"


@dataclass(frozen=True)
class Head:
    """What is prepared: a part is continued only under an equal head.

    Args:
        form: Version of the prepared form.
        name: Of the data set.
        version: Of its source.
        resolution: Height and width R of the frames in px.
        channels: C of the frames.
        originals: A hash of the originals' names and splits.
    """

    form: int
    name: str
    version: int
    resolution: int
    channels: int
    originals: str

    @property
    def frame(self) -> tuple[int, int, int]:
        """(R, R, C)."""
        return self.resolution, self.resolution, self.channels


@dataclass(frozen=True)
class Record:
    """A finished original: one line of the journal.

    Args:
        name: Of the original.
        split: That its videos belong to.
        videos: Name of each, and its number of frames.
        states: Shape of what is known of a frame, by name.
        crc: CRC-32 of the bytes of its frames and of each of its states.
        stamp: See `pyrovp.data.store.stamp`; of the files just before they were read.
    """

    name: str
    split: Split
    videos: dict[str, int]
    states: dict[str, list[int]]
    crc: dict[str, int]
    stamp: str = ""

    @property
    def frames(self) -> int:
        """Of all its videos."""
        return sum(self.videos.values())


class Part:
    """Arrays and their journal; continues what is in the folder if that has the same head.

    Args:
        folder: Of the part.
        head: What is prepared.

    Raises:
        DataError: If it cannot be written.
    """

    records: list[Record]
    """Of the finished originals, in the order of the arrays."""
    changed: list[str]
    """What another head had in the folder differed in; that part has been given up."""

    def __init__(self, folder: Path, head: Head) -> None:
        self.folder, self.head, self.records = folder, head, []
        self._arrays: dict[str, GrowingArray] = {}
        self._first: dict[str, int] = {}  # row of each original in the arrays of its split
        self._rows: Counter[str] = Counter()  # of the arrays of each split
        try:
            with writing(folder):
                self._open()
        except BaseException:
            self.close()
            raise

    def append(self, original: Original, videos: Iterable[Footage]) -> None:
        """Writes the videos of an original; if anything goes wrong, none of them.

        Raises:
            DamagedFile: If there is no video, or one without frames, or with other states than
                those before; and whatever `videos` raises.
            DataError: If a video is not what a source promises, or cannot be written.
        """
        states = self.records[0].states if self.records else None
        found, crc, before = dict[str, int](), Counter[str](), stamp(original)
        try:
            for footage in videos:
                states = check_footage(footage, original, self.head.frame, states, self._names)
                with writing(self.folder):
                    for state, shape in _layout(states, self.head).items():
                        values = footage.states[state] if state else footage.frames
                        written = self._array(original.split, state, shape).append(values)
                        crc[state] = zlib.crc32(written, crc[state])
                self._names.add(footage.name)
                found[footage.name] = len(footage.frames)
            if states is None or not found:
                raise DamagedFile(original.path, "no video", "at least one", "get it again")
            record = Record(original.name, original.split, found, states, dict(crc), before)
            with writing(self.folder):
                self._journal.append(asdict(record))
        except BaseException:
            with writing(self.folder):
                self._cut_back()
            raise
        self._count(record)

    def give_up_changed(self, originals: Iterable[Original]) -> list[str]:
        """Forgets the first original whose files have changed since, and all behind it.

        Args:
            originals: As they are now.

        Returns:
            The names of those that have changed.

        Raises:
            DataError: If it cannot be written.
        """
        now = {original.name: stamp(original) for original in originals}
        fits = [now.get(record.name) == record.stamp for record in self.records]
        changed = [record.name for record, fit in zip(self.records, fits, strict=True) if not fit]
        if changed:
            kept = self.records[: fits.index(False)]
            self._journal.keep(1 + len(kept))
            self.records = []
            self._rows.clear()
            for record in kept:
                self._count(record)
            with writing(self.folder):
                self._cut_back()
        return changed

    def read(self, record: Record) -> Iterator[Footage]:
        """The videos of a finished original, from the arrays."""
        first = self._first[record.name]
        arrays = {state: self._arrays[array_file(record.split, state)] for state in record.crc}
        for name, length in record.videos.items():
            values: dict[str, Any] = {s: array.read(first, length) for s, array in arrays.items()}
            yield Footage(name, values.pop(FRAMES), values)
            first += length

    def finish(self, split: Split) -> list[Record]:
        """Gives the arrays of a split their headers; returns what they hold.

        Raises:
            DamagedFile: If an array does not have the size that the records add up to.
            DataError: If they cannot be written.
        """
        records = [record for record in self.records if record.split == split]
        frames = self._rows[split]
        with writing(self.folder):
            for state, shape in _layout(self.records[0].states, self.head).items():
                array = self._array(split, state, shape)
                if not array.rows == array.rows_on_disk() == frames:
                    raise DamagedFile(
                        array.path,
                        f"{array.rows_on_disk()} frames",
                        f"the {frames} that were written",
                        "see that nothing else writes there, and give the same command again",
                    )
                array.finish()
        return records

    def close(self) -> None:
        """Closes the arrays as they are."""
        for array in self._arrays.values():
            array.close()

    def _open(self) -> None:
        """Takes over what is there."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._journal, head = Journal(self.folder / JOURNAL), asdict(self.head)
        first, *lines = self._journal.lines or [{}]
        self.changed = [key for key in first if first[key] != head.get(key)]
        if first != head:
            lines = []
            self._journal.keep(0)
            self._journal.append(head)
        self._believe(Record(**line) for line in lines)
        self._cut_back()

    def _array(self, split: Split, state: str, shape: Sequence[int]) -> GrowingArray:
        name = array_file(split, state)
        if name not in self._arrays:
            dtype = "<f4" if state else "u1"
            self._arrays[name] = GrowingArray(self.folder / name, dtype, tuple(shape))
        return self._arrays[name]

    def _believe(self, records: Iterable[Record]) -> None:
        """Takes over the first records, as many as the arrays agree with."""
        for record in records:
            first = self._rows[record.split]
            for state, shape in _layout(record.states, self.head).items():
                array = self._array(record.split, state, shape)
                if array.crc(first, record.frames) != record.crc[state]:
                    return self._journal.keep(1 + len(self.records))
            self._count(record)

    def _count(self, record: Record) -> None:
        self._first[record.name] = self._rows[record.split]
        self._rows[record.split] += record.frames
        self.records.append(record)

    def _cut_back(self) -> None:
        """Leaves what the records speak of and nothing else."""
        self._names = {name for record in self.records for name in record.videos}
        wanted = {JOURNAL}
        for record in self.records:
            wanted |= {array_file(record.split, state) for state in record.crc}
        for name in self._arrays.keys() - wanted:
            self._arrays.pop(name).close()
        for path in self.folder.iterdir():
            if path.name not in wanted:
                path.unlink()
        for name, array in self._arrays.items():
            array.cut(self._rows[name.partition(".")[0]])


def _layout(states: Mapping[str, Sequence[int]], head: Head) -> dict[str, Sequence[int]]:
    """Shape of a row of each of a split's arrays."""
    return {FRAMES: head.frame, **states}
