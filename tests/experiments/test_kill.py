"""The main job itself, killed in processes of its own."""

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from pyrovp.train import read_rows
from tests.experiments.tiny import SIZES, TINY

ROOT = Path(__file__).resolve().parents[2]
STEPS = 60


def start(out: Path) -> subprocess.Popen[str]:
    budget = (f"train.steps={STEPS}", "train.checkpoint_every=7", "train.validate_every=5")
    tiny = [a for a in TINY if a.split("=")[0] not in {b.split("=")[0] for b in budget}]
    command = [sys.executable, "experiments/run.py", "+model=dlh", *tiny, *SIZES["dlh"], *budget]
    return subprocess.Popen(
        [*command, f"out={out}"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def weights(out: Path) -> dict[str, torch.Tensor]:
    (path,) = out.glob(f"*/seed0/checkpoint/step_{STEPS:08d}.pt")
    return torch.load(path, weights_only=True)["objective"]


def last_step(out: Path) -> int:
    """The step of the newest row of the log."""
    rows = [row for path in out.glob("*/seed0/metrics.jsonl") for row in read_rows(path)]
    return rows[-1]["step"] if rows else 0


@pytest.mark.slow
def test_the_same_command_goes_on(tmp_path: Path, seed: int) -> None:
    straight = start(tmp_path / "straight")
    output, _ = straight.communicate()
    assert straight.returncode == 0, output
    moment, kept = random.Random(seed), set()
    killed = tmp_path / "killed"
    for target in sorted(moment.sample(range(8, STEPS - 3), 4)):
        process = start(killed)
        while process.poll() is None and last_step(killed) < target:
            time.sleep(0.01)
        time.sleep(moment.uniform(0.0, 0.1))
        process.kill()
        process.communicate()
        kept |= {path.name for path in killed.glob("*/seed0/checkpoint/step_*.pt")}
    last = start(killed)
    output, _ = last.communicate()
    assert last.returncode == 0, output
    assert len(kept) > 2
    expected, found = weights(tmp_path / "straight"), weights(killed)
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    figures = [next(path.glob("*/seed0/metrics.json")).read_text()
               for path in (tmp_path / "straight", killed)]  # fmt: skip
    assert figures[0] == figures[1]
