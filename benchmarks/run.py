"""Everything that is measured, in one command; its figures go to a file as JSON.

    python -m benchmarks.run --json cpu.json
    python -m benchmarks.run --device cuda --only cwvae: dlh: --json gpu.json
    python -m benchmarks.table cpu.json gpu.json

Sides of a comparison take turns, round after round, and medians count (`benchmarks.interleaved`).
The file is written after every measurement, so a run that was cut short has lost nothing.
"""

import argparse
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from benchmarks import comparisons, gpu, interleaved, start
from benchmarks.comparisons import Comparison
from benchmarks.machines import Machine, machine
from pyrovp.environment import environment
from pyrovp.files import atomic_write
from pyrovp.process import tune_allocator

__all__ = ["main", "measured"]

PLANS: dict[str, Callable[[], Iterator[Comparison]]] = {
    "cpu": comparisons.comparisons,
    "cuda": gpu.comparisons,
}
"""What is compared on a device."""

_START = "start"
"""Title of what stands before the first step."""


def measured(comparison: Comparison, place: Machine, rounds: int) -> dict[str, Any]:
    """Seconds and bytes of each side, as JSON holds them.

    Args:
        comparison: What is measured.
        place: Where.
        rounds: Of timing, at least 1.
    """
    peaks = {
        name: place.peak(comparison.title, name, comparison.sides[name].make)
        for name in comparison.weighed
    }
    sides = {
        name: interleaved.Side(side.make(), side.frames) for name, side in comparison.sides.items()
    }
    timings = interleaved.interleave(sides, rounds, place.wait)
    return {
        "system": comparison.system,
        "what": comparison.what,
        "shape": comparison.shape,
        "rounds": rounds,
        "sides": [
            {
                "name": name,
                "frames": comparison.sides[name].frames,
                "cpu": timing.cpu,
                "wall": timing.wall,
                "bytes": peaks.get(name),
            }
            for name, timing in timings.items()
        ],
    }


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    """The command; returns what it has written."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--device", choices=list(PLANS), default="cpu")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--only", nargs="+", default=[""], help="comparisons whose title contains one of these"
    )
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args(arguments)
    if asked.rounds < 1:
        parser.error(f"--rounds is at least 1, got {asked.rounds}")
    try:
        place = machine(asked.device)
        _check_place(asked.json)
    except (RuntimeError, ValueError) as error:
        parser.error(str(error))
    titles = [_START, *(comparison.title for comparison in PLANS[asked.device]())]
    for part in asked.only:
        if not any(part in title for title in titles):
            parser.error(f"--only {part}: no such comparison; known: {', '.join(titles)}")

    def wanted(title: str) -> bool:
        return any(part in title for part in asked.only)

    tune_allocator()
    torch.manual_seed(0)
    report: dict[str, Any] = {
        "environment": environment(place.device),
        "machine": place.describe(),
        "comparisons": [],
    }
    if wanted(_START):
        report["start"] = {"import": start.importing(), "construct": start.constructing()}
        start.say(report["start"])
        _write(report, asked.json)
    for comparison in PLANS[asked.device]():
        if wanted(comparison.title):
            place.tidy()  # the sides before it
            result = measured(comparison, place, asked.rounds)
            report["comparisons"].append(result)
            _say(comparison.title, result)
            _write(report, asked.json)
    return report


def _check_place(path: Path | None) -> None:
    """Refuses a file that could not be written, before anything is measured.

    Raises:
        ValueError: For that.
    """
    if path is None:
        return
    if not path.parent.is_dir():
        raise ValueError(f"--json {path}: there is no folder {path.parent}; create it first")
    if path.is_dir():
        raise ValueError(f"--json {path} is a folder; give the name of a file")
    if not os.access(path.parent, os.W_OK):
        raise ValueError(f"--json {path}: the folder {path.parent} may not be written to")


def _write(report: dict[str, Any], path: Path | None) -> None:
    if path is not None:
        with atomic_write(path) as temporary:
            temporary.write_text(json.dumps(report, indent=1) + "\n")


def _say(title: str, result: dict[str, Any]) -> None:
    print(f"{title} ({result['shape']})")
    for side in result["sides"]:
        held = "" if side["bytes"] is None else f"{side['bytes'] / 1e6:10.0f} MB"
        rate = side["frames"] / side["wall"]
        seconds = f"{side['cpu']:9.3f} CPU s{side['wall']:9.3f} wall s"
        print(f"    {side['name']:24}{seconds}{rate:9.0f} frames/s{held}", flush=True)


if __name__ == "__main__":
    main()
