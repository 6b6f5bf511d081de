"""What a trained run says: figures in `metrics.json`, pictures beside it, a table."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pyrovp.analysis import Gates, channel_report, infer_channels, infer_gates, report
from pyrovp.data import batches
from pyrovp.describe import count_parameters
from pyrovp.draw import (
    channels_png,
    curves_png,
    levels_png,
    predictions_gif,
    predictions_png,
    training_png,
)
from pyrovp.environment import environment
from pyrovp.evaluation import Results
from pyrovp.metrics import render
from pyrovp.runs.parts import Parts, Videos
from pyrovp.runs.run_directory import RunDirectory
from pyrovp.runs.sentences import channel_sentences, clip_sentences, event_sentences
from pyrovp.train.log import read_rows

__all__ = ["write_results"]


def write_results(
    parts: Parts,
    directory: RunDirectory,
    results: Results,
    step: int,
    say: Callable[[str], None],
) -> None:
    """Writes figures and pictures and tells the table.

    Args:
        parts: The run's, with the weights that were evaluated.
        directory: Its folder.
        results: What was predicted.
        step: Steps trained when these weights were written.
        say: Told the table and what was found, in lines.
    """
    # A model that takes all of a context as given infers nothing there.
    blank = results.given >= results.table["protocol"]["context"]
    gates = _gates(parts) if results.gated or blank else None
    events, channels = _events(parts, results, gates), _channels(parts)
    inside = {**events, "channels": channel_report(channels)}
    kl, raster = results.kl, results.gates if results.gated else None
    if blank and gates is not None:
        inside["whole_clips"] = _whole_clips(results.gated, gates)
        kl = {n: gates.kl[:, n - 1] for n in results.kl}
        raster = gates.e if results.gated else None
    directory.write_json("metrics.json", _facts(parts, step) | results.summary() | inside)
    films = vars(results.films)
    pictures: dict[str, Callable[[Path], None]] = {
        "predictions.png": lambda path: predictions_png(path, **films),
        "predictions.gif": lambda path: predictions_gif(path, **films),
        "curves.png": lambda path: curves_png(path, results.table),
        "levels.png": lambda path: levels_png(path, kl, raster),
        "channels.png": lambda path: channels_png(path, channels),
    }
    if rows := read_rows(directory.path / "metrics.jsonl"):
        pictures["training.png"] = lambda path: training_png(path, rows)
    for name, draw in pictures.items():
        draw(directory.path / name)
    sentences = [
        *results.sentences(),
        *event_sentences(events),
        *clip_sentences(inside.get("whole_clips", {})),
        *channel_sentences(inside["channels"]),
    ]
    say("\n".join(["", render(results.table), *sentences, "", "pictures:"]))
    say("\n".join(f"  {directory.path / name}" for name in pictures))


def _gates(parts: Parts) -> Gates:
    """Gates and KLs of the test clips, inferred from all their frames."""
    with parts.looking():
        found = [
            infer_gates(parts.model, parts.guide, video.to(parts.device))
            for video in Videos(parts.testing, parts.settings.train.batch)
        ]
    return Gates(*(torch.cat(part).cpu() for part in zip(*found, strict=True)))


def _events(parts: Parts, results: Results, gates: Gates | None) -> dict[str, Any]:
    """Gates against the true changes, where the data set knows them and a level has one."""
    if gates is None or not results.gated or "change" not in parts.testing[0]["states"]:
        return {}
    known = batches(parts.testing, parts.settings.train.batch)
    return {"events": report(gates, torch.cat([b["states"]["change"] for b in known]))}


def _channels(parts: Parts) -> dict[int, Tensor]:
    """KL per latent channel of each level, over the test clips."""
    with parts.looking():
        found = [
            infer_channels(parts.model, parts.guide, video.to(parts.device))
            for video in Videos(parts.testing, parts.settings.train.batch)
        ]
    return {level: torch.cat([part[level] for part in found]) for level in found[0]}


def _facts(parts: Parts, step: int) -> dict[str, Any]:
    """What the figures belong to."""
    model, data = parts.names
    return {
        "model": model,
        "data": data,
        "source": parts.testing.source,
        "training_set": parts.training.fingerprint(),
        "test_set": parts.testing.fingerprint(),
        "splits": parts.splits(),
        "seed": parts.settings.seed,
        "step": step,
        "weights": parts.settings.evaluate.checkpoint,
        "parameters": count_parameters(parts.objective),
        "environment": environment(parts.device),
    }


def _whole_clips(gated: tuple[int, ...], gates: Gates) -> dict[str, Any]:
    """What is inferred from all frames of a clip: KLs, and rates of change after the first."""
    modelled = gates.e[0, 0] > 0  # level 1 changes at every frame that is modelled
    first = int(modelled.nonzero()[0]) + 1
    last = int(modelled.nonzero()[-1]) + 1
    return {
        "kl_per_sequence": {
            f"z_{n + 1}": gates.kl[:, n].sum(1).mean().item() for n in range(gates.kl.shape[1])
        },
        "change_rate": {
            f"e_{level}": gates.e[:, level - 1, first:last].mean().item() for level in gated
        },
    }
