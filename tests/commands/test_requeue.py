"""A job of a cluster that is warned: it saves first, and then it is queued again."""

import signal
from collections.abc import Iterator
from types import FrameType

import pytest

from pyrovp.commands.requeue import saving_first
from pyrovp.errors import RunError, Stopped
from pyrovp.train.stopping import asked_to_stop

Calls = list[str]


@pytest.fixture
def cluster() -> Iterator[Calls]:
    """This process as a job of submitit's: what its handler of SIGUSR2 does is written down."""
    calls: Calls = []

    def requeue(number: int, frame: FrameType | None) -> None:
        calls.append("queued again")
        raise SystemExit(-1)

    before = signal.signal(signal.SIGUSR2, requeue)
    try:
        yield calls
        assert signal.getsignal(signal.SIGUSR2) is requeue
    finally:
        signal.signal(signal.SIGUSR2, before)


def training(calls: Calls, number: int) -> None:
    """Takes a step, at which the signal comes, and saves if it was asked to end."""
    with asked_to_stop() as asked:
        signal.raise_signal(number)
        calls.append("step")
        if asked():
            calls.append("saved")
            raise Stopped("stopped")


def test_saved_then_queued_again(cluster: Calls) -> None:
    with pytest.raises(SystemExit) as caught, saving_first():
        training(cluster, signal.SIGUSR2)
    assert caught.value.code == -1
    assert cluster == ["step", "saved", "queued again"]


def test_a_warning_when_nothing_trains(cluster: Calls) -> None:
    with pytest.raises(SystemExit) as caught, saving_first():
        signal.raise_signal(signal.SIGUSR2)
        cluster.append("went on")
    assert caught.value.code == -1 and cluster == ["queued again"]


def test_sigterm_ends_without_a_result(cluster: Calls) -> None:
    with pytest.raises(SystemExit) as caught, saving_first():
        training(cluster, signal.SIGTERM)
    assert caught.value.code == 143 and cluster == ["step", "saved"]


def test_other_errors_are_left_alone(cluster: Calls) -> None:
    with pytest.raises(RunError, match="no room"), saving_first():
        raise RunError("no room")


def test_without_a_cluster_nothing_changes() -> None:
    before = signal.getsignal(signal.SIGUSR2)
    with saving_first():
        assert signal.getsignal(signal.SIGUSR2) is before
    with pytest.raises(Stopped), saving_first():
        raise Stopped("stopped")
