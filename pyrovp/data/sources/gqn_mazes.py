"""GQN mazes: walks through the corridors of generated mazes, 300 frames each.

There are two releases, and what is in the folder tells them apart.

- CW-VAE's: `train/*.mp4` and `test/*.mp4`, 300 frames of 64 x 64 px.
- The original: `train/*.tfrecord` and `test/*.tfrecord` (`0001-of-1080.tfrecord`, ...), each file
  of several records, each record one walk. Its features are `frames`, 300 JPEGs of 84 x 84 px as
  one list of strings, and `cameras`, 300 x 5 numbers one after another: position x, y, z, yaw and
  pitch, which become a frame's state `camera`. As many frames are taken as a record holds, of
  whatever size, and cameras where there are any.

Frames of 84 px are made smaller here, those of CW-VAE's release were before: the pixels differ,
so figures on one release do not compare with figures on the other.

Reference:
    Neural scene representation and rendering (Eslami et al., 2018).
    https://doi.org/10.1126/science.aar6170
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from pyrovp.data.errors import DamagedFile, DataError
from pyrovp.data.readers.images import decode_image
from pyrovp.data.readers.tfrecord import example, records
from pyrovp.data.readers.video import read_video
from pyrovp.data.sources.base import Footage, Original, Source
from pyrovp.data.sources.finding import files_below, missing, unpacked
from pyrovp.data.sources.packing import packed

__all__ = ["GQNMazes"]

_CAMERA = 5
_ADVICE = "the file is not one of the GQN mazes, or damaged: download it again"


@final
class GQNMazes(Source):
    """GQN mazes, from either release."""

    name: ClassVar[str] = "gqn_mazes"
    title: ClassVar[str] = "GQN mazes (Eslami et al., 2018)"
    what: ClassVar[str] = "walks through generated mazes, in colour, 300 frames each"
    licence: ClassVar[str] = "none that we know of is stated with the files"
    address: ClassVar[str] = (
        "https://archive.org/details/gqn_mazes (mp4), or "
        "https://github.com/deepmind/gqn-datasets (tfrecord)"
    )
    layout: ClassVar[str] = "train/*.mp4 and test/*.mp4, or train/*.tfrecord and test/*.tfrecord"
    size: ClassVar[str] = "not published"
    channels: ClassVar[int] = 3
    counts: ClassVar[Mapping[str, int]] = {}
    splits: ClassVar[str] = "by folder: train/ train, test/ test"

    def originals(self, folder: Path) -> list[Original]:
        """See `Source.originals`.

        Raises:
            DataError: Also if both releases lie in the folder.
        """
        place = unpacked(folder, ["gqn_mazes", "mazes"], ["train", "test"])
        found = [
            Original(f"{split}/{name}", split, path)
            for split in ("test", "train")
            for name, path in files_below(
                place / split, {".mp4", ".tfrecord", ".tfrecords"}
            ).items()
        ]
        if not found:
            raise missing(self, folder)
        kinds = {_is_video(original.path) for original in found}
        if len(kinds) == 2:
            raise DataError(
                f"{self.name}: {place} holds .mp4 and .tfrecord files, which are two releases of "
                "the mazes; keep one of them there"
            )
        return found

    def read(self, original: Original, resolution: int) -> Iterator[Footage]:
        path = original.path
        if _is_video(path):
            frames = packed(read_video(path), resolution, 3, "whole", path)
            yield Footage(original.name, frames)
            return
        for number, record in enumerate(records(path)):
            where, name = f"{path}, record {number}", f"{original.name}/{number:03d}"
            yield _walk(name, example(record, where), resolution, where)


def _is_video(path: Path) -> bool:
    return path.suffix.lower() == ".mp4"


def _walk(name: str, features: Mapping[str, Any], resolution: int, where: str) -> Footage:
    """The walk in one record."""
    images = features.get("frames", [])
    if not isinstance(images, list) or not images:
        raise DamagedFile(where, "no JPEGs under `frames`", "a list of 300", _ADVICE)
    decoded = (decode_image(data, f"{where}, frame {t}") for t, data in enumerate(images))
    frames = packed(decoded, resolution, 3, "whole", where)
    if "cameras" not in features:
        return Footage(name, frames)
    return Footage(name, frames, {"camera": _cameras(features["cameras"], len(images), where)})


def _cameras(values: Any, frames: int, where: str) -> NDArray[np.float32]:
    """Position, yaw and pitch of each frame, [T, 5]."""
    table = np.asarray(values)
    if table.dtype.kind != "f" or table.size != frames * _CAMERA:
        raise DamagedFile(
            f"{where}, cameras",
            f"{table.size} values of type {table.dtype}",
            f"{frames} x {_CAMERA} floats, {_CAMERA} for each of its frames",
            _ADVICE,
        )
    return table.reshape(frames, _CAMERA).astype(np.float32)
