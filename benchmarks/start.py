"""What stands before the first step: importing, and constructing models and guides.

    python -m benchmarks.start

Importing is timed in processes of its own, pyrovp after torch and pyro; the first process, which
brings the files into memory, does not count. The models have the sizes of their papers.
"""

import gc
import json
import statistics
import subprocess
import sys
import time

from pyrovp import guides, models

__all__ = ["constructing", "importing", "main", "say"]

_IMPORTS = """
import json, time
times = [time.perf_counter()]
import torch
times.append(time.perf_counter())
import pyro
times.append(time.perf_counter())
from pyrovp import guides, models
times.append(time.perf_counter())
names = ("torch", "pyro", "pyrovp")
print(json.dumps({name: b - a for name, a, b in zip(names, times, times[1:])}))
"""


def importing(rounds: int = 5) -> dict[str, float]:
    """Medians of seconds by package, each on top of those before it."""
    seconds = []
    for _ in range(rounds + 1):
        command = [sys.executable, "-c", _IMPORTS]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
        seconds.append(json.loads(done.stdout))
    return {name: statistics.median(s[name] for s in seconds[1:]) for name in seconds[0]}


def constructing(rounds: int = 3) -> dict[str, float]:
    """Medians of seconds by system: its model and its guide."""
    return {name: statistics.median(_construct(name) for _ in range(rounds)) for name in SYSTEMS}


SYSTEMS = tuple(models.__all__)


def _construct(name: str) -> float:
    gc.collect()  # what is left of the one before is not this one's
    sizes = {"std": 0.2} if name == "dlh" else {}
    start = time.perf_counter()
    model = getattr(models, name)(**sizes)
    guide = getattr(guides, name)(model)
    seconds = time.perf_counter() - start
    del model, guide
    return seconds


def say(measured: dict[str, dict[str, float]]) -> None:
    """Prints what was measured: seconds by name, of each kind."""
    for what, seconds in measured.items():
        for name, taken in seconds.items():
            print(f"{what:10} {name:10} {taken:6.2f} s", flush=True)


def main() -> None:
    """Prints both."""
    say({"import": importing(), "construct": constructing()})


if __name__ == "__main__":
    main()
