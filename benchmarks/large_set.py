"""Prepared data sets that are made up: noise of any size, and one too large to write.

A file of 10 GB is prepared small and then lengthened by `truncate`, which leaves a hole that reads
as zeros and takes no room on the disk. Header, index and sidecar are brought up to date. The
sidecar's sha256 of the frames stays that of the small file: only `verify` would look at it, and it
would read all of them.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np

from pyrovp.data.keyed import Split
from pyrovp.data.prepare import prepare
from pyrovp.data.sources.base import Footage, Original, Source
from pyrovp.data.store import Prepared, open_prepared, split_hash
from pyrovp.data.store.arrays import HEADER, npy_header
from pyrovp.data.store.sidecar import SIDECAR

__all__ = ["Noise", "large_set", "own_memory"]


class Noise(Source):
    """Videos of noise, all of one length.

    Args:
        videos: Training videos; there is one more for the test.
        frames: Frames of each.
        channels: 1 or 3.
    """

    name: ClassVar[str] = "noise"
    title: ClassVar[str] = "noise"
    what: ClassVar[str] = "noise"
    licence: ClassVar[str] = "none needed"
    address: ClassVar[str] = "made up"
    layout: ClassVar[str] = "nothing"
    size: ClassVar[str] = "nothing"
    counts: ClassVar[Mapping[str, int]] = {}
    splits: ClassVar[str] = "one video for the test"

    def __init__(self, videos: int, frames: int, channels: int) -> None:
        self.videos, self.frames = videos, frames
        self.channels = channels  # type: ignore[misc]

    def originals(self, folder: Path) -> list[Original]:
        last: Split = "test"
        return [
            Original(f"{n:06d}", "train" if n < self.videos else last, folder)
            for n in range(self.videos + 1)
        ]

    def read(self, original: Original, resolution: int) -> Iterator[Footage]:
        shape = (self.frames, resolution, resolution, self.channels)
        rng = np.random.default_rng(int(original.name))
        yield Footage(original.name, rng.integers(0, 256, shape, dtype=np.uint8))


def large_set(root: Path, gigabytes: float, frames: int = 100, channels: int = 3) -> Prepared:
    """A prepared data set at 64 px whose training split is a hole of this size.

    Args:
        root: The folder of all data.
        gigabytes: Of training frames, in 10^9 bytes.
        frames: Frames of a video.
        channels: 1 or 3.
    """
    root.mkdir(parents=True, exist_ok=True)
    small = prepare(Noise(2, frames, channels), root, folder=root, say=lambda text: None)
    folder, size = small.folder, small.resolution
    videos = round(gigabytes * 1e9 / (frames * size * size * channels))
    rows = videos * frames
    path = folder / "train.npy"
    with path.open("r+b") as file:
        file.truncate(HEADER + rows * size * size * channels)
        file.write(npy_header(np.uint8, (rows, size, size, channels)))
    names = [f"{n:06d}" for n in range(videos)]
    index = folder / "train.index.npz"
    np.savez(index, names=np.array(names), starts=np.arange(videos + 1, dtype=np.int64) * frames)
    sidecar = json.loads((folder / SIDECAR).read_text())
    train = sidecar["splits"]["train"]
    train |= {"videos": videos, "frames": rows, "hash": split_hash(names, [frames] * videos)}
    train["files"][path.name]["bytes"] = path.stat().st_size
    digest = hashlib.sha256(index.read_bytes()).hexdigest()
    train["files"][index.name] = {"bytes": index.stat().st_size, "sha256": digest}
    (folder / SIDECAR).write_text(json.dumps(sidecar))
    return open_prepared(folder)


def own_memory() -> int:
    """Bytes that this process has to itself (RssAnon): no pages of mapped files among them."""
    status = Path(f"/proc/{os.getpid()}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("RssAnon:"))
    return int(line.split()[1]) * 1024
