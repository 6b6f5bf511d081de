"""A file of JSON lines of which a kill leaves the first ones whole."""

import json
from pathlib import Path
from typing import Any

from pyrovp.data.store.disk import write_all

__all__ = ["Journal"]


class Journal:
    """Lines on the disk, each whole or absent.

    A line counts once its line feed is there. What follows the last whole line, such as half of
    one, is cut off before the next is written.

    Args:
        path: The file; it is made with its first line.
    """

    lines: list[dict[str, Any]]
    """The whole ones."""

    def __init__(self, path: Path) -> None:
        self.path, self.lines, self._ends = path, [], [0]
        for text in path.read_bytes().splitlines(keepends=True) if path.exists() else []:
            line = _object(text)
            if line is None:
                return
            self.lines.append(line)
            self._ends.append(self._ends[-1] + len(text))

    def append(self, line: dict[str, Any]) -> None:
        """Writes a line; if that fails, the line is not there."""
        text = json.dumps(line).encode() + b"\n"
        with open(self.path, "r+b" if self.path.exists() else "x+b", buffering=0) as file:
            file.truncate(self._ends[-1])
            file.seek(self._ends[-1])
            write_all(file, memoryview(text))
        self.lines.append(line)
        self._ends.append(self._ends[-1] + len(text))

    def keep(self, lines: int) -> None:
        """Forgets all but the first `lines` lines; the file follows with the next `append`."""
        del self.lines[lines:], self._ends[lines + 1 :]


def _object(text: bytes) -> dict[str, Any] | None:
    """What a line says; None if it is not whole."""
    if not text.endswith(b"\n"):
        return None
    try:
        line = json.loads(text)
    except ValueError:  # after a power failure a file may hold anything
        return None
    return line if isinstance(line, dict) else None
