r"""Effective horizon: how far ahead a model knows more of a video than its kind.

With the scores m_i(t) of the model and r_i(t) of the baseline `random_sequence` (a training clip
instead of the truth), of sequence i at predicted frame t = 1, 2, ..., T,

    horizon = min { t : mean_i m_i(t) <= mean_i r_i(t) },

the first frame at which the model is no better; it may never be. The interval is a percentile
bootstrap: N of the N sequences are drawn with replacement, both scores of a sequence together, and
the horizon is taken again. A draw in which the model is better to the end counts as beyond T.

The best of many samples has an advantage over a baseline of one, which grows with their number: of
several samples it is their mean score that is compared.
"""

__all__ = ["EffectiveHorizon", "effective_horizon"]

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

_WORST = 1e30  # stands for a score that is no number; its square is still finite


@dataclass(frozen=True)
class EffectiveHorizon:
    """The first predicted frame, counted from 1, at which a model is no better than a baseline.

    Args:
        frame: The frame; None: better to the end.
        low, high: The bootstrap interval; None in `frame`'s sense. Both None for one sequence.
        frames: How many frames were predicted, T.
        confidence: Of the interval; None where there is none.
        sequences: N.
    """

    frame: int | None
    low: int | None
    high: int | None
    frames: int
    confidence: float | None
    sequences: int

    def summary(self) -> dict[str, Any]:
        """All of it, of what JSON can hold."""
        return asdict(self)

    def sentence(self) -> str:
        """All of it in words.

        Example:
            >>> EffectiveHorizon(17, 12, None, 100, 0.9, 64).sentence()
            'no better than a random sequence from frame 17 on (90 % interval 12 to beyond 100)'
        """
        if self.frame is None:
            text = f"better than a random sequence at all {self.frames} frames"
        else:
            text = f"no better than a random sequence from frame {self.frame} on"
        if self.confidence is None:
            return text
        beyond = f"beyond {self.frames}"
        low, high = (beyond if end is None else str(end) for end in (self.low, self.high))
        interval = beyond if self.low is None else f"{low} to {high}"
        return f"{text} ({self.confidence * 100:g} % interval {interval})"


def effective_horizon(
    model: Tensor,
    baseline: Tensor,
    *,
    lower_is_better: bool = False,
    resamples: int = 1000,
    confidence: float = 0.9,
    seed: int = 0,
) -> EffectiveHorizon:
    """The effective horizon of a model's scores beside a baseline's.

    Args:
        model, baseline: Scores of the same sequences; what is no number counts as worse.
        lower_is_better: Whether the score is a distance.
        resamples: How often the sequences are drawn anew.
        confidence: Of the interval, between 0 and 1.
        seed: Fixes the draws, whatever the state of the ambient generator and the device.

    Shapes:
        model, baseline: [N, T]

    Raises:
        ValueError: If the shapes differ or nothing is there, or for an interval that is none.

    Example:
        >>> scores = torch.tensor([[3.0, 2.0, 1.0], [3.0, 2.0, 1.0]])
        >>> effective_horizon(scores, torch.full((2, 3), 1.5)).frame
        3
    """
    if model.ndim != 2 or model.shape != baseline.shape or not model.numel():
        raise ValueError(
            f"scores [N, T] of a model and a baseline are needed, got the shapes "
            f"{list(model.shape)} and {list(baseline.shape)}"
        )
    if not 0 < confidence < 1 or resamples < 1:
        raise ValueError(
            f"an interval needs a confidence between 0 and 1 and 1 resample or more, got "
            f"{confidence} and {resamples}"
        )
    better = (model.double() - baseline.double()).cpu() * (-1 if lower_is_better else 1)
    better = better.nan_to_num(-_WORST, _WORST, -_WORST)
    count, frames = better.shape
    frame = _named(_crossing(better.mean(0, keepdim=True)), frames)[0]
    if count == 1:
        return EffectiveHorizon(frame, None, None, frames, None, 1)
    drawn = torch.randint(count, (resamples, count), generator=torch.Generator().manual_seed(seed))
    weights = torch.zeros(resamples, count, dtype=torch.float64)
    weights.scatter_add_(1, drawn, torch.ones_like(weights))
    crossings = _crossing(weights @ better / count).double()
    tail = (1 - confidence) / 2
    low = crossings.quantile(tail, interpolation="lower")
    high = crossings.quantile(1 - tail, interpolation="higher")
    ends = _named(torch.stack((low, high)), frames)
    return EffectiveHorizon(frame, ends[0], ends[1], frames, confidence, count)


def _crossing(better: Tensor) -> Tensor:
    """The first frame, from 1, without an advantage; T + 1 where there is none: [R, T] -> [R]."""
    beyond = torch.ones(len(better), 1, dtype=torch.bool)
    return torch.cat((better <= 0, beyond), 1).int().argmax(1) + 1


def _named(crossings: Tensor, frames: int) -> list[int | None]:
    return [int(t) if t <= frames else None for t in crossings.tolist()]
