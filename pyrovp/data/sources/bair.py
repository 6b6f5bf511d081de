"""BAIR robot pushing: an arm in a box of objects, trajectories of 30 frames at 64 x 64 px.

A file `traj_256_to_511.tfrecords` holds 256 trajectories, a record each, with for i = 0, ..., 29

    i/image_aux1/encoded    64 x 64 x 3 raw bytes: the camera that papers predict
    i/image_main/encoded    the same of a second camera, which is not read
    i/action                4 numbers, the command given to the arm
    i/endeffector_pos       3 numbers, where its gripper is

Bytes are kept as they are, without a stretch of contrast. The test set is the file in `test/`,
256 trajectories. (The HVRNN paper tests on "trajectories 256 to 511" and trains on 43,264; with
169 x 256 = 43,264 trajectories in `train/` its counts fit this split.)

Reference:
    Self-supervised visual planning with temporal skip connections (Ebert, Finn, Lee, Levine,
    2017). https://arxiv.org/abs/1710.05268
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from pyrovp.data.errors import DamagedFile
from pyrovp.data.readers.tfrecord import example, records
from pyrovp.data.sources.base import Footage, Original, Source
from pyrovp.data.sources.finding import files_below, missing, unpacked
from pyrovp.data.sources.packing import packed

__all__ = ["BAIR"]

_FRAMES = 30
_SHAPE = (64, 64, 3)
_STATES = {"action": 4, "endeffector_pos": 3}
_ADVICE = "the file is not one of BAIR's, or damaged: download it again"


@final
class BAIR(Source):
    """BAIR robot pushing; what was commanded and where the gripper is are states of a frame."""

    name: ClassVar[str] = "bair"
    title: ClassVar[str] = "BAIR robot pushing (Ebert, Finn, Lee, Levine, 2017)"
    what: ClassVar[str] = "a robot arm that pushes objects about in a box, in colour"
    licence: ClassVar[str] = "none that we know of is stated with the files"
    address: ClassVar[str] = (
        "http://rail.eecs.berkeley.edu/datasets/bair_robot_pushing_dataset_v0.tar"
    )
    layout: ClassVar[str] = (
        "the unpacked archive: softmotion30_44k/train/traj_256_to_511.tfrecords, ... and "
        "softmotion30_44k/test/traj_0_to_255.tfrecords"
    )
    size: ClassVar[str] = "30 GB"
    channels: ClassVar[int] = 3
    counts: ClassVar[Mapping[str, int]] = {"train": 43264, "test": 256}
    splits: ClassVar[str] = "by folder: train/ train, test/ test"

    def originals(self, folder: Path) -> list[Original]:
        place = unpacked(folder, ["softmotion30_44k"], ["train", "test"])
        found = [
            Original(f"{split}/{name}", split, path)
            for split in ("test", "train")
            for name, path in files_below(place / split, {".tfrecords", ".tfrecord"}).items()
        ]
        if not found:
            raise missing(self, folder)
        return found

    def read(self, original: Original, resolution: int) -> Iterator[Footage]:
        count = 0
        for number, record in enumerate(records(original.path)):
            where = f"{original.path}, trajectory {number} of the file"
            features = example(record, where)
            images = (_image(features, t, where) for t in range(_FRAMES))
            frames = packed(images, resolution, 3, "whole", where)
            states = {
                key: _table(features, key, width, where)
                for key, width in _STATES.items()
                if f"0/{key}" in features
            }
            yield Footage(f"{original.name}/{number:03d}", frames, states)
            count = number + 1
        _check_count(original.path, count)


def _image(features: Mapping[str, Any], t: int, where: str) -> NDArray[np.uint8]:
    """Frame t, [64, 64, 3]."""
    key = f"{t}/image_aux1/encoded"
    needed = "64 x 64 x 3 = 12288 raw bytes"
    if key not in features:
        raise DamagedFile(where, f"no {key}", needed, _ADVICE)
    data = features[key]
    if not isinstance(data, list) or len(data) != 1:
        raise DamagedFile(f"{where}, {key}", f"{len(data)} values", needed, _ADVICE)
    if len(data[0]) != np.prod(_SHAPE):
        raise DamagedFile(f"{where}, {key}", f"{len(data[0])} bytes", needed, _ADVICE)
    return np.frombuffer(data[0], np.uint8).reshape(_SHAPE)


def _table(features: Mapping[str, Any], key: str, width: int, where: str) -> NDArray[np.float32]:
    """What stands under `key` for each frame, [T, width]."""
    rows = [np.asarray(features.get(f"{t}/{key}", ())) for t in range(_FRAMES)]
    for t, row in enumerate(rows):
        if row.shape != (width,) or row.dtype.kind != "f":
            found = f"{row.size} values of type {row.dtype}" if row.size else "nothing"
            raise DamagedFile(f"{where}, {t}/{key}", found, f"{width} floats", _ADVICE)
    return np.stack(rows).astype(np.float32)


def _check_count(path: Path, count: int) -> None:
    """A file cut off between two records looks whole, but its name says how many it has."""
    named = re.fullmatch(r"traj_(\d+)_to_(\d+)", path.stem)
    expected = int(named[2]) - int(named[1]) + 1 if named else count
    if count != expected:
        needed = f"{expected}, as its name says"
        raise DamagedFile(path, f"{count} trajectories", needed, "download it again")
