"""One process at a time."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pyrovp.data.errors import DataError
from pyrovp.data.store.disk import writing

__all__ = ["only_one"]


@contextmanager
def only_one(path: Path) -> Iterator[None]:
    """Holds a lock file; the kernel lets go of it when this process ends in any way.

    Args:
        path: The lock file. It is made with its folders and stays, since a file that comes and
            goes could be locked twice.

    Raises:
        DataError: If another process holds it, or it cannot be made.
    """
    with writing(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("w")
    with file:
        try:
            # Not flock: reading processes would inherit that lock and hold it for some seconds
            # after their parent was killed.
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):  # POSIX allows either
            raise DataError(
                f"another process is preparing {path.name.strip('.').removesuffix('.lock')} in "
                f"{path.parent}; wait until it is done, or stop it: what it has finished is kept"
            ) from None
        yield
