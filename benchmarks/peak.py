"""The most memory that one side of a comparison holds, alone in a process of its own.

    python -m benchmarks.peak "cwvae: training step" pyrovp

Prints JSON. The work is run twice: Adam's moments are there from the first step's end on.
"""

import argparse
import json

import torch

from benchmarks.comparisons import comparison
from benchmarks.evaluation_memory import peak_of_own_memory
from benchmarks.large_set import own_memory

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    """The command; returns the bytes."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("title", help="of the comparison")
    parser.add_argument("side", help="of it")
    asked = parser.parse_args(arguments)
    torch.manual_seed(0)
    side = comparison(asked.title).sides[asked.side]
    start = own_memory()
    with peak_of_own_memory() as peak:
        work = side.make()
        for _ in range(2):
            work()
    most = start + peak.bytes
    print(json.dumps({"bytes": most}))
    return most


if __name__ == "__main__":
    main()
