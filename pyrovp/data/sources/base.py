"""What a data set made of files is: where its videos are, whose they are, how to read them.

    originals(folder)  ->  the files of each split, in a fixed order, without reading them
    read(original, resolution)  ->  the videos in one file, as uint8 at that resolution

`pyrovp.data.prepare` goes through the originals once and writes what it read in one form for all
data sets (`pyrovp.data.store`). A source knows nothing of that form, of locks or of resuming.
"""

import abc
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from pyrovp.data.keyed import Split

__all__ = ["Footage", "Original", "Source"]


@dataclass(frozen=True)
class Original:
    """One unit of reading: a file, or some members of a folder or an archive.

    Args:
        name: Unique in its data set and the same on every machine: the path below the folder of
            originals, with forward slashes.
        split: The split that all of its videos belong to.
        path: The file, the folder, or the archive.
        members: Names inside `path`, where the original is not all of it.
    """

    name: str
    split: Split
    path: Path
    members: tuple[str, ...] = ()


@dataclass(frozen=True)
class Footage:
    """One video as it was read.

    Args:
        name: Unique in its data set: the original's name, and a number where it holds several.
        frames: What it shows.
        states: What else is known of each frame, such as actions.

    Shapes:
        frames: [T, H, W, C] uint8
        states: name -> [T, ...] float32
    """

    name: str
    frames: NDArray[np.uint8]
    states: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)


class Source(abc.ABC):
    """A data set made of files."""

    name: ClassVar[str]
    """What it is called on the command line and in configurations."""
    title: ClassVar[str]
    """Its proper name, with authors and year."""
    what: ClassVar[str]
    """What the videos show, in a sentence."""
    licence: ClassVar[str]
    address: ClassVar[str]
    """Where users get the originals."""
    layout: ClassVar[str]
    """What the folder of originals must hold, for messages: `person01_boxing_d1_uncomp.avi`..."""
    size: ClassVar[str]
    """Of the originals, for people: "1.1 GB"."""
    channels: ClassVar[int]
    """Channels that are stored: 1 for gray originals, otherwise 3."""
    resolution: ClassVar[int] = 64
    """Height and width that is prepared unless another is asked for."""
    counts: ClassVar[Mapping[str, int]]
    """Published number of videos by split ("train" with the validation part); none where unknown
    or where publications disagree."""
    splits: ClassVar[str]
    """The rule of the splits, in words."""
    version: ClassVar[int] = 1
    """Counts up when the same originals come out differently: part of what is written."""

    @abc.abstractmethod
    def originals(self, folder: Path) -> list[Original]:
        """All originals below `folder`, sorted by name; opens no video.

        Raises:
            MissingFiles: If there are none; names `layout` and `address`.
        """

    def left_out(self, folder: Path, originals: Sequence[Original]) -> str:
        """What of the folder is no original although one might think so; "" if nothing is."""
        return ""

    @abc.abstractmethod
    def read(self, original: Original, resolution: int) -> Iterator[Footage]:
        """The videos of an original, at `resolution` px.

        Raises:
            DamagedFile: If it cannot be read whole.
        """
