"""The benchmark of memory: what is counted is counted, and an evaluation streams."""

import json
from pathlib import Path

import pytest
import torch

from benchmarks import evaluation_memory as benchmark
from benchmarks.evaluation_memory import main, peak_of_own_memory


def test_the_peak_is_seen_after_it_has_passed() -> None:
    with peak_of_own_memory() as peak:
        held = torch.ones(25_000_000)  # 100 MB
        held.sum()
        del held
    assert 0.9e8 < peak.bytes < 1.5e8


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmark, "tune_allocator", lambda: None)  # not this process's to tune
    path = tmp_path / "held.json"
    held = main(["--horizon", "8", "--samples", "3", "--width", "0.05", "--json", str(path)])
    stored = json.loads(path.read_text())
    assert (stored["horizon"], stored["samples"]) == (8, 3)
    assert stored["megabytes"] == held.megabytes
    assert stored["all_futures_megabytes"] == pytest.approx(3 * 8 * 64 * 64 * 4 / 1e6)
