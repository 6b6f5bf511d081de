"""MineRL Navigate: people who walk to a goal in generated worlds of Minecraft, 64 x 64 px.

CW-VAE's video data set from the demonstrations of the tasks Navigate and Navigate Extreme, cut
into sequences of 500 frames: `train/*.mp4`, `test/*.mp4`, and beside the videos or above them a
`metadata.json`

    {"video.mp4": {"attack": [0, ...], ..., "camera_x": [0.3, ...], ...}, ...}

with what the player did at each frame. Eleven of its lists become a frame's state `action`, in the
order of `ACTIONS`. Without a `metadata.json` the videos have no states.

Publications give 961 training videos, and 225 or 255 for testing: that is what is counted, not
what is assumed.

Reference:
    Clockwork Variational Autoencoders (Saxena, Ba, Hafner, 2021), Section 3.
    https://arxiv.org/abs/2102.09532
    MineRL: a large-scale dataset of Minecraft demonstrations (Guss et al., 2019).
    https://arxiv.org/abs/1907.13440
"""

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from pyrovp.data.errors import DamagedFile
from pyrovp.data.readers.video import read_video
from pyrovp.data.sources.base import Footage, Original, Source
from pyrovp.data.sources.finding import files_below, missing, unpacked
from pyrovp.data.sources.packing import packed

__all__ = ["ACTIONS", "MineRLNavigate"]

ACTIONS = (
    "attack", "back", "camera_x", "camera_y", "forward", "jump", "left", "place", "right", "sneak",
    "sprint",
)  # fmt: skip
"""Columns of the state `action`: whole numbers, but for the two of the camera."""

_METADATA = "metadata.json"
_ADVICE = f"download it again, or move {_METADATA} away to go without actions"


@final
class MineRLNavigate(Source):
    """MineRL Navigate; the player's actions are a state of a frame."""

    name: ClassVar[str] = "minerl_navigate"
    title: ClassVar[str] = "MineRL Navigate (Guss et al., 2019; Saxena, Ba, Hafner, 2021)"
    what: ClassVar[str] = "players who walk to a goal in Minecraft, in colour, 500 frames each"
    licence: ClassVar[str] = "none that we know of is stated with the files"
    address: ClassVar[str] = "https://archive.org/details/minerl_navigate"
    layout: ClassVar[str] = (
        "the unpacked minerl_navigate.zip: train/*.mp4 and test/*.mp4, each with its metadata.json"
    )
    size: ClassVar[str] = "not published"
    channels: ClassVar[int] = 3
    counts: ClassVar[Mapping[str, int]] = {"train": 961}
    splits: ClassVar[str] = "by folder: train/ train, test/ test"

    def originals(self, folder: Path) -> list[Original]:
        place = unpacked(folder, ["minerl_navigate"], ["train", "test"])
        found = [
            Original(f"{split}/{name}", split, path)
            for split in ("test", "train")
            for name, path in files_below(place / split, {".mp4"}).items()
        ]
        if not found:
            raise missing(self, folder)
        return found

    def read(self, original: Original, resolution: int) -> Iterator[Footage]:
        path = original.path
        frames = packed(read_video(path), resolution, 3, "whole", path)
        yield Footage(original.name, frames, _states(path, len(frames)))


def _states(path: Path, frames: int) -> dict[str, NDArray[np.float32]]:
    """What the metadata say of a video, if there are any."""
    for folder in (path.parent, path.parent.parent):
        metadata = folder / _METADATA
        if metadata.is_file():
            return {"action": _actions(metadata, path.name, frames)}
    return {}


def _actions(metadata: Path, video: str, frames: int) -> NDArray[np.float32]:
    """The player's actions at each frame of a video, [T, 11]."""
    entry = _load(metadata, metadata.stat().st_mtime_ns).get(video)
    where = f"{metadata}, {video}"
    if not isinstance(entry, dict):
        raise DamagedFile(where, "no entry", "one for each video", _ADVICE)
    columns = []
    for name in ACTIONS:
        column = np.asarray(entry.get(name, ()))
        if column.dtype.kind not in "biuf" or column.shape != (frames,):
            found = f"{column.size} values" if column.size else "nothing"
            raise DamagedFile(
                f"{where}, {name}", found, f"{frames} numbers, one for each frame", _ADVICE
            )
        columns.append(column.astype(np.float32))
    return np.stack(columns, axis=1)


@lru_cache(maxsize=2)
def _load(metadata: Path, changed: int) -> dict[str, Any]:
    """The file, read once a process and change: it holds the actions of all videos."""
    try:
        content = json.loads(metadata.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DamagedFile(metadata, str(error), "a JSON object", _ADVICE) from error
    if not isinstance(content, dict):
        raise DamagedFile(metadata, f"a {type(content).__name__}", "a JSON object", _ADVICE)
    return content
