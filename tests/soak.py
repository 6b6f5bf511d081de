"""Many kills at random moments of a short run, resumed to its end: the weights are the same.

    python -m tests.soak --kills 200

The run is the main job, `experiments/run.py +model=...`, in processes forked from a server that
has imported everything. Each is killed after a random time, short ones (before its first step) as
well as long ones; what the last one leaves is compared with a run that was never killed: the
weights bit by bit, and the figures. This takes seconds a kill, too long for the test suite, which
kills a few times only.
"""

import argparse
import json
import multiprocessing
import os
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from experiments import run
from tests.experiments.tiny import SIZES, TINY

__all__ = ["main", "soak"]


def _job(arguments: list[str]) -> None:
    """The main job, quietly."""
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
    sys.argv = ["run.py", *arguments]
    run.main()


def soak(out: Path, model: str, kills: int, steps: int, seed: int) -> dict[str, int]:
    """Kills runs so often in all, lets them finish and compares them with one never killed.

    Args:
        out: An empty folder.
        model: Name of a system.
        kills: How often.
        steps: Of the run.
        seed: Of the moments.

    Returns:
        Kills, kills before the first checkpoint, kills of an evaluation, and runs.

    Raises:
        AssertionError: If weights or figures differ.
    """
    budget = [f"train.steps={steps}", "train.checkpoint_every=7", "train.validate_every=50"]
    given = {argument.split("=")[0] for argument in budget}
    tiny = [a for a in (*TINY, *SIZES[model]) if a.split("=")[0] not in given]
    arguments = [f"+model={model}", *tiny, *budget]
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["experiments.run", "pyrovp.runs.experiment"])
    moment = random.Random(seed)
    counts = {"kills": 0, "early": 0, "late": 0, "runs": 0}

    def start(folder: Path) -> multiprocessing.process.BaseProcess:
        process = context.Process(target=_job, args=([*arguments, f"out={folder}"],))
        process.start()
        return process

    def timed(folder: Path) -> float:
        began = time.monotonic()
        process = start(folder)
        process.join()
        assert process.exitcode == 0, process.exitcode
        return time.monotonic() - began

    straight = out / "straight"
    whole = timed(straight)
    idle = timed(straight)  # all is done: what a start takes
    while counts["kills"] < kills:
        counts["runs"] += 1
        killed = out / f"killed{counts['runs']}"
        while not list(killed.glob("*/seed*/done.json")) and counts["kills"] < kills:
            process = start(killed)
            process.join(moment.uniform(0.0, 2 * idle + 0.2 * (whole - idle)))
            if process.is_alive():
                process.kill()
                counts["kills"] += 1
                saved = sorted(killed.glob("*/seed*/checkpoint/step_*.pt"))
                counts["early"] += not saved
                counts["late"] += bool(saved) and saved[-1].stem == f"step_{steps:08d}"
            process.join()
            assert process.exitcode in (0, -9), process.exitcode
        timed(killed)
        expected, found = _weights(straight, steps), _weights(killed, steps)
        assert expected.keys() == found.keys()
        assert all(torch.equal(expected[name], found[name]) for name in expected)
        assert _figures(straight) == _figures(killed)
    return counts


def _figures(out: Path) -> dict[str, Any]:
    """What was measured; the commit may change while a soak is under way."""
    (path,) = out.glob("*/seed*/metrics.json")
    return {key: value for key, value in json.loads(path.read_text()).items()
            if key != "environment"}  # fmt: skip


def _weights(out: Path, steps: int) -> dict[str, torch.Tensor]:
    (path,) = out.glob(f"*/seed*/checkpoint/step_{steps:08d}.pt")
    return torch.load(path, weights_only=True)["objective"]


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--model", default="dlh")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        counts = soak(Path(folder), asked.model, asked.kills, asked.steps, asked.seed)
    print(
        f"{asked.model}, {asked.steps} steps: {counts['runs']} runs, killed {counts['kills']} "
        f"times ({counts['early']} before the first checkpoint, {counts['late']} while "
        f"evaluating); weights and figures are those of a run that was never killed"
    )


if __name__ == "__main__":
    main()
