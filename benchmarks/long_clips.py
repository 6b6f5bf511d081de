"""What a training step of CW-VAE takes where activations are made again: memory and CPU seconds.

    python -m benchmarks.long_clips

Each row is a process of its own, with the tuned allocator. `kept` are the frames whose activations
are held at a time; memory is what the process has to itself (RssAnon) at its peak, seconds are the
median of the steps after the first.
"""

import argparse
import statistics
import subprocess
import sys
import time
from contextlib import nullcontext

import torch

from benchmarks.evaluation_memory import peak_of_own_memory
from benchmarks.large_set import own_memory
from benchmarks.systems import SYSTEMS
from benchmarks.workloads import random_video
from pyrovp.process import tune_allocator
from pyrovp.train.recompute import recompute
from pyrovp.train.update import Update

__all__ = ["main"]

BATCH = 8
ROWS = ((100, 0), (100, 200), (100, 50), (400, 0), (400, 800), (400, 200), (400, 50))
"""T, and the frames that are kept; 0: all."""


def main(arguments: list[str] | None = None) -> None:
    """The command: prints a table, or one row of it."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--row", type=int, nargs=2, metavar=("T", "FRAMES"))
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args(arguments)
    if asked.row:
        length, frames = asked.row
        print(_row(length, frames, asked.rounds), flush=True)
        return
    print("| T | kept | peak MB | CPU s |\n|---|---|---|---|", flush=True)
    for length, frames in ROWS:
        command = [sys.executable, "-m", "benchmarks.long_clips", "--rounds", str(asked.rounds)]
        subprocess.run([*command, "--row", str(length), str(frames)], check=True)


def _row(length: int, frames: int, rounds: int) -> str:
    tune_allocator()
    torch.manual_seed(0)
    start, seconds = own_memory(), list[float]()
    with peak_of_own_memory() as peak:
        objective = SYSTEMS["cwvae"].library()
        optimizer = torch.optim.Adam(objective.parameters(), lr=1e-4, eps=1e-4, fused=True)
        update = Update(
            objective,
            optimizer,
            clip=1e4,
            inside=lambda: recompute(objective, frames=frames) if frames else nullcontext(),
        )
        video = random_video(BATCH, length)
        for _ in range(rounds + 1):
            begun = time.process_time()
            update(video)
            seconds.append(time.process_time() - begun)
    most = (start + peak.bytes) / 1e6
    return f"| {length} | {frames or 'all'} | {most:,.0f} | {statistics.median(seconds[1:]):.2f} |"


if __name__ == "__main__":
    main()
