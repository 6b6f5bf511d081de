"""From originals to the prepared form.

    originals -> a validation part -> read -> stored, one original after another -> contact sheet

Where a data set has no validation split of its own, a twentieth of the training originals becomes
one: those whose names have the smallest sha256. So the choice depends on nothing but the names.

It may be stopped at any moment, by a kill, a full disk or a damaged original; the same command
goes on with the first original that is not finished, and the result is the same to the last byte.
"""

import hashlib
import json
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from pyrovp import __version__
from pyrovp.data.checks import whole
from pyrovp.data.contact_sheet import contact_sheet, strips
from pyrovp.data.errors import DamagedFile, DataError
from pyrovp.data.keyed import SPLITS, Split
from pyrovp.data.places import originals_folder, prepared_folder
from pyrovp.data.reading import read_all
from pyrovp.data.sources.base import Original, Source
from pyrovp.data.sources.finding import missing
from pyrovp.data.store import (
    FORM,
    Head,
    Part,
    Prepared,
    begun,
    beside,
    finish,
    only_one,
    open_prepared,
    ordered,
    publish,
    tidy,
    unfinished,
)
from pyrovp.data.store.disk import writing
from pyrovp.words import counted

__all__ = ["prepare", "with_validation"]

Say = Callable[[str], None]


def prepare(
    source: Source,
    root: str | Path | None = None,
    *,
    folder: str | Path | None = None,
    resolution: int | None = None,
    workers: int = 0,
    skip_damaged: bool = False,
    force: bool = False,
    say: Say = print,
) -> Prepared:
    """Prepares a data set, as far as that is not yet done.

    Args:
        source: The data set.
        root: The folder of all data; by default the environment's PYROVP_DATA, or `data`.
        folder: Where the originals are; by default `ROOT/NAME`.
        resolution: Height and width of the frames in px; by default the source's.
        workers: Processes that read originals; 0 reads them in this one.
        skip_damaged: Whether damaged originals are left out, and listed in the sidecar.
        force: Whether to start over, also where it is prepared already; what is there is
            replaced when the new one is whole. Once begun, it goes on without `force`.
        say: Told what happens, in lines.

    Raises:
        MissingFiles: If there are no originals.
        DamagedFile: At the end of the pass, if originals were damaged; names them all. The
            others are kept.
        DataError: If another process is at it, if the disk is full or cannot be written.
        ValueError: If an argument is out of range.
    """
    wanted = source.resolution if resolution is None else resolution
    wanted, workers = whole("resolution (px)", wanted, 4), whole("workers", workers, 0)
    final = prepared_folder(root, source.name, wanted)
    lock = beside(final, "lock")
    if not force and not begun(final) and (ready := _ready(source, final, say)):
        with suppress(DataError), only_one(lock):  # a read-only disk may serve whole data
            tidy(final)
        return ready
    where = originals_folder(root, source.name) if folder is None else Path(folder).expanduser()
    originals = with_validation(source.originals(where))
    if not originals:
        raise missing(source, where)
    with only_one(lock):
        # Another process may have finished it since.
        if not force and not begun(final) and (ready := _ready(source, final, say)):
            return ready
        left_out = f"; {words} left out" if (words := source.left_out(where, originals)) else ""
        say(f"{source.title}: {counted(len(originals), 'original')} in {where}{left_out}")
        job = _Job(source, originals, where, wanted, final, say)
        if force:
            job.forget()
        return job.run(workers, skip_damaged)


def with_validation(originals: Sequence[Original]) -> list[Original]:
    """The originals by name; a twentieth of "train" is "validation" if none of them was.

    At least one is, if there are two. The smallest sha256 of their names decide.

    Raises:
        DataError: If two originals have the same name, or one is in no split that there is.
    """
    for name, times in Counter(original.name for original in originals).items():
        if times > 1:
            raise DataError(f"{times} originals are called {name!r}; each needs its own name")
    for original in originals:
        if original.split not in SPLITS:
            raise DataError(
                f"{original.name} is in split {original.split!r}; there are {', '.join(SPLITS)}"
            )
    train = [original.name for original in originals if original.split == "train"]
    chosen = set[str]()
    if len(train) > 1 and all(original.split != "validation" for original in originals):
        chosen.update(sorted(train, key=_sha256)[: max(1, len(train) // 20)])
    return [
        replace(original, split="validation") if original.name in chosen else original
        for original in sorted(originals, key=lambda original: original.name)
    ]


class _Job:
    """One preparation, under its lock."""

    def __init__(
        self,
        source: Source,
        originals: Sequence[Original],
        where: Path,
        resolution: int,
        final: Path,
        say: Say,
    ) -> None:
        self.source, self.originals, self.where = source, originals, where
        self.final, self.say = final, say
        listed = json.dumps([[original.name, original.split] for original in originals])
        self.head = Head(
            FORM, source.name, source.version, resolution, source.channels, _sha256(listed)
        )

    def forget(self) -> None:
        """Removes what was begun."""
        if self.final.exists():
            tidy(self.final)
        shutil.rmtree(beside(self.final, "part"), ignore_errors=True)

    def run(self, workers: int, skip_damaged: bool) -> Prepared:
        """Reads what is missing, and makes it whole."""
        if done := unfinished(self.final):
            self.say(f"checking what was stored of {counted(done, 'original')} before")
        with closing(Part(beside(self.final, "part"), self.head)) as part:
            if part.changed:
                self.say(
                    f"starting over: {' and '.join(part.changed)} changed since this preparation "
                    "was begun"
                )
            if changed := part.give_up_changed(self.originals):
                self.say(f"reading again from {changed[0]} on: its file changed since it was read")
            damaged = self._read(part, workers)
            if damaged and not skip_damaged:
                raise self._refusal(damaged)
            if not part.records:
                raise DataError(f"all {len(damaged)} originals in {self.where} are damaged")
            whole_part = ordered(part, self.originals, beside(self.final, "sorted"))
            with closing(whole_part):
                prepared = finish(whole_part, self._splits(), self._facts(damaged))
        with writing(whole_part.folder):
            contact_sheet(list(strips(prepared)), whole_part.folder / "contact_sheet.png")
        publish(whole_part.folder, self.final)
        return self._report(open_prepared(self.final))

    def _read(self, part: Part, workers: int) -> dict[str, DamagedFile]:
        """Stores all originals that are not; returns those that are damaged."""
        finished = {record.name for record in part.records}
        if finished:
            self.say(f"going on: {len(finished)} of them were finished before")
        left = [original for original in self.originals if original.name not in finished]
        damaged: dict[str, DamagedFile] = {}
        reading = read_all(self.source, left, self.head.resolution, workers)
        with closing(reading), self._bar(len(finished)) as bar:
            for original, videos in reading:
                try:
                    part.append(original, videos)
                except DamagedFile as error:
                    damaged[original.name] = error
                    with tqdm.external_write_mode(file=sys.stderr):
                        self.say(f"damaged: {error}")
                bar.update()
        return damaged

    def _bar(self, finished: int) -> "tqdm[None]":
        return tqdm(
            total=len(self.originals),
            initial=finished,
            unit=" originals",
            dynamic_ncols=True,
            # A terminal redraws one line; in a file every update is a line of its own.
            mininterval=0.1 if sys.stderr.isatty() else 15.0,
        )

    def _refusal(self, damaged: dict[str, DamagedFile]) -> DamagedFile:
        listed = "".join(f"\n  {error}" for error in damaged.values())
        return DamagedFile(
            self.where,
            f"{counted(len(damaged), 'damaged original')} among {len(self.originals)}",
            "none",
            "get them again and give the same command again, or leave them out with "
            f"--skip-damaged; the others are kept and not read again:{listed}",
        )

    def _splits(self) -> list[Split]:
        present = {original.split for original in self.originals}
        return sorted(present, key=SPLITS.index)

    def _facts(self, damaged: dict[str, DamagedFile]) -> dict[str, object]:
        """What the sidecar says of the source."""
        # Without the folder, so that the same originals elsewhere give the same bytes.
        short = f"{self.where}/"
        return {
            "title": self.source.title,
            "licence": self.source.licence,
            "rule": self.source.splits,
            "published": dict(self.source.counts),
            "skipped": {name: str(error).replace(short, "") for name, error in damaged.items()},
            "pyrovp": __version__,
        }

    def _report(self, prepared: Prepared) -> Prepared:
        for split, stored in prepared.splits.items():
            self.say(
                f"{split}: {counted(stored.videos, 'video')}, "
                f"{counted(len(stored.frames), 'frame')}"
            )
        for split, published in prepared.published.items():
            if (found := _published_part(prepared, split)) != published:
                self.say(
                    f"note: {split} has {counted(found, 'video')} where {published} are "
                    "published; the originals may be incomplete"
                )
        if prepared.skipped:
            self.say(f"left out as damaged: {', '.join(prepared.skipped)}")
        self.say(f"prepared in {prepared.folder}; look at {prepared.folder / 'contact_sheet.png'}")
        return prepared


def _ready(source: Source, final: Path, say: Say) -> Prepared | None:
    """What is prepared already, unless by an older version of the source."""
    if not final.exists():
        return None
    prepared = open_prepared(final)
    if prepared.version != source.version:
        say(
            f"{final} was prepared by version {prepared.version} of {source.name}, which now is "
            f"{source.version}: preparing it again"
        )
        return None
    say(f"{final} is prepared; --force prepares it again")
    return prepared


def _published_part(prepared: Prepared, split: str) -> int:
    """Videos of a split as publications count it: "train" with a validation part cut from it."""
    splits = [split]
    if split == "train" and "validation" not in prepared.published:
        splits.append("validation")
    return sum(prepared.splits[name].videos for name in splits if name in prepared.splits)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
