"""Do metrics cost less than the frames that they score?

    python -m benchmarks.scoring --rounds 5

CPU seconds to generate and decode the frames of a prediction, beside those of its SSIM and PSNR,
in turn, at 64 x 64 pixels; the models are untrained, which changes no cost.
"""

import argparse
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import torch

from pyrovp import guides, models
from pyrovp.metrics import psnr, ssim
from pyrovp.predict import open_loop
from pyrovp.process import tune_allocator

__all__ = ["main", "measured"]

_BATCH, _CONTEXT, _HORIZON = 16, 12, 50


def _small_cwvae() -> Any:
    return models.cwvae(levels=2, factor=4, state=16, memory=128, hidden=128, width=0.5)


SYSTEMS: dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]] = {
    "cwvae, half width": (_small_cwvae, guides.cwvae),
    "cwvae": (models.cwvae, guides.cwvae),
    "dlh": (lambda: models.dlh(std=0.2), guides.dlh),
    "svg_lp": (models.svg_lp, guides.svg_lp),
}


def measured(
    make: Callable[[], Any], guide: Callable[[Any], Any], rounds: int
) -> tuple[float, float, float]:
    """Medians of CPU seconds: generating, SSIM, PSNR."""
    model = make().eval()
    partner = guide(model).eval()
    video = torch.rand(_BATCH, _CONTEXT + _HORIZON, 1, 64, 64)
    context, truth = video[:, :_CONTEXT], video[:, _CONTEXT:]
    prediction = open_loop(model, partner, context, _HORIZON).prediction.clamp(0, 1)
    works: tuple[Callable[[], object], ...] = (
        lambda: open_loop(model, partner, context, _HORIZON),
        lambda: ssim(prediction, truth, "svg"),
        lambda: psnr(prediction, truth),
    )
    seconds: list[list[float]] = [[] for _ in works]
    for _ in range(rounds):
        for work, taken in zip(works, seconds, strict=True):
            start = time.process_time()
            work()
            taken.append(time.process_time() - start)
    generating, similarity, noise = map(median, seconds)
    return generating, similarity, noise


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    tune_allocator()
    torch.manual_seed(0)
    print(f"{_BATCH} sequences, {_CONTEXT} frames given, {_HORIZON} predicted; CPU seconds\n")
    print(f"{'':20}{'generating':>11}{'SSIM':>8}{'PSNR':>8}{'share':>8}")
    for name, (make, guide) in SYSTEMS.items():
        with torch.no_grad():
            generating, similarity, noise = measured(make, guide, rounds)
        share = (similarity + noise) / generating
        print(f"{name:20}{generating:11.3f}{similarity:8.3f}{noise:8.3f}{share:8.2f}", flush=True)


if __name__ == "__main__":
    main()
