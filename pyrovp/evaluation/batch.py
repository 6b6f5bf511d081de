"""One batch of sequences: its futures are drawn pass by pass and scored chunk by chunk.

What is kept does not grow with the frames' size: a number for every (sequence, sample, frame) and
measure, the KLs and gates of the first sample, and the frames of a few sequences for pictures.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from pyrovp.evaluation.clips import ClipMeasure, Seen
from pyrovp.evaluation.futures import Futures
from pyrovp.evaluation.measures import FrameMeasure
from pyrovp.evaluation.results import Films
from pyrovp.evaluation.scorer import Scorer, Scores, Sheet, baseline_scores
from pyrovp.metrics import Protocol, psnr, relative_sharpness, ssim
from pyrovp.predict import Chunk

__all__ = ["Batch", "Part", "film", "score_batch"]


@dataclass(frozen=True)
class Batch:
    """Some sequences of the test set, on the model's device.

    Args:
        video: The clips; frames beyond the horizon are not looked at.
        states: True states by name, where the data set knows them.
        known: Training clips, for the baselines.
        start: Number of the first sequence.

    Shapes:
        video: [B, T, C, H, W]
        states: name -> [B, T, ...]
        known: [N, T', C, H, W]
    """

    video: Tensor
    states: dict[str, Tensor]
    known: Tensor
    start: int


@dataclass(frozen=True)
class Part:
    """What a batch leaves, on the CPU.

    Args:
        scores: By row and measure; the model's of all samples.
        reconstruction: PSNR, SSIM and sharpness of the modelled frames of the context.
        kl: By level, of the first sample.
        gates: Of the first sample.
        kept: What clip measures keep, by measure and name.
        given: How many frames of the context the model takes as given.
        films: Frames of the first few sequences; None where they were not asked for.

    Shapes:
        scores: the model's [samples, B, horizon], the baselines' [B, horizon]
        reconstruction: [B, Tc - given]
        kl: {level: [B, Tc]}
        gates: [B, L, Tc + horizon]
        kept: [B, ...]
    """

    scores: dict[str, Scores]
    reconstruction: Scores
    kl: dict[int, Tensor]
    gates: Tensor
    kept: dict[str, dict[str, Tensor]] = field(default_factory=dict)
    given: int = 0
    films: Films | None = None


def score_batch(
    batch: Batch,
    futures: Futures,
    protocol: Protocol,
    measures: Sequence[FrameMeasure],
    clip_measures: Sequence[ClipMeasure],
    *,
    films: int,
    done: Callable[[int], object],
) -> Part:
    """Draws and scores all futures of a batch.

    Args:
        batch: The sequences.
        futures: Of these sequences.
        protocol: Context, horizon and the definitions of the metrics.
        measures, clip_measures: What is measured.
        films: How many sequences are kept for pictures.
        done: Told after each pass how many futures it had.
    """
    seen, horizon = protocol.context, protocol.horizon
    context, truth = batch.video[:, :seen], batch.video[:, seen : seen + horizon]
    scorer = Scorer(measures, truth, protocol.clip)
    first = _First(len(context) if clip_measures else films, horizon)
    samples: list[Scores] = []
    for drawn in futures.passes():
        chunks = futures.draw(drawn)
        started = next(chunks)
        if drawn.start == 0:
            chunks = first.watch(started, chunks)
        sheet = Sheet(horizon)
        for chunk in chunks:
            frames, start = chunk.frames.unflatten(0, (len(drawn), -1)), chunk.start - seen
            sheet.write(scorer.score(frames, start), start)
        samples.append(sheet.scores())
        done(len(drawn) * len(context))
    scores = {"model": {m.name: torch.cat([s[m.name] for s in samples]) for m in measures}}
    scores |= baseline_scores(scorer, context, batch.known, futures.seed + batch.start)
    kept = {}
    if clip_measures:
        shown = first.frames.clamp(0, 1) if protocol.clip else first.frames
        clips = Seen(context, truth, shown, batch.states)
        kept = {m.name: {k: v.cpu() for k, v in m.look(clips).items()} for m in clip_measures}
    return Part(
        scores=scores,
        reconstruction=first.reconstructed(context, protocol),
        kl=first.kl(context, len(futures.model.hierarchy.levels)),
        gates=first.gates(),
        kept=kept,
        given=first.context.start,
        films=first.films(context, truth, films) if films > 0 else None,
    )


def film(batch: Batch, futures: Futures, protocol: Protocol, sequences: int) -> Films:
    """The films of a batch alone, from its first pass drawn again."""
    seen, horizon = protocol.context, protocol.horizon
    context, truth = batch.video[:, :seen], batch.video[:, seen : seen + horizon]
    first = _First(sequences, horizon)
    chunks = futures.draw(range(1))
    for _ in first.watch(next(chunks), chunks):
        pass
    return first.films(context, truth, sequences)


class _First:
    """What the first sample of each sequence shows besides its scores.

    Args:
        kept: Of how many sequences frames are kept.
        horizon: How many frames are predicted.

    Attributes:
        context: The first chunk.
        frames: The prediction, unclipped: [kept, horizon, C, H, W].
    """

    context: Chunk
    frames: Tensor

    def __init__(self, kept: int, horizon: int) -> None:
        self._kept, self._horizon = max(0, kept), horizon
        self._changes: list[Tensor] = []

    def watch(self, context: Chunk, chunks: Iterator[Chunk]) -> Iterator[Chunk]:
        """Looks at the chunks as they pass by."""
        self.context, seen = context, context.start + context.frames.shape[1]
        shape = context.frames.shape[2:]
        self.frames = context.frames.new_empty(self._kept, self._horizon, *shape)
        self._changes.append(context.changes)
        for chunk in chunks:
            self._changes.append(chunk.changes)
            start = chunk.start - seen
            self.frames[:, start : start + chunk.frames.shape[1]] = chunk.frames[: self._kept]
            yield chunk

    def gates(self) -> Tensor:
        """e of each level and frame, 0 at given frames: [B, L, Tc + horizon]."""
        return F.pad(torch.cat(self._changes, 2), (self.context.start, 0)).cpu()

    def kl(self, context: Tensor, levels: int) -> dict[int, Tensor]:
        """By level [B, Tc], 0 where nothing was inferred."""
        none = torch.zeros(context.shape[:2], dtype=context.dtype)
        found = self.context.kl
        return {n: found[n].cpu() if n in found else none for n in range(1, levels + 1)}

    def reconstructed(self, context: Tensor, protocol: Protocol) -> Scores:
        """Scores of the context's modelled frames [B, Tc - given], where there are some."""
        made, modelled = self.context.frames, context[:, self.context.start :]
        if not modelled.shape[1]:
            return {}
        made = made.clamp(0, 1) if protocol.clip else made
        return {
            "psnr": psnr(made, modelled).cpu(),
            "ssim": ssim(made, modelled, protocol.ssim).cpu(),
            "sharpness": relative_sharpness(made, modelled).cpu(),
        }

    def films(self, context: Tensor, truth: Tensor, sequences: int) -> Films:
        """Frames of the first few sequences; given frames stand for themselves."""
        few = slice(0, sequences)
        made = torch.cat((context[:, : self.context.start], self.context.frames), 1)
        return Films(context[few].cpu(), truth[few].cpu(), made[few].cpu(), self.frames[few].cpu())
