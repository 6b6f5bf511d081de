"""Files that are either whole or absent.

A process may be stopped at any instant, also in the middle of a write. A file is therefore
written under a temporary name in the *same folder* (so that both names lie on one file system),
flushed to the disk, and renamed over its final name, which the operating system does in one
indivisible step. A reader sees the old content or the new content, never a part of either.
A process that is killed in the middle leaves the file with the temporary name.
"""

__all__ = ["atomic_write", "remove_leftovers"]

import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{12}\.tmp(\..*)?")


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yields a temporary path to write to, which becomes `path` when the block ends well.

    The temporary name keeps the suffix of `path`, from which several writers choose their
    format, and starts with a dot, so that a listing or a glob does not take it for a result.

    Args:
        path: The file to create or to replace; its folder must exist.

    Returns:
        A context manager that yields the path of a file that does not exist yet. If the block
        raises, whatever was written there is removed and `path` is left as it was.

    Raises:
        FileNotFoundError: If the folder does not exist, or if the block wrote nothing.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> with atomic_write(folder / "metrics.json") as temporary:
        ...     _ = temporary.write_text("{}")
        >>> [file.name for file in folder.iterdir()]
        ['metrics.json']
    """
    final = Path(path)
    if not final.parent.is_dir():
        raise FileNotFoundError(
            f"cannot write {final.name}: there is no folder {final.parent}; create it first"
        )
    temporary = final.with_name(f".{final.stem}.{secrets.token_hex(6)}.tmp{final.suffix}")
    try:
        yield temporary
        if not temporary.is_file():
            raise FileNotFoundError(
                f"nothing was written for {final}; write to the path that atomic_write yields, "
                f"here {temporary.name}, and not to the final name"
            )
        _flush(temporary)
        os.replace(temporary, final)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _flush(final.parent)


def remove_leftovers(folder: Path) -> None:
    """Removes what writes into a folder have left under a temporary name when they were killed.

    Args:
        folder: Of files that no other process writes meanwhile; it need not exist.
    """
    for path in folder.glob(".*.tmp*"):
        if _TEMPORARY.fullmatch(path.name):
            path.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    """Waits until a file's content, or a folder's list of names, has reached the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
