"""Cityscapes: drives through cities, in snippets of 30 frames of 2048 x 1024 px.

    leftImg8bit_sequence/SPLIT/CITY/CITY_SEQUENCE_FRAME_leftImg8bit.png

in a folder or in the archive of the authors. Most cities give each snippet a sequence number of
its own; some drove on, and all their snippets share one or two. The files of a city and a sequence
number are one video where they are exactly 30, so the long drives fall out: of the 2975 snippets
in `train` 1877 remain, which is the number that the HVRNN paper trains on.

That paper "randomly selects" 256 test sequences and does not say from where. Here they are drawn
from the groups of 30 in the folder `test`, other cities than those of `train`: the 256 with the
smallest sha256 of a fixed seed and their name, which is the same draw on every machine. The folder
`val` is not used.

A frame is the centre square of 1024 x 1024 px, made smaller.

Reference:
    The Cityscapes dataset for semantic urban scene understanding (Cordts et al., 2016).
    https://arxiv.org/abs/1604.01685
    Improved Conditional VRNNs for Video Prediction (Castrejon, Ballas, Courville, 2019), Section
    5.2.4. https://arxiv.org/abs/1904.12165
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import ClassVar, final

from pyrovp.data.keyed import Split
from pyrovp.data.readers.images import decode_image, members, read_member
from pyrovp.data.sources.base import Footage, Original, Source
from pyrovp.data.sources.finding import missing
from pyrovp.data.sources.packing import packed

__all__ = ["Cityscapes"]

_ARCHIVE = "leftImg8bit_sequence_trainvaltest.zip"
_NAME = re.compile(
    r"(?:(?:.*/)?leftImg8bit_sequence/)?(train|test)/([^/]+)/(\2_\d{6})_(\d{6})_leftImg8bit\.png"
)
_SPLITS: Mapping[str, Split] = {"train": "train", "test": "test"}
_FRAMES = 30
_TEST = 256
_SEED = "pyrovp/cityscapes/0"


@final
class Cityscapes(Source):
    """Cityscapes' sequences of 30 frames, from the folder or straight from the archive."""

    name: ClassVar[str] = "cityscapes"
    title: ClassVar[str] = "Cityscapes sequences (Cordts et al., 2016)"
    what: ClassVar[str] = "drives through German, French and Swiss cities, in colour, 30 frames"
    licence: ClassVar[str] = (
        "Cityscapes' own terms, https://www.cityscapes-dataset.com/license/ (non-commercial, with "
        "registration)"
    )
    address: ClassVar[str] = "https://www.cityscapes-dataset.com/downloads/"
    layout: ClassVar[str] = (
        f"{_ARCHIVE} as it is, or unpacked: "
        "leftImg8bit_sequence/train/aachen/aachen_000000_000000_leftImg8bit.png, ..."
    )
    size: ClassVar[str] = "324 GB"
    channels: ClassVar[int] = 3
    counts: ClassVar[Mapping[str, int]] = {"train": 1877, "test": 256}
    splits: ClassVar[str] = (
        "groups of exactly 30 frames: those of the folder train, and 256 drawn with a fixed seed "
        "from the folder test"
    )

    def originals(self, folder: Path) -> list[Original]:
        """See `Source.originals`; `folder` may be the archive itself."""
        for place in (folder, folder / _ARCHIVE):  # the unpacked files first: they are faster
            if place.is_dir() or place.is_file():
                found = sorted(_groups(place), key=lambda original: original.name)
                if found:
                    return found
        raise missing(self, folder)

    def read(self, original: Original, resolution: int) -> Iterator[Footage]:
        images = (
            decode_image(read_member(original.path, name), f"{original.path}, {name}")
            for name in original.members
        )
        frames = packed(images, resolution, 3, "centre", original.path)
        yield Footage(original.name, frames)


def _groups(place: Path) -> Iterator[Original]:
    """The groups of 30 frames: all of the folder train, and the draw from the folder test."""
    frames: dict[tuple[str, str, str], list[tuple[str, str]]] = {}
    for member in members(place):
        if match := _NAME.fullmatch(member):
            split, city, sequence, frame = match.groups()
            frames.setdefault((split, city, sequence), []).append((frame, member))
    whole = {key: sorted(group) for key, group in frames.items() if len(group) == _FRAMES}
    drawn = set(_draw("/".join(key) for key in whole if key[0] == "test"))
    for key, group in whole.items():
        name, split = "/".join(key), _SPLITS[key[0]]
        if split == "train" or name in drawn:
            yield Original(name, split, place, tuple(member for _, member in group))


def _draw(names: Iterable[str]) -> list[str]:
    """At most 256 of the names."""
    return sorted(names, key=lambda name: hashlib.sha256(f"{_SEED}/{name}".encode()).digest())[
        :_TEST
    ]
