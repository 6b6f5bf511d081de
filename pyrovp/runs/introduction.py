"""The first lines of a run: what it is about to do."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import torch

from pyrovp.describe import describe, unseen_levels
from pyrovp.runs.build import brief, device_name
from pyrovp.runs.parts import Parts
from pyrovp.words import counted

__all__ = ["introduction"]


def introduction(parts: Parts, folder: Path) -> str:
    """What a run is: its settings, its model, its device and what is remarkable.

    Args:
        parts: What was built.
        folder: Where it is written.
    """
    (model, data), settings = parts.names, parts.settings
    sections = "data model guide elbo objective optimiser train evaluate".split()
    lines = [f"{model} on {data}: {parts.training.source}", ""]
    lines += [f"{name:10}{brief(asdict(settings)[name])}" for name in sections]
    threads = f", {torch.get_num_threads()} threads" if parts.device.type == "cpu" else ""
    lines += ["", describe(parts.model, parts.guide)]
    many = f", {parts.processes.ranks} processes" if parts.processes.ranks > 1 else ""
    lines += [f"device            {device_name(parts.device)}{threads}{many}", ""]
    if parts.started_from is not None:
        lines += [f"weights of {parts.started_from}"]
    lines += [f"seed {settings.seed}, folder {folder}"]
    if unseen := unseen_levels(parts.model, settings.evaluate.context):
        lines.append(f"note: {unseen}")
    lines += [f"note: {fewer}" for fewer in _fewer(parts)]
    return "\n".join(lines)


def _fewer(parts: Parts) -> Iterator[str]:
    """Where a split has fewer clips than the settings ask for."""
    asked = {
        "train.validate_sequences": (parts.settings.train.validate_sequences, parts.validation),
        "evaluate.sequences": (parts.settings.evaluate.sequences, parts.testing),
    }
    for key, (wanted, videos) in asked.items():
        if videos is not None and len(videos) < wanted:
            found = counted(len(videos), "clip")
            yield f"{key}={wanted}, but {videos.split} has {found}: all are used"
