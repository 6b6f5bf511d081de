"""Checkpoints hold everything, and are whole or absent."""

import errno
import random
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest
import torch

from pyrovp.errors import RunError
from pyrovp.train import Best, Checkpoints
from tests.train.toy import ToyObjective, toy_adam, trained


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
    with pytest.raises(RunError, match="(?s)No space.*step_00000002.pt, is whole: make room, and"):
        checkpoints.save(2, *trained(0), {})
    assert checkpoints.paths() == saved[::-1]
    monkeypatch.undo()
    restored = checkpoints.restore(*trained(0))
    assert restored is not None and restored[0] == 2


def test_a_best_without_a_number_is_none(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, "toy")
    checkpoints.save_best(Best(7, float("nan")), ToyObjective())
    assert checkpoints.best() is None
    with pytest.raises(RunError, match="evaluate.checkpoint=last"):
        checkpoints.load_best(ToyObjective())


def test_a_file_in_the_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "checkpoint").write_text("")
    with pytest.raises(RunError, match="cannot write.*there is none yet: a file is where"):
        Checkpoints(tmp_path / "checkpoint", "toy").save(1, *trained(0), {})


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
    (tmp_path / "best.pt").write_bytes(b"")
    assert checkpoints.best() is None and "damaged" in said[0]
