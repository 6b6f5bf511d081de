"""Scores of frames that come in chunks, beside those of the baselines."""

from collections.abc import Mapping, Sequence

from torch import Tensor

from pyrovp.evaluation.futures import CHUNK
from pyrovp.evaluation.measures import FrameMeasure
from pyrovp.metrics import black, copy_last, random_sequence, training_mean

__all__ = ["Scorer", "Scores", "Sheet", "baseline_scores"]

Scores = dict[str, Tensor]


class Scorer:
    """Scores predictions of one batch against its truth.

    Args:
        measures: What is measured.
        truth: [B, horizon, C, H, W].
        clip: Whether predictions are clipped to [0, 1] first.
    """

    def __init__(self, measures: Sequence[FrameMeasure], truth: Tensor, clip: bool) -> None:
        self.measures, self.truth, self.clip = measures, truth, clip
        self.units = [measure.unit(truth) for measure in measures]

    def score(self, frames: Tensor, start: int) -> Scores:
        """Scores of some consecutive frames.

        Args:
            frames: Of one or several samples.
            start: The first one's number, 0 being the first predicted frame.

        Shapes:
            frames: [..., B, t, C, H, W]
            returns: by measure [..., B, t], on the frames' device
        """
        # Decoders hand out views with the channels last; sums over one frame are to be taken in
        # the same order everywhere.
        frames = frames.clamp(0, 1) if self.clip else frames
        frames = frames.contiguous()
        truth = self.truth[:, start : start + frames.shape[-4]].expand_as(frames)
        return {
            measure.name: measure.score(frames, truth, unit)
            for measure, unit in zip(self.measures, self.units, strict=True)
        }


class Sheet:
    """Scores of all frames, filled in as chunks come.

    Its memory is taken once. Small tensors of every chunk, kept until the end, would lie between
    the large ones that come and go, and the heap could not use those places again.

    Args:
        frames: How many there will be.
    """

    def __init__(self, frames: int) -> None:
        self._frames = frames
        self._scores: Scores = {}

    def write(self, scores: Mapping[str, Tensor], start: int) -> None:
        """Puts scores [..., t] of the frames from `start` on in their place."""
        for name, part in scores.items():
            if name not in self._scores:
                self._scores[name] = part.new_empty(*part.shape[:-1], self._frames)
            self._scores[name][..., start : start + part.shape[-1]] = part

    def scores(self) -> Scores:
        """By measure [..., frames], on the CPU."""
        return {name: scores.cpu() for name, scores in self._scores.items()}


def baseline_scores(
    scorer: Scorer, context: Tensor, known: Tensor, seed: int
) -> dict[str, Scores]:
    """Scores of every baseline, in the order in which tables print them.

    Args:
        scorer: Of the batch.
        context: The given frames [B, Tc, C, H, W].
        known: A sample of training clips [N, T, C, H, W].
        seed: Fixes the draw of `random_sequence`.

    Returns:
        By baseline and measure, [B, horizon].
    """
    horizon = scorer.truth.shape[1]
    still = {
        "copy_last": copy_last(context, horizon),
        "black": black(context, horizon),
        "training_mean": training_mean(context, horizon, known),
    }  # views, which repeat a frame without copying it
    sheets = {name: Sheet(horizon) for name in (*still, "random_sequence")}
    for start in range(0, horizon, CHUNK):
        span = range(start, min(start + CHUNK, horizon))
        shown = {name: frames[:, span.start : span.stop] for name, frames in still.items()}
        shown["random_sequence"] = random_sequence(context, horizon, known, seed, frames=span)
        for name, frames in shown.items():
            sheets[name].write(scorer.score(frames, start), start)
    return {name: sheet.scores() for name, sheet in sheets.items()}
