"""Samples of a few sequences under each other: the truth, the first, the best, the worst."""

__all__ = ["samples_strip"]

import torch
from torch import Tensor

from pyrovp.analysis.findings import Strip
from pyrovp.evaluation.results import Extremes, Films

_DIGITS = {"psnr": 2}


def samples_strip(films: Films, shown: Extremes | None, title: str, sequences: int = 2) -> Strip:
    """Rows of a strip, for each sequence; in the context all show the first reconstruction.

    Args:
        films: The truth and the first sample.
        shown: The best and the worst sample; None where there is but one sample.
        title: What the strip is of.
        sequences: Greatest number of sequences, from the first on.

    Raises:
        ValueError: If there is no sequence to be shown.
    """
    count = min(sequences, len(films.truth))
    if count < 1:
        raise ValueError("there is no sequence to be shown; keep films of one at least")
    rows: dict[str, Tensor] = {}
    for i in range(count):
        made = {"first sample" if shown else "model": films.prediction[i]}
        if shown is not None:
            digits = _DIGITS.get(shown.measure, 3)
            made[f"best, {shown.best_score[i]:.{digits}f}"] = shown.best[i]
            made[f"worst, {shown.worst_score[i]:.{digits}f}"] = shown.worst[i]
        number = f"{i + 1} " if count > 1 else ""
        rows[f"{number}truth"] = torch.cat((films.context[i], films.truth[i]))
        for label, frames in made.items():
            rows[number + label] = torch.cat((films.reconstruction[i], frames)).clamp(0, 1)
    return Strip(title, rows, seen=films.context.shape[1])
