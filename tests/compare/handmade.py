"""Runs that were never trained: a configuration and figures, as a run's folder holds them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from pyrovp.metrics import Protocol, metrics_table, ssim_preset

__all__ = ["PROTOCOL", "CWVAE", "run"]

PROTOCOL = Protocol("run", 2, 3, 1, ssim_preset("svg"), True)
CWVAE = Protocol("run", 36, 1000, 1, ssim_preset("svg"), False)
"""The protocol of CW-VAE's Table 1 on Moving MNIST."""

_BASELINES = ("copy_last", "random_sequence")


def run(
    out: Path,
    model: str = "cwvae",
    seed: int = 0,
    *,
    psnr: float = 20.0,
    ssim: float = 0.5,
    data: str = "moving_digits",
    protocol: Protocol = PROTOCOL,
    settings: Mapping[str, Any] | None = None,
    evaluation: str | None = None,
    name: str | None = None,
    clips: str = "clips",
    split: str | None = "split",
    sequences: int = 2,
    average: float | None = None,
    **more: Any,
) -> Path:
    """Writes the figures of one evaluation; returns the run's folder.

    Args:
        out: The folder of all runs.
        psnr, ssim: The model's, at every frame of every sequence; baselines have 10 and 0.1.
        settings: Of the model, in its `config.yaml`.
        evaluation: Name of a folder in evaluations/; None: the run's own evaluation.
        name: Of the folder; None: made of model, data and settings.
        average: PSNR of the average sample; None: there is one sample.
        more: What else stands in `metrics.json`.
    """
    chosen = dict(settings or {})
    key = "".join(f"{k}{v}" for k, v in chosen.items()) or "plain"
    folder = out / (name or f"{model}-{data}-{key.replace('.', '')}") / f"seed{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    kind = {"speed": chosen.pop("speed")} if "speed" in chosen else {}
    config = {
        "model": chosen,
        "data": {"length": 6, **kind},
        "seed": seed,
        "train": {"steps": 5, "batch": 4},
        "evaluate": {"batch_statistics": False},
    }
    (folder / "config.yaml").write_text(json.dumps(config))  # which YAML contains
    rows = {"model": (psnr, ssim)}
    if average is not None:
        rows["average_sample"] = (average, ssim)
    rows |= dict.fromkeys(_BASELINES, (10.0, 0.1))
    content = metrics_table(protocol, _scores(rows, protocol, sequences)) | {
        "model": model, "data": data, "seed": seed, "step": 5, "weights": "last",
        "parameters": 1234, "test_set": clips,
    }  # fmt: skip
    if split is not None:
        content["splits"] = {"test": split}
    file = folder / "metrics.json"
    if evaluation is not None:
        file = folder / "evaluations" / evaluation / "metrics.json"
        file.parent.mkdir(parents=True)
    file.write_text(json.dumps(content | more))
    return folder


def _scores(
    rows: Mapping[str, Sequence[float]], protocol: Protocol, sequences: int
) -> dict[str, dict[str, torch.Tensor]]:
    shape = sequences, protocol.horizon
    return {
        name: {
            metric: torch.full(shape, value, dtype=torch.float64)
            for metric, value in zip(("psnr", "ssim"), values, strict=True)
        }
        for name, values in rows.items()
    }
