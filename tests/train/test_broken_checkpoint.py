"""Checkpoints survive damage, disks that do not answer, and interruptions."""

import errno
import os
import pickle
import signal
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import pytest
import torch

from pyrovp.errors import DamagedCheckpoint, RunError
from pyrovp.train import Best, Checkpoints
from tests.train.toy import ToyObjective, toy_adam, trained


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def flip(path: Path) -> None:
    """One bit in the middle of the weights, which torch.load would not notice."""
    content = bytearray(path.read_bytes())
    weights = torch.load(path, weights_only=True)["objective"]["linear.weight"]
    values = weights.numpy().tobytes()
    content[content.index(values) + 7] ^= 1
    path.write_bytes(content)
    torch.load(path, weights_only=True)


def code(path: Path) -> None:
    """A pickle that writes a file when it is loaded."""

    class Bomb:
        def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
            return Path.touch, (path.with_name("exploded"),)

    path.write_bytes(pickle.dumps(Bomb()))


def another(content: object) -> Callable[[Path], None]:
    """A sound file of torch's, with something else in it."""
    return lambda path: torch.save(content, path)


DAMAGE = [cut, empty, flip, code, another([1]), another({"version": 1}), another({"step": 1})]


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_falls_back_and_says_so(saved: list[Path], damage: Callable[[Path], None]) -> None:
    damage(saved[1])
    said: list[str] = []
    restored = Checkpoints(saved[1].parent, "toy", said.append).restore(*trained(0))
    assert restored is not None and restored[0] == 1
    assert len(said) == 1 and str(saved[1]) in said[0] and "damaged" in said[0]
    assert not saved[1].with_name("exploded").exists()
    assert not saved[1].exists() and saved[1].with_suffix(".damaged").exists()


def test_a_pickle_in_torchs_own_format_runs_nothing(saved: list[Path]) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
            return Path.touch, (saved[1].with_name("exploded"),)

    torch.save(Bomb(), saved[1])
    said: list[str] = []
    restored = Checkpoints(saved[1].parent, "toy", said.append).restore(*trained(0))
    assert restored is not None and restored[0] == 1 and said
    assert not saved[1].with_name("exploded").exists()


def test_all_damaged_is_refused_and_stays_refused(saved: list[Path]) -> None:
    for path in saved:
        empty(path)
    for _ in range(2):
        with pytest.raises(DamagedCheckpoint, match="force=true"):
            Checkpoints(saved[0].parent, "toy", lambda text: None).restore(*trained(0))
        assert sorted(saved[0].parent.iterdir()) == saved


def test_nothing_but_damaged_ones_put_aside_is_refused(saved: list[Path]) -> None:
    saved[0].unlink()
    saved[1].rename(saved[1].with_suffix(".damaged"))
    with pytest.raises(DamagedCheckpoint, match=r"step_00000002\.damaged.*force=true"):
        Checkpoints(saved[0].parent, "toy").restore(*trained(0))


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(errno.EIO, os.strerror(errno.EIO)), "Input/output error"),
        (OSError(errno.ESTALE, os.strerror(errno.ESTALE)), "Stale file handle"),
        (MemoryError(), "out of memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: 3 GB"), "out of memory"),
    ],
)
def test_what_cannot_be_read_now_is_left_as_it_is(
    saved: list[Path], monkeypatch: pytest.MonkeyPatch, error: Exception, reason: str
) -> None:
    def load(*_: object, **__: object) -> None:
        raise error

    checkpoints = Checkpoints(saved[0].parent, "toy")
    checkpoints.save_best(Best(1, 0.5), ToyObjective())
    with monkeypatch.context() as patch:
        patch.setattr(torch, "load", load)
        for read in (lambda: checkpoints.restore(*trained(0)), checkpoints.best):
            with pytest.raises(RunError, match=f"(?s){reason}.*the same command") as caught:
                read()
            assert not isinstance(caught.value, DamagedCheckpoint)
    restored = checkpoints.restore(*trained(0))
    assert restored is not None and restored[0] == 2 and checkpoints.best() == Best(1, 0.5)


def test_a_link_to_a_disk_that_is_away_is_not_damaged(saved: list[Path]) -> None:
    saved[1].unlink()
    saved[1].symlink_to(saved[1].with_name("away"))
    with pytest.raises(RunError, match="No such file"):
        Checkpoints(saved[0].parent, "toy").restore(*trained(0))
    assert saved[1].is_symlink()


def test_what_killed_writes_left_is_removed(saved: list[Path]) -> None:
    left = saved[0].with_name(".step_00000003.0123456789ab.tmp.pt")
    left.write_bytes(b"half")
    Checkpoints(saved[0].parent, "toy").restore(*trained(0))
    assert sorted(left.parent.iterdir()) == saved


def test_an_interruption_while_torch_writes_stays_one(
    saved: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Torch makes an error of its own of what is raised while it writes to a file."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    big = {"weights": [torch.zeros(2**18) for _ in range(64)]}  # 64 MB: 60 ms, or more
    checkpoints, optimizer = Checkpoints(saved[0].parent, "toy"), toy_adam(ToyObjective())
    monkeypatch.setattr(ToyObjective, "state_dict", lambda self: big)
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        for moment in range(5):
            signal.setitimer(signal.ITIMER_REAL, 0.004 * (moment + 1))
            with pytest.raises(KeyboardInterrupt):
                checkpoints.save(9, ToyObjective(), optimizer, {})
                signal.pause()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert sorted(saved[0].parent.iterdir()) == saved
