"""A job whose time runs out saves, and goes back into the queue.

Shortly before the end of a job's time, or when the cluster wants the machine back, submitit's job
is sent SIGUSR2 and answers it by putting itself into the queue again, wherever it is at that
moment. A training can do better: it finishes its step and saves, and then the job is queued again;
the new job goes on from that step.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from pyrovp.errors import Stopped
from pyrovp.train.stopping import ending_on_sigterm

__all__ = ["saving_first"]


@contextmanager
def saving_first() -> Iterator[None]:
    """Lets a training save before submitit's answer to SIGUSR2; elsewhere it changes nothing.

    Raises:
        SystemExit: In a job that was asked to end: without a result, so that the sweep goes on
            waiting for the job's next attempt.
    """
    theirs = signal.getsignal(signal.SIGUSR2)
    if not callable(theirs):
        yield
        return
    warned = False

    def save(number: int, frame: FrameType | None) -> None:
        nonlocal warned
        warned = True
        signal.raise_signal(signal.SIGTERM)  # which a training answers by saving

    signal.signal(signal.SIGUSR2, save)
    try:
        with ending_on_sigterm():
            yield
    except (Stopped, SystemExit) as error:
        if warned:
            theirs(signal.SIGUSR2, None)  # does not return where the job is queued again
        raise SystemExit(Stopped.code) from error
    finally:
        signal.signal(signal.SIGUSR2, theirs)
