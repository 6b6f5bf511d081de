"""The benchmark of recomputation prints a row."""

import pytest

from benchmarks import long_clips


def test_a_row(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(long_clips, "tune_allocator", lambda: None)
    monkeypatch.setattr(long_clips, "BATCH", 2)
    long_clips.main(["--row", "2", "3", "--rounds", "1"])
    *cells, _ = capsys.readouterr().out.split("|")
    assert [cell.strip() for cell in cells[1:3]] == ["2", "3"]
    assert float(cells[3].replace(",", "")) > 0 and float(cells[4]) > 0
