"""The file in which a search writes down its trials: one command at a time, a line for each event.

    runs/.searches/dlh-moving_digits-1f0c9a2b.journal        Optuna's format
                                             .lock           held by the command at work

A line that a killed command or a full disk has cut short is an event that has not happened: it is
taken away, and what it was about is done again.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pyrovp.errors import RunError, remedy

__all__ = ["alone", "sound"]


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Keeps a second command out of a search; the kernel lets go when this process ends.

    Args:
        path: Of the journal, which ends with a whole line inside.

    Raises:
        RunError: If another process is at work on it, or its folder cannot be written.
    """
    with sound(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.with_suffix(".lock").open("w")
    with lock:
        try:
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            raise RunError(f"another process is at work on the search {path}") from None
        with sound(path):
            _cut(path)
        yield


@contextmanager
def sound(path: Path) -> Iterator[None]:
    """Around all that reads or writes a journal, and nothing else.

    Args:
        path: Of the journal.

    Raises:
        RunError: If it cannot be written, or holds what no search has written.
    """
    try:
        yield
    except OSError as error:
        raise RunError(
            f"cannot write down the search in {path} ({error.strerror or error}); "
            f"{remedy(error, 'choose another folder with out=...')}"
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError, AssertionError) as error:
        raise RunError(
            f"{path} is damaged ({type(error).__name__}: {error}); move it away, and the same "
            f"command goes through the search again, without training what is finished"
        ) from error


def _cut(path: Path) -> None:
    """Takes away what follows the last whole line."""
    if path.exists():
        text = path.read_bytes()
        os.truncate(path, text.rfind(b"\n") + 1)
