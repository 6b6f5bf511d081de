"""What would work right now, and why the rest would not.

A data set has one of three verdicts:

    train      it is ready: the command that trains on it
    prepare    its originals are here: the command that prepares it
    blocked    what is in the way, and what to do
"""

import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pyrovp.data.generated import GENERATED
from pyrovp.data.places import data_root, originals_folder, prepare_command
from pyrovp.data.registry import SOURCES
from pyrovp.data.status import AtResolution, Status
from pyrovp.doctor.packages import PackageFound
from pyrovp.words import counted

__all__ = ["CLIP", "NEEDED_BY", "Outlook", "outlook"]

CLIP = 24
"""Frames of a clip in the default experiments, in training and in the test."""

NEEDED_BY = {
    "av": {".avi", ".gif", ".m4v", ".mkv", ".mov", ".mp4", ".webm"},
    "google-crc32c": {".tfrecord", ".tfrecords"},
}
"""Kinds of originals that an extra is needed for."""

_INDISPENSABLE = {
    "train": "it can only be tested on",
    "test": "prepare more originals, some of them for the test",
}


@dataclass(frozen=True)
class Outlook:
    """What can be done with a data set.

    Args:
        name: Of the data set.
        verdict: What can be done now.
        command: That does it; empty where nothing can be done.
        reason: What is in the way, or what the command needs to be told.
    """

    name: str
    verdict: Literal["train", "prepare", "blocked"]
    command: str
    reason: str


def outlook(status: Status, extras: Iterable[PackageFound], root: Path | None) -> Outlook:
    """What can be done with one data set.

    Args:
        status: How far it is.
        extras: The packages that reading originals may need.
        root: The folder of all data as it was asked for; None for the default one.
    """
    if status.generated:
        if status.originals.state == "found":
            # What travels with the package has no folder to name.
            where = None if GENERATED[status.name].embedded else root
            return Outlook(status.name, "train", _train(status.name, where), "")
        return Outlook(status.name, "blocked", "", status.originals.problem)
    usable = [stored for stored in status.prepared if not stored.problem]
    if usable:
        return _trained_on(status.name, _preferred(status.name, usable), root)
    if status.prepared:
        return Outlook(status.name, "blocked", "", status.prepared[0].problem)
    return _prepared_from(status, {extra.project: extra for extra in extras}, root)


def _preferred(name: str, usable: list[AtResolution]) -> AtResolution:
    """The resolution that experiments read unless told otherwise, else the first."""
    default = SOURCES[name].resolution
    return next((stored for stored in usable if stored.resolution == default), usable[0])


def _trained_on(name: str, stored: AtResolution, root: Path | None) -> Outlook:
    for split, advice in _INDISPENSABLE.items():
        if not stored.videos.get(split):
            reason = f"no videos for {split} in {stored.folder}: {advice}"
            return Outlook(name, "blocked", "", reason)
    settings = []
    if stored.resolution != SOURCES[name].resolution:
        settings.append(f"data.resolution={stored.resolution}")
    if not stored.videos.get("validation"):
        settings.append("train.validate_sequences=0")
    shortest, reason = min(stored.shortest.values()), ""
    if shortest < CLIP:
        reason = (
            f"its shortest video has {counted(shortest, 'frame')}, and clips have {CLIP} by "
            "default: shorten data.length, evaluate.context and evaluate.horizon, or leave short "
            "ones out with data.skip_short=true"
        )
    return Outlook(name, "train", _train(name, root, *settings), reason)


def _prepared_from(
    status: Status, extras: Mapping[str, PackageFound], root: Path | None
) -> Outlook:
    name, originals = status.name, status.originals
    if originals.state == "missing":
        return Outlook(name, "blocked", "", _no_originals(status, root))
    if originals.state == "unusable":
        return Outlook(name, "blocked", "", originals.problem)
    for project, suffixes in NEEDED_BY.items():
        needed = sorted(suffixes & set(originals.suffixes))
        if needed and not extras[project].there:
            reason = f"its {', '.join(needed)} files need {project}: {extras[project].install}"
            return Outlook(name, "blocked", "", reason)
    resolution, reason = SOURCES[name].resolution, ""
    if status.begun:
        begun = status.begun[0]
        resolution, reason = (
            begun.resolution,
            f"goes on: {counted(begun.originals, 'original')} done",
        )
    return Outlook(name, "prepare", prepare_command(root, name, resolution), reason)


def _no_originals(status: Status, root: Path | None) -> str:
    source, folder = SOURCES[status.name], originals_folder(root, status.name)
    if status.begun:
        begun = status.begun[0]
        return (
            f"{begun.originals} originals were prepared to {begun.resolution} px, but there are "
            f"none in {folder} to go on with; name their folder with --originals"
        )
    return f"no originals in {folder}; from: {source.address}; size: {source.size}"


def _train(name: str, root: Path | None, *settings: str) -> str:
    command = ["python", "experiments/run.py", "+model=dlh", f"+data={name}", *settings]
    if data_root(root) != data_root():
        command.append(f"data.root={_value(str(root))}")
    return shlex.join(command)


def _value(text: str) -> str:
    """As Hydra takes it: in quotes, where it would read more into it than letters."""
    if re.fullmatch(r"[A-Za-z0-9_./+ -]+", text):
        return text
    escaped = text.replace("'", r"\'")
    return f"'{escaped}'"
