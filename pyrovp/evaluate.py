"""Evaluation on held-out sequences: open-loop predictions beside baselines.

    context [0, Tc)              the guide infers, the model reconstructs
    horizon [Tc, Tc + horizon)   the model alone predicts, scored against the truth

Sequences go through in batches. Of every sequence the scores per frame, the KLs and the gates are
kept; frames are kept of the first few only, for the pictures. So memory does not grow with the
number of sequences or samples.
"""

from collections.abc import Sized
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from pyrovp.metrics import Protocol, baselines, best_of, metrics_table, psnr, relative_sharpness
from pyrovp.metrics import ssim as structural_similarity
from pyrovp.nets.batch_norm import batch_statistics
from pyrovp.predict import Rollout, open_loop
from pyrovp.programs import LatentDynamics
from pyrovp.state_space import StateSpace
from pyrovp.train.randomness import seed_noise, undisturbed

__all__ = ["EVALUATION_BATCH", "Films", "Results", "evaluate"]

EVALUATION_BATCH = 16
"""Clips at a time, unless said otherwise."""


@dataclass(frozen=True)
class Films:
    """Frames of the first few sequences, for pictures; given frames stand for themselves.

    Shapes:
        context, reconstruction: [S, Tc, C, H, W]
        truth, prediction: [S, horizon, C, H, W]; the prediction is the first sample
    """

    context: Tensor
    truth: Tensor
    reconstruction: Tensor
    prediction: Tensor


@dataclass(frozen=True)
class Results:
    """What an evaluation found.

    Args:
        table: What `pyrovp.metrics.metrics_table` returns: the model and every baseline.
        reconstruction: Means over the context: `psnr` in dB, `ssim`, `sharpness` (over truth's).
            Frames that the model takes as given do not count; empty where all are.
        kl: By level, KL of the states at each context frame in nats.
        gates: e of each level and frame, 1 = changed or ticked; of the first sample.
        gated: The levels (from 1) that have a gate.
        films: Frames for pictures.
        given: How many frames of the context the model takes as given.

    Shapes:
        kl: {level: [B, Tc]}
        gates: [B, L, Tc + horizon]
    """

    table: dict[str, Any]
    reconstruction: dict[str, float]
    kl: dict[int, Tensor]
    gates: Tensor
    gated: tuple[int, ...]
    films: Films
    given: int = 0

    def summary(self) -> dict[str, Any]:
        """All figures, of what JSON can hold: the content of `metrics.json`."""
        seen = self.table["protocol"]["context"]
        return self.table | {
            "given": self.given,
            "reconstruction": self.reconstruction or None,
            "kl_per_sequence": {
                f"z_{level}": kl.sum(1).mean().item() for level, kl in self.kl.items()
            },
            "change_rate": {
                f"e_{level}": {
                    # The first frame always changes and says nothing about the gate.
                    "context": _mean(self.gates[:, level - 1, self.given + 1 : seen]),
                    "prediction": _mean(self.gates[:, level - 1, seen:]),
                }
                for level in self.gated
            },
        }

    def sentences(self) -> list[str]:
        """What the table does not say, in words."""
        figures, summary = self.reconstruction, self.summary()
        seen = self.table["protocol"]["context"]
        if not figures:
            return [f"the model takes all {seen} frames of the context as given", *self._rates()]
        which = f" (its last {seen - self.given} frames)" if self.given else ""
        lines = [
            f"context{which} reconstructed at {figures['psnr']:.2f} dB, SSIM "
            f"{figures['ssim']:.3f}, {figures['sharpness']:.2f} of the truth's sharpness",
            "KL in the context, nats per sequence: "
            + ", ".join(f"{k} {v:.4g}" for k, v in summary["kl_per_sequence"].items()),
        ]
        return [*lines, *self._rates()]

    def _rates(self) -> list[str]:
        lines = []
        for name, rate in self.summary()["change_rate"].items():
            given = "-" if rate["context"] is None else f"{rate['context']:.3f}"
            lines.append(
                f"level {name.removeprefix('e_')} changes at {given} of the context's frames, "
                f"{rate['prediction']:.3f} of the predicted ones"
            )
        return lines


def evaluate(
    model: LatentDynamics[StateSpace],
    guide: nn.Module,
    dataset: Dataset[Any],
    training: Dataset[Any],
    protocol: Protocol,
    *,
    sequences: int | None = None,
    batch: int = EVALUATION_BATCH,
    training_clips: int = 128,
    films: int = 4,
    seed: int = 0,
    batch_norms: bool = False,
) -> Results:
    """Predicts held-out sequences and scores them beside the baselines.

    Args:
        model, guide: The two programs.
        dataset: Held-out clips of at least context + horizon frames.
        training: Training clips, for the baselines that know the training set.
        protocol: Context, horizon, samples and the definitions of the metrics.
        sequences: How many clips are scored, from the first on; None: all.
        batch: Clips at a time; part of the key of the noise.
        training_clips: How many training clips the baselines know.
        films: How many sequences are kept for pictures.
        seed: Key of the noise and of the random baseline.
        batch_norms: Whether BatchNorms use their batch's statistics; see
            `pyrovp.nets.batch_norm.batch_statistics`.

    Raises:
        ValueError: If a clip is too short for the protocol.
    """
    device = next(model.parameters()).device
    count = len(cast(Sized, dataset)) if sequences is None else sequences
    known = _videos(training, range(min(training_clips, len(cast(Sized, training))))).to(device)
    modes = model.training, guide.training
    parts: list[_Part] = []
    try:
        model.eval()
        guide.eval()
        modules = (model, guide) if batch_norms else ()
        with undisturbed(), torch.no_grad(), batch_statistics(*modules):
            for start in range(0, count, batch):
                seed_noise(seed, start, device)
                video = _videos(dataset, range(start, min(start + batch, count))).to(device)
                _check_length(video, protocol)
                kept = films - start
                parts.append(_score(model, guide, video, known, protocol, kept, seed + start))
    finally:
        model.train(modes[0])
        guide.train(modes[1])
    return _join(parts, protocol, _gated(model))


@dataclass(frozen=True)
class _Part:
    """Of one batch: scores by row and metric [B, horizon], and what `Results` holds."""

    scores: dict[str, dict[str, Tensor]]
    reconstruction: dict[str, Tensor]
    kl: dict[int, Tensor]
    gates: Tensor
    films: Films
    given: int


def _score(
    model: LatentDynamics[StateSpace],
    guide: nn.Module,
    video: Tensor,
    known: Tensor,
    protocol: Protocol,
    films: int,
    seed: int,
) -> _Part:
    seen, horizon = protocol.context, protocol.horizon
    context, truth = video[:, :seen], video[:, seen : seen + horizon]
    first: Rollout | None = None
    samples: list[dict[str, Tensor]] = []
    for _ in range(protocol.samples):
        rollout = open_loop(model, guide, context, horizon)
        samples.append(protocol.score(rollout.prediction, truth))
        first = first or rollout
    assert first is not None
    scores = {
        "model": {
            metric: best_of(torch.stack([sample[metric] for sample in samples])).scores
            for metric in samples[0]
        }
    }
    for name, prediction in baselines(context, horizon, known, seed).items():
        scores[name] = protocol.score(prediction, truth)
    known_frames, modelled = context[:, : first.given], context[:, first.given :]
    reconstruction = first.reconstruction.clamp(0, 1) if protocol.clip else first.reconstruction
    reconstructed = {}
    if modelled.shape[1]:
        reconstructed = {
            "psnr": psnr(reconstruction, modelled).cpu(),
            "ssim": structural_similarity(reconstruction, modelled, protocol.ssim).cpu(),
            "sharpness": relative_sharpness(reconstruction, modelled).cpu(),
        }
    kept = slice(0, max(0, films))
    return _Part(
        scores={name: {m: s.cpu() for m, s in row.items()} for name, row in scores.items()},
        reconstruction=reconstructed,
        kl={level: kl.cpu() for level, kl in first.kl.items()},
        gates=first.gates.cpu(),
        films=Films(
            context[kept].cpu(),
            truth[kept].cpu(),
            torch.cat((known_frames, first.reconstruction), 1)[kept].cpu(),
            first.prediction[kept].cpu(),
        ),
        given=first.given,
    )


def _join(parts: list[_Part], protocol: Protocol, gated: tuple[int, ...]) -> Results:
    scores = {
        row: {m: torch.cat([part.scores[row][m] for part in parts]) for m in metrics}
        for row, metrics in parts[0].scores.items()
    }
    return Results(
        table=metrics_table(protocol, scores),
        reconstruction={
            name: torch.cat([part.reconstruction[name] for part in parts]).mean().item()
            for name in parts[0].reconstruction
        },
        kl={level: torch.cat([part.kl[level] for part in parts]) for level in parts[0].kl},
        gates=torch.cat([part.gates for part in parts]),
        gated=gated,
        films=Films(
            *(
                torch.cat([getattr(part.films, name) for part in parts])
                for name in ("context", "truth", "reconstruction", "prediction")
            )
        ),  # fmt: skip
        given=parts[0].given,
    )


def _mean(values: Tensor) -> float | None:
    return values.mean().item() if values.numel() else None


def _videos(dataset: Dataset[Any], indices: range) -> Tensor:
    return torch.stack([dataset[index]["video"] for index in indices])


def _gated(model: LatentDynamics[StateSpace]) -> tuple[int, ...]:
    levels = enumerate(model.hierarchy.levels, 1)
    return tuple(n for n, level in levels if level.gate is not None)


def _check_length(video: Tensor, protocol: Protocol) -> None:
    needed = protocol.context + protocol.horizon
    if video.shape[1] < needed:
        raise ValueError(
            f"the test clips have {video.shape[1]} frames, but a context of {protocol.context} "
            f"and a horizon of {protocol.horizon} need {needed}; use longer clips or shorten "
            f"the protocol"
        )
