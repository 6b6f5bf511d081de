"""The command: what it measures, what it writes, and what a table makes of that."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import comparisons, peak, run, start, table
from benchmarks.comparisons import Comparison, Side
from benchmarks.large_set import own_memory
from benchmarks.machines import CPU, CUDA, machine
from benchmarks.systems import SYSTEMS

__all__: list[str] = []


class Place(CPU):
    """A processor that says how much memory is held."""

    def peak(self, title: str, side: str, make: Callable[[], Callable[[], Any]]) -> int:
        make()()
        return {"small": 10_000_000, "large": 14_000_000}[side]


def _comparison(what: str = "growth in T") -> Comparison:
    sides = {
        "small": Side(lambda: lambda: torch.ones(10).sum(), 100),
        "large": Side(lambda: lambda: torch.ones(1000).sum(), 300),
    }
    return Comparison("cwvae", what, "B = 1", sides, tuple(sides))


def test_a_comparison_is_timed_and_weighed() -> None:
    result = run.measured(_comparison(), Place(), rounds=2)
    assert (result["system"], result["what"], result["rounds"]) == ("cwvae", "growth in T", 2)
    small, large = result["sides"]
    assert (small["name"], small["frames"], small["bytes"]) == ("small", 100, 10_000_000)
    assert (large["name"], large["frames"], large["bytes"]) == ("large", 300, 14_000_000)
    assert small["wall"] > 0 and small["cpu"] > 0


def test_the_command_writes_what_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def plan() -> Iterator[Comparison]:
        yield _comparison()
        yield _comparison("training step")

    monkeypatch.setitem(run.PLANS, "cpu", plan)
    monkeypatch.setattr(run, "machine", lambda name: Place())
    monkeypatch.setattr(run, "tune_allocator", lambda: None)  # not this process's to tune
    path = tmp_path / "out.json"
    report = run.main(["--rounds", "1", "--only", "growth", "--json", str(path)])
    assert json.loads(path.read_text()) == report
    assert [c["what"] for c in report["comparisons"]] == ["growth in T"]
    assert report["machine"]["threads"] == torch.get_num_threads() and "start" not in report
    assert "14 MB" in capsys.readouterr().out


@pytest.fixture
def measuring(monkeypatch: pytest.MonkeyPatch) -> None:
    """In place of the real measurements."""
    monkeypatch.setitem(run.PLANS, "cpu", lambda: iter([_comparison()]))
    monkeypatch.setattr(run, "machine", lambda name: Place() if name == "cpu" else machine(name))
    monkeypatch.setattr(run, "tune_allocator", lambda: None)
    monkeypatch.setattr(start, "importing", lambda: {"torch": 1.0})
    monkeypatch.setattr(start, "constructing", lambda: {"dlh": 0.5})


def test_the_start_alone_is_said_and_written(
    tmp_path: Path, measuring: None, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "out.json"
    report = run.main(["--only", "start", "--json", str(path)])
    assert json.loads(path.read_text()) == report and report["comparisons"] == []
    assert list(tmp_path.iterdir()) == [path]
    printed = capsys.readouterr().out.split()
    assert printed == ["import", "torch", "1.00", "s", "construct", "dlh", "0.50", "s"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--only", "nonesuch"], "--only nonesuch: no such comparison; known: start, cwvae: gr"),
        (["--only", "growth", "nonesuch"], "--only nonesuch"),
        (["--json", "TMP/missing/out.json"], "there is no folder TMP/missing; create it first"),
        (["--json", "TMP"], "TMP is a folder; give the name of a file"),
        (["--rounds", "0"], "at least 1, got 0"),
    ],
)
def test_refused_before_anything_is_measured(
    tmp_path: Path,
    measuring: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    said: str,
) -> None:
    monkeypatch.setattr(run, "measured", lambda *_: pytest.fail("measured"))
    monkeypatch.setattr(start, "importing", lambda: pytest.fail("measured"))
    with pytest.raises(SystemExit, match="2"):
        run.main([argument.replace("TMP", str(tmp_path)) for argument in arguments])
    assert said.replace("TMP", str(tmp_path)) in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_no_gpu_is_a_sentence(
    measuring: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit, match="2"):
        run.main(["--device", "cuda"])
    assert "torch finds no GPU here; use --device cpu" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "cannot be read (No such file or directory)"),
        ("not JSON", "is no JSON"),
        ("[]", "has no comparisons, environment, machine"),
        ('{"machine": {}}', "has no comparisons, environment;"),
    ],
)
def test_a_file_without_figures_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str | None, said: str
) -> None:
    file = tmp_path / "file.json"
    if text is not None:
        file.write_text(text)
    with pytest.raises(SystemExit, match="2"):
        table.main([str(file)])
    told = capsys.readouterr().err
    assert said in told and "benchmarks.run --json FILE" in told and "Traceback" not in told


def _report(device: str = "cpu", **more: Any) -> dict[str, Any]:
    def side(name: str, seconds: float, frames: int, size: int | None = None) -> dict[str, Any]:
        clocks = {"cpu": seconds, "wall": seconds / 2}
        return {"name": name, "frames": frames, "bytes": size} | clocks

    step = {
        "system": "cwvae", "what": "training step", "shape": "B = 8", "rounds": 3,
        "sides": [side("pyrovp", 2.0, 800, 10**9), side("by hand", 1.6, 800)],
    }  # fmt: skip
    growth = {
        "system": "cwvae", "what": "growth in T", "shape": "B = 8", "rounds": 3,
        "sides": [side("T = 1", 1.0, 100, 3 * 10**8), side("T = 2", 2.0, 200, 5 * 10**8)],
    }  # fmt: skip
    return {
        "environment": {"commit": "0123456789", "torch": "2.11.0", "device": device},
        "machine": {"name": "a machine", "threads": 2, "memory": 10**10},
        "comparisons": [step, growth],
    } | more


def test_the_tables_hold_seconds_rates_and_ratios() -> None:
    text = table.markdown(_report())
    assert text.startswith("a machine, 2 threads, 10 GB; torch 2.11.0; commit 0123456;")
    assert "| system | shape | CPU s | frames/s | / by hand | MB |" in text
    assert "| cwvae | B = 8 | 2.000 | 800 | 1.250 | 1,000 |" in text
    assert "| cwvae | B = 8 | T = 1 · T = 2 | 1.00 · 2.00 | 200 · 200 | 300 · 500 |" in text
    assert "| cwvae | 100 | 2.00 | 4,950 |" in text  # (10^10 - 10^8) / (2 10^6) frames
    assert "60,000" not in text


def test_on_a_gpu_wall_seconds_count_and_the_schedule_is_extrapolated() -> None:
    text = table.markdown(_report("NVIDIA H200"))
    assert "| cwvae | B = 8 | 1.000 | 800 | 1.250 | 1,000 |" in text and "wall s" in text
    assert "60,000 steps of cwvae at this rate take 16.67 h." in text


def test_the_command_prints_every_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = tmp_path / "first.json", tmp_path / "second.json"
    first.write_text(json.dumps(_report()))
    begun = {"import": {"torch": 1.0, "pyrovp": 0.25}, "construct": {"dlh": 0.5}}
    second.write_text(json.dumps(_report(start=begun)))
    table.main([str(first), str(second)])
    printed = capsys.readouterr().out
    assert printed.count("**Training step**") == 2
    assert "Importing: torch 1.00 s, pyrovp 0.25 s" in printed
    assert "Constructing: dlh 0.50 s." in printed


def test_every_system_is_compared() -> None:
    every = list(comparisons.comparisons())
    titles = [comparison.title for comparison in every]
    assert len(set(titles)) == len(titles)
    for name in SYSTEMS:
        assert {f"{name}: training step", f"{name}: generation"} <= set(titles)
    for name in ("cwvae", "dlh", "svg_lp, dcgan", "vta", "hvrnn"):
        assert {f"{name}: growth in T", f"{name}: growth in B"} <= set(titles)
    for comparison in every:
        assert set(comparison.weighed) <= set(comparison.sides)
    assert comparisons.comparison("dlh: latents").sides["pyrovp"].frames == 100_000
    with pytest.raises(ValueError, match="no comparison 'dlh: speed'"):
        comparisons.comparison("dlh: speed")


def test_peaks_are_those_of_a_process_of_its_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def make() -> Callable[[], Any]:
        kept = torch.ones(10_000_000)  # 40 MB
        return lambda: torch.add(kept, 1).sum()  # and as much again

    fake = Comparison("a", "b", "", {"c": Side(make, 1)})
    monkeypatch.setattr(peak, "comparison", lambda title: fake)
    before = own_memory()
    assert 0.7e8 < peak.main(["a: b", "c"]) - before < 1.2e8
    assert json.loads(capsys.readouterr().out)["bytes"] > 0


def test_machines() -> None:
    assert isinstance(machine("cpu"), CPU)
    described = machine("cpu").describe()
    assert described["name"] and described["memory"] > 10**8
    with pytest.raises(ValueError, match="cpu or cuda, got 'tpu'"):
        machine("tpu")
    if not torch.cuda.is_available():
        with pytest.raises(RuntimeError, match="use --device cpu"):
            CUDA()


def test_systems_are_constructed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start, "SYSTEMS", ("rssm", "dlh"))
    seconds = start.constructing(rounds=1)
    assert set(seconds) == {"rssm", "dlh"} and all(taken > 0 for taken in seconds.values())
