"""The commands by two processes, as torchrun starts them."""

import importlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from pyrovp.train import read_rows
from tests.experiments.tiny import SIZES, TINY, draw_nothing
from tests.train.together import ROOT, Together

SMALL = ("+model=rssm", *TINY, *SIZES["rssm"])


def command(script: str, *arguments: str) -> None:
    """What `torchrun experiments/SCRIPT.py ARGUMENTS` runs in each process."""
    draw_nothing(pytest.MonkeyPatch())  # this process ends with it
    sys.argv = [f"{script}.py", *arguments]
    importlib.import_module(f"experiments.{script}").main()


def figures(run: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted(run.glob("evaluations/*/*")) if path.is_file()]


def test_run_and_evaluate(tmp_path: Path) -> None:
    """One process prints and writes; the figures are those of a single process."""
    budget = ("train.workers=1", "evaluate.sequences=3", f"out={tmp_path / 'runs'}")
    pair = Together(command, "run", *SMALL, *budget, folder=tmp_path)
    assert pair.wait() == [0, 0], pair.said()
    (run,) = tmp_path.glob("runs/*/seed0")
    assert "cpu, 1 threads, 2 processes" in pair.said()
    assert [row["step"] for row in read_rows(run / "metrics.jsonl")] == [1, 1, 2, 2]
    assert json.loads((run / "done.json").read_text())["steps"] == 2
    assert (tmp_path / "rank1.txt").read_text() == ""

    asked = (str(run), "sequences=5", "batch=2", "samples=2", "pictures=3", "metrics=[psnr]")
    found = []
    for ranks in (2, 1):
        group = Together(command, "evaluate", *asked, "force=true", folder=tmp_path, ranks=ranks)
        assert group.wait() == [0] * ranks, group.said()
        assert (tmp_path / "rank0.txt").read_text().count("protocol own") == 2
        found.append(figures(run))
    assert (tmp_path / "rank1.txt").read_text() == ""
    assert len(found[0]) == 5 and found[0] == found[1]


def test_what_two_processes_refuse(tmp_path: Path) -> None:
    """Once, and both end."""
    out = f"out={tmp_path / 'runs'}"
    small = [a for a in SMALL if not a.startswith("train.batch")]
    pair = Together(command, "run", *small, out, "train.batch=3", folder=tmp_path)
    assert pair.wait() == [2, 2]
    assert pair.said().startswith("error: train.batch=3 does not come apart into 2 equal parts")
    assert pair.said().count("error") == 1
    pair = Together(command, "evaluate", str(tmp_path / "none"), folder=tmp_path)
    assert pair.wait() == [2, 2] and pair.said().count("error") == 1


STEPS = 40


def torchrun(out: Path) -> subprocess.Popen[str]:
    budget = (f"train.steps={STEPS}", "train.checkpoint_every=7", "train.batch=4")
    tiny = [a for a in SMALL if a.split("=")[0] not in {b.split("=")[0] for b in budget}]
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2"]
    return subprocess.Popen(
        [*launcher, "experiments/run.py", *tiny, *budget, f"out={out}"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def last_step(out: Path) -> int:
    rows = [row for path in out.glob("*/seed0/metrics.jsonl") for row in read_rows(path)]
    return rows[-1]["step"] if rows else 0


@pytest.mark.slow
@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_torchrun_is_ended_and_the_same_command_goes_on(
    tmp_path: Path, end: signal.Signals
) -> None:
    straight = torchrun(tmp_path / "straight")
    output, _ = straight.communicate()
    assert straight.returncode == 0, output
    ended = torchrun(tmp_path / "ended")
    while ended.poll() is None and last_step(tmp_path / "ended") < 10:
        time.sleep(0.01)
    ended.send_signal(end)
    output, _ = ended.communicate()  # until the last process has closed its output
    assert output.count("error: stopped by SIGTERM after step") == 1, output
    again = torchrun(tmp_path / "ended")
    output, _ = again.communicate()
    assert again.returncode == 0, output
    (a,), (b,) = ((tmp_path / name).glob("*/seed0") for name in ("straight", "ended"))
    last = f"checkpoint/step_{STEPS:08d}.pt"
    expected, found = (torch.load(run / last, weights_only=True)["objective"] for run in (a, b))
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    assert (a / "metrics.json").read_bytes() == (b / "metrics.json").read_bytes()
