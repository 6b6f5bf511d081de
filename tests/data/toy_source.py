"""A data set of tiny originals that can be damaged, counted and killed at.

An original is a JSON file with the lengths of its videos: `train-03.toy` holds [3, 5]. Pixels and
states follow from the video's name.
"""

import importlib
import json
import os
import signal
import struct
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from pyrovp.data.errors import DamagedFile, MissingFiles
from pyrovp.data.keyed import Split
from pyrovp.data.prepare import prepare
from pyrovp.data.sources.base import Footage, Original, Source
from pyrovp.data.store import arrays, journal, part, writer

__all__ = [
    "LENGTHS",
    "POINTS",
    "Deserter",
    "HalfSender",
    "Mistaken",
    "ToySource",
    "footage",
    "prepare_and_die",
    "prepare_slowly",
    "silent",
    "write_toys",
]

prepare_module = importlib.import_module("pyrovp.data.prepare")

LENGTHS = {
    "train-00.toy": [4],
    "train-01.toy": [3, 5],
    "train-02.toy": [2, 2, 6],
    "train-03.toy": [7],
    "train-04.toy": [1],
    "test-00.toy": [5],
    "test-01.toy": [2, 3],
}
"""Frames of the videos of each original."""


def silent(text: str) -> None:
    """Says nothing."""


def write_toys(folder: Path, lengths: Mapping[str, list[int]] = LENGTHS) -> Path:
    """Writes originals, and returns their folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, frames in lengths.items():
        (folder / name).write_text(json.dumps(frames))
    return folder


def footage(name: str, length: int, resolution: int = 16, channels: int = 1) -> Footage:
    """The video of that name."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    frames = rng.integers(256, size=(length, resolution, resolution, channels), dtype=np.uint8)
    states = {
        "action": rng.random((length, 2), np.float32),
        "speed": rng.random(length, np.float32),
    }
    return Footage(name, frames, states)


class ToySource(Source):
    """See the module.

    Args:
        log: A file with one line for each original that was read.
        before: Called with the name of a video before it is handed out.
    """

    name: ClassVar[str] = "toy"
    title: ClassVar[str] = "Toys (Nobody, 2026)"
    what: ClassVar[str] = "noise"
    licence: ClassVar[str] = "free"
    address: ClassVar[str] = "https://example.org/toys"
    layout: ClassVar[str] = "train-00.toy, ..."
    size: ClassVar[str] = "1 kB"
    channels: ClassVar[int] = 1
    resolution: ClassVar[int] = 16
    counts: ClassVar[Mapping[str, int]] = {"train": 8, "test": 3}
    splits: ClassVar[str] = "by name"

    def __init__(self, log: Path | None = None, before: Callable[[str], None] = silent) -> None:
        self.log, self.before = log, before

    def originals(self, folder: Path) -> list[Original]:
        paths = sorted(folder.glob("*.toy"))
        if not paths:
            raise MissingFiles(f"looked for toys in {folder}; needed: {self.layout}")
        splits: dict[str, Split] = {"train": "train", "test": "test"}
        return [Original(path.name, splits[path.name.split("-")[0]], path) for path in paths]

    def read(self, original: Original, resolution: int) -> Iterator[Footage]:
        if self.log is not None:
            with self.log.open("a") as file:
                file.write(f"{original.name}\n")
        text = original.path.read_text()
        for n, length in enumerate(json.loads(text.partition("#")[0])):
            self.before(f"{original.name}/{n}")
            yield footage(f"{original.name}/{n}", length, resolution, self.channels)
        if "#" in text:
            raise DamagedFile(original.path, "a #", "none", "get it again")


class Deserter(ToySource):
    """The process that reads it ends without a word."""

    def read(self, original: Original, resolution: int) -> Iterator[Footage]:
        os._exit(1)


class Mistaken(ToySource):
    """Its author made a mistake."""

    def read(self, original: Original, resolution: int) -> Iterator[Footage]:
        raise ValueError("oh")


class HalfSender(ToySource):
    """The process that reads it is killed while it sends a video, as for want of memory."""

    def read(self, original: Original, resolution: int) -> Iterator[Footage]:
        def send_half(connection: Connection, data: Any) -> None:
            os.write(connection.fileno(), struct.pack("!i", 100) + bytes(50))
            os._exit(1)

        Connection.send = send_half  # type: ignore[method-assign, assignment]
        yield footage(original.name, 1)


def die(*anything: Any, **named: Any) -> Any:
    """No exception, no clean-up."""
    os.kill(os.getpid(), signal.SIGKILL)


def at_call(place: Any, name: str, nth: int, after: bool = False) -> None:
    """Lets the n-th call (from 1) of a function or method be this process's last."""
    original, calls = getattr(place, name), 0

    def counted(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == nth and not after:
            die()
        result = original(*arguments, **named)
        if calls == nth:
            die()
        return result

    setattr(place, name, counted)


def in_the_middle_of_a_write(place: Any, nth: int) -> None:
    """Lets half of the n-th write of a module be this process's last."""
    original, calls = place.write_all, 0

    def counted(file: Any, data: memoryview) -> None:
        nonlocal calls
        calls += 1
        if calls == nth:
            file.write(data[: len(data) // 2])
            die()
        original(file, data)

    place.write_all = counted


POINTS: dict[str, Callable[[], None]] = {
    "before anything": lambda: at_call(prepare_module, "read_all", 1),
    "the first line of the journal": lambda: in_the_middle_of_a_write(journal, 1),
    "the first frames": lambda: in_the_middle_of_a_write(arrays, 4),
    "frames in between": lambda: in_the_middle_of_a_write(arrays, 20),
    "a line of the journal": lambda: in_the_middle_of_a_write(journal, 4),
    "after a line of the journal": lambda: at_call(journal.Journal, "append", 4, after=True),
    "between originals": lambda: at_call(part.Part, "append", 6),
    "a header": lambda: at_call(arrays.GrowingArray, "finish", 2, after=True),
    "an index": lambda: at_call(np, "savez", 2),
    "the sidecar": lambda: at_call(writer, "atomic_write", 1),
    "the picture": lambda: at_call(prepare_module, "contact_sheet", 1),
    "before the name": lambda: at_call(prepare_module, "publish", 1),
    "after the name": lambda: at_call(writer, "tidy", 1),
}
"""Moments of a preparation: each arranges for a SIGKILL there."""


def prepare_and_die(root: Path, log: Path, point: str) -> None:
    """Prepares the toys as far as a point."""
    if point.startswith("video "):
        source = ToySource(log, lambda name: die() if f"video {name}" == point else None)
    else:
        source = ToySource(log)
        POINTS[point]()
    prepare(source, root, say=silent)


def prepare_slowly(root: Path, signals: Path) -> None:
    """Prepares the toys, but in the middle tells so and waits until it may go on."""

    def before(name: str) -> None:
        if name == "train-02.toy/1":
            (signals / "waiting").touch()
            while not (signals / "go").exists():
                time.sleep(0.01)

    prepare(ToySource(before=before), root, say=silent)
