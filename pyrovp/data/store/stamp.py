"""Whether an original is still the file that was read."""

import hashlib
import json
from pathlib import Path

from pyrovp.data.sources.base import Original

__all__ = ["stamp"]


def stamp(original: Original) -> str:
    """Sixteen hexadecimal digits of the sizes and times of change of its files.

    Contents are not read, since they may be hundreds of gigabytes; so a copy with another time
    counts as another file. Of an archive all of it counts, of a folder the members.
    """
    folder = original.members and original.path.is_dir()
    paths = [original.path / name for name in original.members] if folder else [original.path]
    return hashlib.sha256(json.dumps([_state(path) for path in paths]).encode()).hexdigest()[:16]


def _state(path: Path) -> list[int]:
    try:
        found = path.stat()
    except OSError:  # reading it says what is wrong
        return []
    return [found.st_size, found.st_mtime_ns]
