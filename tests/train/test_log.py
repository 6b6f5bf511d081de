"""The log: rows that are never doubled, and TensorBoard where it is asked for."""

import importlib.util
import json
from pathlib import Path

import pytest

from pyrovp.train import Log, read_rows
from pyrovp.train.log import check_tensorboard


def row(step: int) -> dict[str, object]:
    return {"step": step, "loss": step / 2, "parts": {"z_1": 1.0}}


def test_rows_beyond_the_checkpoint_are_cut(tmp_path: Path) -> None:
    log = Log(tmp_path, bar=False)
    log.begin(0, 30)
    for step in (10, 20, 30):
        log.write(row(step))
    log.end()
    log.begin(20, 40)
    log.write(row(30))
    log.end()
    assert read_rows(tmp_path / "metrics.jsonl") == [row(10), row(20), row(30)]


def test_a_line_that_was_cut_by_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text(json.dumps(row(10)) + "\n" + json.dumps(row(20))[:9])
    assert read_rows(path) == [row(10)]
    log = Log(tmp_path, bar=False)
    log.begin(10, 20)
    log.write(row(20))
    log.end()
    assert read_rows(path) == [row(10), row(20)]


@pytest.mark.parametrize(
    "lost", [b"\xff\xfe\n", b"\0\0\0\n", b"[1]\n", b"5\n", b'{"loss": 1.0}\n', b'{"step": "9"}\n']
)
def test_lines_that_are_no_rows(tmp_path: Path, lost: bytes) -> None:
    lines = [json.dumps(row(step)).encode() + b"\n" for step in (10, 20)]
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(lines[0] + lost + lines[1])
    assert read_rows(path) == [row(10), row(20)]
    log = Log(tmp_path, bar=False)
    log.begin(20, 30)
    log.end()
    assert path.read_bytes() == b"".join(lines)


def test_tensorboard(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    log = Log(tmp_path, tensorboard=True, bar=False)
    log.begin(0, 10)
    log.write(row(10))
    log.end()
    (file,) = (tmp_path / "tensorboard").iterdir()
    assert b"z_1" in file.read_bytes() and b"loss" in file.read_bytes()


def test_tensorboard_asked_for_and_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"pip install 'pyrovp\[tensorboard\]'"):
        check_tensorboard()
    with pytest.raises(ValueError, match="tensorboard=false"):
        Log(tmp_path, tensorboard=True)
