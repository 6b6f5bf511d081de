"""How far each data set is on this machine: nothing is written, fetched or decoded.

    generated        ready, unless files that it is made from are missing
    made of files    originals -> begun -> prepared, at one resolution or at several

These are facts; `pyrovp.data.catalogue` and `pyrovp.doctor` put them into words.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pyrovp.data.errors import DataError, MissingFiles
from pyrovp.data.generated import GENERATED, Generated
from pyrovp.data.places import (
    data_root,
    originals_folder,
    prepared_folder,
    prepared_resolutions,
)
from pyrovp.data.prepare import with_validation
from pyrovp.data.registry import SOURCES
from pyrovp.data.sources.base import Source
from pyrovp.data.store import open_prepared, unfinished

__all__ = [
    "AtResolution",
    "Begun",
    "Originals",
    "Status",
    "all_statuses",
    "generated_status",
    "source_status",
]


@dataclass(frozen=True)
class Originals:
    """What a data set is made from.

    Args:
        state: "unusable" says that something is there.
        splits: Number of originals by split; empty where they are not found or none are needed.
        suffixes: Kinds of the files, in lower case: ".avi".
        problem: What is wrong and what to do; empty where they are found.
    """

    state: Literal["found", "missing", "unusable"]
    splits: Mapping[str, int]
    suffixes: tuple[str, ...] = ()
    problem: str = ""


@dataclass(frozen=True)
class AtResolution:
    """A data set as it is prepared.

    Args:
        resolution: Height and width of a frame in px.
        folder: Where it is.
        videos: Number of videos by split.
        shortest: Frames of the shortest video, by split that has any.
        problem: Why it cannot be used; empty where it can.
    """

    resolution: int
    folder: Path
    videos: Mapping[str, int]
    shortest: Mapping[str, int]
    problem: str = ""


@dataclass(frozen=True)
class Begun:
    """A preparation that is not finished; the command that began it goes on with it.

    Args:
        resolution: Height and width of a frame in px.
        folder: Where it is.
        originals: How many are done.
    """

    resolution: int
    folder: Path
    originals: int


@dataclass(frozen=True)
class Status:
    """How far a data set is.

    Args:
        name: As on the command line and in configurations.
        title: Its proper name.
        generated: Whether it is made while it is read, and is never prepared.
        originals: What it is made from.
        prepared: By resolution.
        begun: By resolution.
    """

    name: str
    title: str
    generated: bool
    originals: Originals
    prepared: tuple[AtResolution, ...] = ()
    begun: tuple[Begun, ...] = ()


def all_statuses(root: str | Path | None = None) -> list[Status]:
    """Of every data set, generated ones first.

    Args:
        root: The folder of all data; by default the environment's PYROVP_DATA, or `data`.
    """
    folder = data_root(root)
    generated = [generated_status(made, folder) for made in GENERATED.values()]
    return generated + [source_status(source, folder) for source in SOURCES.values()]


def generated_status(made: Generated, root: Path) -> Status:
    """Of one generated data set; reads the files that it needs, if it needs any."""
    try:
        made.check(root, False, lambda line: None)
        found = Originals("found", {})
    except MissingFiles as error:
        found = Originals("missing", {}, problem=str(error))
    except (DataError, OSError) as error:
        found = Originals("unusable", {}, problem=str(error))
    return Status(made.name, made.title, True, found)


def source_status(source: Source, root: Path) -> Status:
    """Of one data set made of files; looks at its originals as `Source.originals` does."""
    prepared = tuple(
        _at_resolution(prepared_folder(root, source.name, resolution), resolution)
        for resolution in prepared_resolutions(root, source.name)
    )
    originals = _originals(source, originals_folder(root, source.name))
    begun = tuple(_begun(source.name, root))
    return Status(source.name, source.title, False, originals, prepared, begun)


def _originals(source: Source, folder: Path) -> Originals:
    try:
        found = with_validation(source.originals(folder))
    except MissingFiles as error:
        return Originals("missing", {}, problem=str(error))
    except (DataError, OSError) as error:
        return Originals("unusable", {}, problem=str(error))
    suffixes = {original.path.suffix.lower() for original in found}
    splits = Counter[str](original.split for original in found)
    return Originals("found", dict(splits), tuple(sorted(suffixes)))


def _at_resolution(folder: Path, resolution: int) -> AtResolution:
    try:
        splits = open_prepared(folder).splits
    except (DataError, OSError) as error:
        return AtResolution(resolution, folder, {}, {}, str(error))
    return AtResolution(
        resolution,
        folder,
        {name: split.videos for name, split in splits.items()},
        {name: int(split.lengths.min()) for name, split in splits.items() if split.videos},
    )


def _begun(name: str, root: Path) -> Iterator[Begun]:
    for part in sorted((root / "prepared").glob(f".{name}-*px.part")):
        if match := re.fullmatch(rf"\.{re.escape(name)}-(\d+)px\.part", part.name):
            final = prepared_folder(root, name, int(match[1]))
            yield Begun(int(match[1]), part, unfinished(final) or 0)
