"""KTH actions: 25 persons, six actions, four scenes, filmed at 160 x 120 px and 25 fps.

    person P, action a, scene s   ->   personPP_a_ds_uncomp.avi

Of the 25 x 6 x 4 = 600 videos one was never published: person 13, handclapping, third scene. The
splits go by person, so a model is tested on people that it has never seen. Videos are kept whole,
with the stretches in which a walking person is out of the picture.

Reference:
    Recognizing human actions: a local SVM approach (Schuldt, Laptev, Caputo, 2004).
    https://www.csc.kth.se/cvap/actions/
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar, final

from pyrovp.data.errors import DataError
from pyrovp.data.keyed import Split
from pyrovp.data.readers.video import read_video
from pyrovp.data.sources.base import Footage, Original, Source
from pyrovp.data.sources.finding import files_below, missing
from pyrovp.data.sources.packing import packed

__all__ = ["KTH"]

_NAME = re.compile(
    r"person(0[1-9]|1\d|2[0-5])"
    r"_(boxing|handclapping|handwaving|jogging|running|walking)_d[1-4]_uncomp\.avi"
)

# Both also belong to the validation part of the authors' own three-way split.
_VALIDATION = (19, 20)
_TEST = range(21, 26)


@final
class KTH(Source):
    """KTH actions in gray, the whole frame squeezed to a square.

    An original goes by the name of its file alone: it is the same video in the folder of its
    class, where the archives are unpacked, and beside all others.
    """

    name: ClassVar[str] = "kth"
    title: ClassVar[str] = "KTH actions (Schuldt, Laptev, Caputo, 2004)"
    what: ClassVar[str] = "people who box, clap, wave, jog, run or walk, in gray"
    licence: ClassVar[str] = "non-commercial use; the authors ask for a citation"
    address: ClassVar[str] = "https://www.csc.kth.se/cvap/actions/"
    layout: ClassVar[str] = (
        "the unpacked boxing.zip, handclapping.zip, handwaving.zip, jogging.zip, running.zip and "
        "walking.zip: person01_boxing_d1_uncomp.avi, ..., with or without folders"
    )
    size: ClassVar[str] = "1.1 GB"
    channels: ClassVar[int] = 1
    counts: ClassVar[Mapping[str, int]] = {"train": 479, "test": 120}
    splits: ClassVar[str] = (
        "by person: 1 to 18 train, 19 and 20 validation, 21 to 25 test; 599 videos in all"
    )

    def originals(self, folder: Path) -> list[Original]:
        """See `Source.originals`.

        Raises:
            DataError: Also if a file lies in two places.
        """
        found: dict[str, Path] = {}
        for path in files_below(folder, {".avi"}).values():
            if not _NAME.fullmatch(path.name):
                continue
            if path.name in found:
                raise DataError(
                    f"{self.name}: {path.name} lies in two places, {found[path.name].parent} and "
                    f"{path.parent}; remove one of them"
                )
            found[path.name] = path
        if not found:
            raise missing(self, folder)
        return [Original(name, _split(name), path) for name, path in sorted(found.items())]

    def read(self, original: Original, resolution: int) -> Iterator[Footage]:
        frames = read_video(original.path)
        yield Footage(original.name, packed(frames, resolution, 1, "whole", original.path))


def _split(name: str) -> Split:
    """The split of the person whom a file is named after."""
    person = int(name[6:8])
    if person in _TEST:
        return "test"
    return "validation" if person in _VALIDATION else "train"
