"""Checkpoints hold everything, are whole or absent, and survive damage."""

import errno
import pickle
import random
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest
import torch

from pyrovp.errors import DamagedCheckpoint, RunError
from pyrovp.train import Best, Checkpoints
from tests.train.toy import ToyObjective, toy_adam, toy_videos


def trained(steps: int = 3) -> tuple[ToyObjective, torch.optim.Adam]:
    """An objective and an optimiser whose moments are not zero."""
    objective = ToyObjective()
    optimizer = toy_adam(objective)
    for _, video in zip(range(steps), toy_videos(0), strict=False):
        optimizer.zero_grad()
        objective(video).loss.backward()
        optimizer.step()
    return objective, optimizer


@pytest.fixture
def saved(tmp_path: Path) -> list[Path]:
    """Two checkpoints, oldest first, of one and of two steps."""
    checkpoints = Checkpoints(tmp_path, "toy")
    return [checkpoints.save(step, *trained(step), {"seconds": float(step)}) for step in (1, 2)]


def test_everything_comes_back(tmp_path: Path) -> None:
    objective, optimizer = trained()
    checkpoints = Checkpoints(tmp_path, "toy")
    checkpoints.save(3, objective, optimizer, {"seconds": 1.5, "rows": [{"loss": 2.0}]})
    expected = torch.rand(2), np.random.rand(2), random.random()
    normal = np.random.standard_normal()  # numpy keeps the second of a pair of normals

    other = ToyObjective()
    fresh = toy_adam(other)
    assert checkpoints.restore(other, fresh) == (3, {"seconds": 1.5, "rows": [{"loss": 2.0}]})
    assert torch.equal(torch.rand(2), expected[0])
    assert np.array_equal(np.random.rand(2), expected[1])
    assert random.random() == expected[2]
    assert np.random.standard_normal() == normal
    for name, value in objective.state_dict().items():
        assert torch.equal(other.state_dict()[name], value)
    for a, b in zip(optimizer.state.values(), fresh.state.values(), strict=True):
        assert all(torch.equal(a[name], b[name]) for name in ("step", "exp_avg", "exp_avg_sq"))


def test_numpy_and_python_mid_stream(tmp_path: Path) -> None:
    np.random.standard_normal()  # leaves a cached second normal
    random.gauss(0, 1)  # likewise
    checkpoints = Checkpoints(tmp_path, "toy")
    checkpoints.save(3, *trained(), {})
    expected = np.random.standard_normal(), random.gauss(0, 1)
    checkpoints.restore(*trained())
    assert (np.random.standard_normal(), random.gauss(0, 1)) == expected


def test_only_the_newest_two_stay(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, "toy")
    for step in (90, 100, 110_000_000, 2_000_000_000):
        checkpoints.save(step, *trained(1), {})
    assert [path.name for path in checkpoints.paths()] == [
        "step_2000000000.pt", "step_110000000.pt",
    ]  # fmt: skip
    assert not [path for path in tmp_path.iterdir() if "tmp" in path.name]


def test_nothing_there(tmp_path: Path) -> None:
    assert Checkpoints(tmp_path / "none", "toy").restore(*trained()) is None


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


@pytest.mark.parametrize("damage", [cut, empty, flip, code])
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


def test_all_damaged(saved: list[Path]) -> None:
    for path in saved:
        cut(path)
    with pytest.raises(DamagedCheckpoint, match="force=true"):
        Checkpoints(saved[0].parent, "toy", lambda text: None).restore(*trained(0))


def test_another_configuration_is_refused(saved: list[Path]) -> None:
    with pytest.raises(RunError, match="another configuration"):
        Checkpoints(saved[0].parent, "other").restore(*trained(0))


def test_a_failed_write_leaves_the_last_one(
    saved: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(content: object, file: BinaryIO) -> None:
        file.write(b"half of it")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    checkpoints = Checkpoints(saved[0].parent, "toy")
    with pytest.raises(RunError, match="(?s)No space left.*step_00000002.pt, is whole"):
        checkpoints.save(2, *trained(0), {})
    assert checkpoints.paths() == saved[::-1]
    monkeypatch.undo()
    restored = checkpoints.restore(*trained(0))
    assert restored is not None and restored[0] == 2


def test_best_weights(tmp_path: Path) -> None:
    said: list[str] = []
    checkpoints = Checkpoints(tmp_path, "toy", said.append)
    assert checkpoints.best() is None
    with pytest.raises(RunError, match="evaluate.checkpoint=last"):
        checkpoints.load_best(ToyObjective())
    objective, _ = trained()
    checkpoints.save_best(Best(7, 0.5), objective)
    assert checkpoints.best() == Best(7, 0.5)
    other = ToyObjective()
    assert checkpoints.load_best(other) == Best(7, 0.5)
    assert torch.equal(other.linear.weight, objective.linear.weight)
    cut(tmp_path / "best.pt")
    assert checkpoints.best() is None and "damaged" in said[0]
