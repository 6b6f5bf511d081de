"""What an evaluation holds in memory: many samples of a long prediction.

    python -m benchmarks.evaluation_memory --horizon 1000 --samples 100

One sequence of moving digits at 64 x 64 px is predicted with an untrained CW-VAE and scored. All
its futures together, in float32, would take

    samples x horizon x 64 x 64 x 4 bytes        (1.6 GB for 100 samples of 1000 frames),

and a test set of 100 such sequences 100 times that. Counted is the memory that the process has to
itself (RssAnon), at its highest, above what it has with the model built and one frame predicted:
the libraries and the weights are not the evaluation's.
"""

import argparse
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass

import torch

from benchmarks.large_set import own_memory
from pyrovp import guides, models
from pyrovp.data import MovingDigits
from pyrovp.evaluation import evaluate
from pyrovp.metrics import PRESETS, Protocol
from pyrovp.process import tune_allocator

__all__ = ["Held", "Peak", "evaluation_memory", "main", "peak_of_own_memory"]

LIMIT = 1.5e9
"""Bytes that 1000 frames x 100 samples of one sequence may take above the model."""

RESOLUTION = 64
CONTEXT = 36


@dataclass
class Peak:
    """The most memory that was seen, in bytes above that at the start."""

    bytes: int = 0


@dataclass(frozen=True)
class Held:
    """What an evaluation took.

    Args:
        horizon, samples, width: What was evaluated; `width` multiplies the networks' channels.
        megabytes: The most memory above the model's, in 10^6 bytes.
        all_futures_megabytes: What the frames of all futures together would take.
        seconds: Of the evaluation.
    """

    horizon: int
    samples: int
    width: float
    megabytes: float
    all_futures_megabytes: float
    seconds: float


@contextmanager
def peak_of_own_memory(every: float = 0.002) -> Iterator[Peak]:
    """Watches the process's own memory; the peak is known when the block ends.

    Args:
        every: Seconds between two looks. Kernels of torch let the watching thread run meanwhile.
    """
    start, peak, over = own_memory(), Peak(), threading.Event()

    def watch() -> None:
        while not over.wait(every):
            peak.bytes = max(peak.bytes, own_memory() - start)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield peak
    finally:
        peak.bytes = max(peak.bytes, own_memory() - start)
        over.set()
        thread.join()


def evaluation_memory(horizon: int, samples: int, width: float = 0.25) -> Held:
    """Evaluates one sequence and watches."""
    torch.manual_seed(0)
    model = models.cwvae(
        levels=2, factor=6, state=16, memory=64, hidden=64, resolution=RESOLUTION, width=width
    )
    guide = guides.cwvae(model, lift=(64,))

    def run(frames: int, futures: int) -> None:
        protocol = Protocol("memory", CONTEXT, frames, futures, PRESETS["svg"], clip=True)
        test = MovingDigits("test", CONTEXT + frames, resolution=RESOLUTION, size=1)
        training = MovingDigits("train", 24, resolution=RESOLUTION)
        evaluate(model, guide, test, training, protocol, training_clips=16)

    run(1, 1)  # what is set up once is not the evaluation's
    start = time.perf_counter()
    with peak_of_own_memory() as peak:
        run(horizon, samples)
    seconds = time.perf_counter() - start
    everything = samples * horizon * RESOLUTION**2 * 4
    return Held(horizon, samples, width, peak.bytes / 1e6, everything / 1e6, seconds)


def main(arguments: list[str] | None = None) -> Held:
    """The command."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--horizon", type=int, default=1000, help="predicted frames")
    parser.add_argument("--samples", type=int, default=100, help="futures of the sequence")
    parser.add_argument(
        "--width", type=float, default=0.25, help="of the networks, 1: the paper's"
    )
    parser.add_argument("--json", type=argparse.FileType("w"), help="a file for the figures")
    given = parser.parse_args(arguments)
    tune_allocator()  # keeps what was freed, as the command does: the peak is the stricter one
    held = evaluation_memory(given.horizon, given.samples, given.width)
    print(
        f"{held.samples} samples of {held.horizon} frames: {held.megabytes:.0f} MB above the "
        f"model, all futures together {held.all_futures_megabytes:.0f} MB; {held.seconds:.0f} s"
    )
    if given.json:
        with given.json as file:
            json.dump(asdict(held), file, indent=2)
    return held


if __name__ == "__main__":
    if main().megabytes * 1e6 > LIMIT:
        raise SystemExit(f"more than {LIMIT / 1e6:.0f} MB")
