"""Evaluation on held-out sequences: open-loop predictions beside baselines.

    context [0, Tc)              the guide infers, the model reconstructs
    horizon [Tc, Tc + horizon)   the model alone predicts, scored against the truth

Sequences go through in batches, their samples in passes, a pass's frames in chunks. So memory does
not grow with the number of sequences or samples, nor with the frames of a prediction, but for the
truth of one batch and a number for each frame that is scored.
"""

from collections.abc import Callable, Sequence, Sized
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from pyrovp.evaluation.batch import Batch, Part, film, score_batch
from pyrovp.evaluation.clips import ClipMeasure
from pyrovp.evaluation.futures import ROWS, Futures
from pyrovp.evaluation.joining import Scored, joined
from pyrovp.evaluation.measures import FrameMeasure, standard_measures
from pyrovp.evaluation.results import Extremes, Results
from pyrovp.evaluation.selection import best_samples, extremes
from pyrovp.evaluation.shards import Shards
from pyrovp.metrics import Protocol
from pyrovp.nets.batch_norm import batch_statistics
from pyrovp.processes import Processes
from pyrovp.programs import LatentDynamics
from pyrovp.randomness import undisturbed
from pyrovp.state_space import StateSpace

__all__ = ["EVALUATION_BATCH", "evaluate"]

EVALUATION_BATCH = 16
"""Clips at a time, unless said otherwise."""


def evaluate(
    model: LatentDynamics[StateSpace],
    guide: nn.Module,
    dataset: Dataset[Any],
    training: Dataset[Any],
    protocol: Protocol,
    *,
    sequences: int | None = None,
    measures: Sequence[FrameMeasure] | None = None,
    clip_measures: Sequence[ClipMeasure] = (),
    batch: int = EVALUATION_BATCH,
    rows: int | None = None,
    training_clips: int = 128,
    films: int = 4,
    show: str | None = None,
    seed: int = 0,
    batch_norms: bool = False,
    shards: Shards | None = None,
    done: Callable[[int], object] = lambda futures: None,
    processes: Processes = Processes(),  # noqa: B008
) -> Results:
    """Predicts held-out sequences and scores them beside the baselines.

    Several processes take the batches in turn, and all of them return the whole; the numbers are
    those of a single process.

    Args:
        model, guide: The two programs.
        dataset: Held-out clips of at least context + horizon frames.
        training: Training clips, for the baselines that know the training set.
        protocol: Context, horizon, samples and the definitions of the metrics.
        sequences: How many clips are scored at most, from the first on; None: all.
        measures: What is measured of frames; None: PSNR, SSIM and sharpness.
        clip_measures: What is measured of whole clips.
        batch: Clips at a time; part of the key of the noise.
        rows: Sequences times samples at a time, beyond the first sample; part of the key of the
            noise. None: `ROWS` of the device. With `batch_norms` samples come one by one.
        training_clips: How many training clips the baselines know.
        films: How many sequences are kept for pictures.
        show: The measure by which the best and the worst samples of these sequences are kept as
            well; they are drawn again for it. None: they are not.
        seed: Key of the noise and of the random baseline.
        batch_norms: Whether BatchNorms use their batch's statistics; see
            `pyrovp.nets.batch_norm.batch_statistics`.
        shards: Where finished batches are kept, and looked for; None: nowhere.
        done: Told, as the work goes on, how many futures this process has drawn and scored.
        processes: That share the batches.

    Raises:
        ValueError: If a clip is too short for the protocol, or `show` is none of the measures.
    """
    device = next(model.parameters()).device
    measured = standard_measures(protocol) if measures is None else tuple(measures)
    if show is not None and show not in [measure.name for measure in measured]:
        names = ", ".join(measure.name for measure in measured)
        raise ValueError(f"samples are shown by one of the measures {names}, got {show!r}")
    there = len(cast(Sized, dataset))
    count = there if sequences is None else min(sequences, there)
    known, _ = _clips(training, range(min(training_clips, len(cast(Sized, training)))))
    work = _Work(
        model=model,
        guide=guide,
        protocol=protocol,
        measures=[measure.to(device) for measure in measured],
        clip_measures=[measure.to(device) for measure in clip_measures],
        known=known.to(device),
        rows=1 if batch_norms else (rows or ROWS.get(device.type, ROWS["cpu"])),
        seed=seed,
        films=films,
        show=show,
        shards=shards,
        done=done,
    )
    modes = model.training, guide.training
    parts: list[Scored] = []
    try:
        model.eval()
        guide.eval()
        modules = (model, guide) if batch_norms else ()
        with undisturbed(), torch.no_grad(), batch_statistics(*modules):
            starts = range(0, count, batch)
            for turn in range(0, len(starts), processes.ranks):
                mine, part = turn + processes.rank, None
                if mine < len(starts):
                    chosen = range(starts[mine], min(starts[mine] + batch, count))
                    part = work.batch(dataset, chosen)
                # At each turn, so that none waits for longer than a batch takes.
                parts += [found for found in processes.all(part) if found is not None]
    finally:
        model.train(modes[0])
        guide.train(modes[1])
    levels = enumerate(model.hierarchy.levels, 1)
    gated = tuple(n for n, level in levels if level.gate is not None)
    return joined(parts, protocol, work.measures, work.clip_measures, gated)


@dataclass(frozen=True)
class _Work:
    """What is done to every batch; see `evaluate`."""

    model: LatentDynamics[StateSpace]
    guide: nn.Module
    protocol: Protocol
    measures: Sequence[FrameMeasure]
    clip_measures: Sequence[ClipMeasure]
    known: Tensor
    rows: int
    seed: int
    films: int
    show: str | None
    shards: Shards | None
    done: Callable[[int], object]

    def batch(self, dataset: Dataset[Any], sequences: range) -> Scored:
        """A batch: from its shard where there is one, but for what is drawn of it."""
        kept = min(len(sequences), max(0, self.films - sequences.start))
        part = self.shards.load(sequences.start, len(sequences)) if self.shards else None
        if part is not None:
            self.done(len(sequences) * self.protocol.samples)
            if not kept:
                return self._reduced(part, None)
        batch, futures = self._prepared(dataset, sequences)
        if part is None:
            part = score_batch(
                batch, futures, self.protocol, self.measures, self.clip_measures,
                films=kept, done=self.done,
            )  # fmt: skip
            if self.shards:
                self.shards.save(sequences.start, part)
        else:
            part = replace(part, films=film(batch, futures, self.protocol, kept))
        shown = None
        if kept and self.show and self.protocol.samples > 1:
            (judge,) = (measure for measure in self.measures if measure.name == self.show)
            shown = extremes(batch, futures, part.scores["model"][self.show], judge, kept)
        return self._reduced(part, shown)

    def _prepared(self, dataset: Dataset[Any], sequences: range) -> tuple[Batch, Futures]:
        """The clips of a batch, and their futures, which nobody has drawn yet."""
        device = self.known.device
        video, states = _clips(dataset, sequences)
        _check_length(video, self.protocol)
        video = video.to(device)
        states = {name: values.to(device) for name, values in states.items()}
        futures = Futures(
            self.model, self.guide, video[:, : self.protocol.context], self.protocol.horizon,
            self.protocol.samples, self.rows, self.seed, sequences.start,
        )  # fmt: skip
        return Batch(video, states, self.known, sequences.start), futures

    def _reduced(self, part: Part, shown: Extremes | None) -> Scored:
        """One score for each sequence and frame: of several samples the best, and their mean."""
        samples = part.scores["model"]
        rows = {"model": {m.name: best_samples(samples[m.name], m).scores for m in self.measures}}
        if self.protocol.samples > 1:
            rows["average_sample"] = {name: scores.mean(0) for name, scores in samples.items()}
        rows |= {name: scores for name, scores in part.scores.items() if name != "model"}
        return Scored(rows, replace(part, scores={}), shown)


def _clips(dataset: Dataset[Any], indices: range) -> tuple[Tensor, dict[str, Tensor]]:
    """Videos [B, T, C, H, W] and their true states by name."""
    items = [dataset[index] for index in indices]
    states = items[0].get("states", {})
    return torch.stack([item["video"] for item in items]), {
        name: torch.stack([item["states"][name] for item in items]) for name in states
    }


def _check_length(video: Tensor, protocol: Protocol) -> None:
    needed = protocol.context + protocol.horizon
    if video.shape[1] < needed:
        raise ValueError(
            f"the test clips have {video.shape[1]} frames, but a context of {protocol.context} "
            f"and a horizon of {protocol.horizon} need {needed}; use longer clips or shorten "
            f"the protocol"
        )
