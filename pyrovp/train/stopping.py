"""SIGTERM, by which a cluster takes a machine back, asks a run to save and to end.

A training that hears it finishes the step it is at, writes a checkpoint and ends with exit code
143 (128 + SIGTERM); the same command goes on from there. Anything else says so and ends at once,
in order: what was being written under a temporary name is removed.
"""

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from pyrovp.errors import Stopped
from pyrovp.processes import Processes

__all__ = ["asked_to_stop", "ending_on_sigterm"]


@contextmanager
def asked_to_stop() -> Iterator[Callable[[], bool]]:
    """A function that says whether SIGTERM has come since; the process goes on meanwhile."""
    asked = False

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        asked = True

    with _answering(note):
        yield lambda: asked


@contextmanager
def ending_on_sigterm() -> Iterator[None]:
    """SIGTERM ends the process as an exception does, so that everything open is closed."""
    came = False

    def end(number: int, frame: FrameType | None) -> None:
        nonlocal came
        came = True
        sys.exit(Stopped.code)

    try:
        with _answering(end):
            yield
    except SystemExit:
        # Not in `end`, which may have come in the middle of another line.
        if came and Processes.present().main:
            print(
                "stopped by SIGTERM; the same command, without force=true, goes on",
                file=sys.stderr,
            )
        raise


@contextmanager
def _answering(handler: Callable[[int, FrameType | None], Any]) -> Iterator[None]:
    """Answers SIGTERM; only a process's main thread can, elsewhere the signal is left alone."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
