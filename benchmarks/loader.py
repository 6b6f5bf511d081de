"""Whether videos come faster than a model takes them, and what a large file costs to read.

    python -m benchmarks.loader --json loader.json

Speed: batches of each generated data set and of prepared ones, made on one core, beside the frames
that the fastest of the small models consumes while it trains on two, at the same size of frame.
Prepared videos lie in the page cache. The fastest of several rounds counts on either side.

Size: a prepared data set of 10 GB is opened, and batches are read from random places. Counted is
the memory that the process has to itself (RssAnon): pages of a mapped file belong to the system,
which takes them back as it likes.
"""

import argparse
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast
from unittest import mock

import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from benchmarks.large_set import Noise, large_set, own_memory
from benchmarks.workloads import training_step
from experiments.run import CONF
from pyrovp.commands.command_line import choices
from pyrovp.data import (
    EmbeddedDigits,
    KeyedVideos,
    MissingFiles,
    StoredVideos,
    batches,
    moving_mnist,
    stochastic_moving_mnist,
)
from pyrovp.data.prepare import prepare
from pyrovp.process import tune_allocator
from pyrovp.runs.build import make
from pyrovp.runs.experiment import Experiment
from pyrovp.runs.settings import Settings

__all__ = ["Reading", "frames_made", "frames_trained", "main", "read_large"]

GENERATED = ("moving_digits", "moving_ball", "moving_mnist", "stochastic_moving_mnist")
TARGET = 5.0
"""Frames that a loader should make for each one that the model takes."""

_LATE = 2**31 - 1  # a step at which the bound's annealing is over


@dataclass(frozen=True)
class Reading:
    """What opening and reading a large prepared data set took.

    Args:
        gigabytes: Size of the frames, in 10^9 bytes.
        batches: How many were read.
        open_seconds: Until the data set can be read.
        read_seconds: For all batches.
        batch_megabytes: What a batch takes, in 10^6 bytes.
        grown_megabytes: By how much the process's own memory grew at most.
    """

    gigabytes: float
    batches: int
    open_seconds: float
    read_seconds: float
    batch_megabytes: float
    grown_megabytes: float


def frames_made(dataset: KeyedVideos, batch: int, rounds: int) -> float:
    """Frames per second that a data set makes on one core, stacked to batches."""
    with cores(1):
        stream = batches(dataset, batch)
        next(stream)

        def work() -> None:
            for _ in range(8):
                next(stream)

        return 8 * batch * dataset.length / fastest(work, rounds)


def frames_trained(model: str, resolution: int, channels: int, rounds: int) -> float:
    """Frames per second that a small model takes in while it trains on two cores."""
    frame = f"data.resolution={resolution}", f"data.channels={channels}"
    with cores(2):
        settings = small(model, "moving_digits", *frame)
        objective = Experiment(settings, model, "moving_digits").parts.objective
        cast(Any, objective).set_step(_LATE)
        batch, length = settings.train.batch, settings.data["length"]
        step = training_step(objective, batch, length, channels, resolution)
        step()
        return batch * length / fastest(step, rounds)


def read_large(root: Path, gigabytes: float, count: int, batch: int = 16) -> Reading:
    """Opens a data set of this size and reads batches from random places."""
    large_set(root, gigabytes)
    start = time.perf_counter()
    data = StoredVideos("train", 24, Noise.name, root)
    opened = time.perf_counter()
    before = most = own_memory()
    stream = batches(data, batch)
    for _ in range(count):
        video = next(stream)["video"]
        most = max(most, own_memory())
    return Reading(
        gigabytes,
        count,
        opened - start,
        time.perf_counter() - opened,
        video.nbytes / 1e6,
        (most - before) / 1e6,
    )


def small(model: str, data: str, *overrides: str) -> Settings:
    """The settings of `experiments/run.py` with its small sizes."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("config", [f"model={model}", f"data={data}", "device=cpu", *overrides])
    return cast(Settings, OmegaConf.to_object(config))


@contextmanager
def cores(count: int) -> Iterator[None]:
    """Keeps this thread and torch to so many cores."""
    allowed, threads = os.sched_getaffinity(0), torch.get_num_threads()
    os.sched_setaffinity(0, sorted(allowed)[:count])
    torch.set_num_threads(count)
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)
        torch.set_num_threads(threads)


def fastest(work: Callable[[], None], rounds: int) -> float:
    """Seconds of the fastest round; what else the machine does only adds to the others."""
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def generated() -> Iterator[tuple[str, KeyedVideos]]:
    """The generated data sets as configured; without MNIST's files, of the embedded digits."""
    for name in GENERATED:
        node = small("cwvae", name).data
        try:
            yield name, make("data", node, split="train")
        except MissingFiles:
            with (
                mock.patch.object(moving_mnist, "MNIST", lambda root: EmbeddedDigits()),
                mock.patch.object(stochastic_moving_mnist, "MNIST", lambda root: EmbeddedDigits()),
            ):
                yield f"{name}, other digits", make("data", node, split="train")


def stored(root: Path) -> Iterator[tuple[str, KeyedVideos]]:
    """Prepared data sets of 64 videos of 100 frames, gray and in colour."""
    for name, channels in (("gray", 1), ("colour", 3)):
        source = Noise(64, 100, channels)
        prepare(source, root / name, folder=root, say=lambda text: None)
        yield f"prepared, {name}", StoredVideos("train", 24, Noise.name, root / name)


def speeds(root: Path, rounds: int) -> dict[str, Any]:
    """Prints and returns the rates of all data sets and of the fastest model."""
    models = {name: frames_trained(name, 32, 1, rounds) for name in choices("model", [CONF])}
    for name, rate in sorted(models.items(), key=lambda pair: -pair[1]):
        print(f"{name:12} trains on {rate:7.0f} frames/s of 32 x 32 px, 1 channel", flush=True)
    first = max(models, key=models.__getitem__)
    taken = {(32, 1): models[first]}
    print(f"\n{'':38}{'frame':>12}{'clips/s':>10}{'frames/s':>10}{first:>10}{'ratio':>8}")
    report: dict[str, Any] = {"models": models, "fastest": first, "data": {}}
    for name, dataset in [*generated(), *stored(root)]:
        frame = dataset.resolution, dataset.channels
        made = frames_made(dataset, 16, rounds)
        if frame not in taken:
            taken[frame] = frames_trained(first, *frame, rounds)
        ratio = made / taken[frame]
        report["data"][name] = {
            "resolution": frame[0], "channels": frame[1], "length": dataset.length,
            "clips_per_second": made / dataset.length, "frames_per_second": made,
            "model_frames_per_second": taken[frame], "ratio": ratio,
        }  # fmt: skip
        print(
            f"{name:38}{f'{frame[0]} px, C = {frame[1]}':>12}{made / dataset.length:10.0f}"
            f"{made:10.0f}{taken[frame]:10.0f}{ratio:8.1f}"
            f"{'' if ratio >= TARGET else f'  below {TARGET:g}'}",
            flush=True,
        )
    return report


def main() -> None:
    """Prints tables and, if asked, writes JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--gigabytes", type=float, default=10.0)
    parser.add_argument("--batches", type=int, default=200)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    machine = f"torch {torch.__version__}, {platform.machine()}"
    print(f"{machine}; fastest of {asked.rounds} rounds\n")
    with tempfile.TemporaryDirectory() as folder:
        # First: later the process has memory to spare that a growth would not show in.
        reading = read_large(Path(folder, "large"), asked.gigabytes, asked.batches)
        tune_allocator()
        report = speeds(Path(folder), asked.rounds)
    print(
        f"\nprepared set of {reading.gigabytes:g} GB: open after {reading.open_seconds:.3f} s; "
        f"{reading.batches} batches of {reading.batch_megabytes:.1f} MB from random places in "
        f"{reading.read_seconds:.1f} s; the process's own memory grew by "
        f"{reading.grown_megabytes:.1f} MB, "
        f"{reading.grown_megabytes / reading.batch_megabytes:.1f} batches"
    )
    if asked.json:
        content = {"machine": machine, "rounds": asked.rounds, **report, "large": asdict(reading)}
        asked.json.write_text(json.dumps(content, indent=2))


if __name__ == "__main__":
    main()
