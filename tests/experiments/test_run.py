"""The main job from the command line to the pictures."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf

from pyrovp.train import read_rows
from tests.experiments.tiny import Outcome

Command = Callable[..., Outcome]
MODELS = ["cwvae", "dlh", "hvrnn", "mixed", "notmpabs", "rssm", "svg_lp", "tald", "vrnn", "vta"]
PICTURES = ["predictions.png", "predictions.gif", "curves.png", "levels.png", "channels.png"]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    newest = max((folder / "checkpoint").glob("step_*.pt"))
    return torch.load(newest, weights_only=True)["objective"]


def read(path: Path) -> dict[str, Any]:
    return OmegaConf.to_container(OmegaConf.load(path))  # type: ignore[return-value]


@pytest.mark.parametrize("model", MODELS)
def test_a_run_leaves_everything(command: Command, model: str) -> None:
    outcome = command(f"+model={model}", pictures=model == "dlh")
    assert outcome.code == 0, outcome.errors
    files = {path.name for path in outcome.folder.iterdir()}
    assert files >= {"config.yaml", "metrics.json", "metrics.jsonl", "done.json", *PICTURES}
    assert outcome.folder.parent.name.startswith(f"{model}-moving_digits-")
    metrics = json.loads((outcome.folder / "metrics.json").read_text())
    assert list(metrics["rows"]) == [
        "model", "copy_last", "black", "training_mean", "random_sequence",
    ]  # fmt: skip
    assert metrics["sequences"] == 2 and "UCI" in metrics["source"]
    assert [row["step"] for row in read_rows(outcome.folder / "metrics.jsonl")] == [1, 1, 2, 2]
    for said in ("level", "parameters", "device", "copy last", "predictions.gif"):
        assert said in outcome.output


def test_the_resolved_configuration_is_saved(command: Command) -> None:
    saved = read(command("model=rssm").folder / "config.yaml")
    assert saved["model"]["channels"] == 1 and saved["model"]["resolution"] == 16
    assert saved["train"]["steps"] == 2


def test_plus_or_no_plus(command: Command, tmp_path: Path) -> None:
    with_plus = command("+model=rssm", "+data=moving_ball", out=tmp_path / "a")
    without = command("model=rssm", "data=moving_ball", out=tmp_path / "b")
    assert with_plus.code == without.code == 0
    assert with_plus.folder.relative_to(tmp_path / "a") == without.folder.relative_to(
        tmp_path / "b"
    )


@pytest.mark.parametrize("elbo", ["hierarchy", "trace", "mean_field"])
def test_every_bound_trains(command: Command, elbo: str) -> None:
    outcome = command("+model=dlh", f"elbo={elbo}")
    assert outcome.code == 0, outcome.errors
    # parts are HierarchyELBO's own; Pyro's bounds give the loss alone
    rows = [row for row in read_rows(outcome.folder / "metrics.jsonl") if "parts" in row]
    assert all(("z_1" in row["parts"]) == (elbo == "hierarchy") for row in rows)


def test_the_optimiser_does_as_it_is_told(command: Command) -> None:
    plain = command("+model=rssm", "optimiser.lr=1e-3")
    told = (
        "lr=1e-3", "warmup_steps=2", "warmup_from=1e-4", "betas=[0.5,0.9]", "weight_decay=1e-4",
        "amsgrad=true",
    )  # fmt: skip
    options = [f"optimiser.{option}" for option in told]
    outcome = command("+model=rssm", *options, out=plain.out / "told")
    assert outcome.code == 0, outcome.errors
    rows = read_rows(outcome.folder / "metrics.jsonl")
    assert [row["lr"] for row in rows if "lr" in row] == pytest.approx([1e-4, 5.5e-4])
    newest = max((outcome.folder / "checkpoint").glob("step_*.pt"))
    (group,) = torch.load(newest, weights_only=True)["optimizer"]["param_groups"]
    assert group["betas"] == (0.5, 0.9)
    assert group["weight_decay"] == 1e-4 and group["amsgrad"]


def test_a_finished_run_is_not_redone(command: Command) -> None:
    first = command("+model=rssm")
    before = (first.folder / "metrics.jsonl").stat().st_mtime_ns
    again = command("+model=rssm")
    assert again.code == 0 and "is finished" in again.output and "force=true" in again.output
    assert (first.folder / "metrics.jsonl").stat().st_mtime_ns == before
    forced = command("+model=rssm", "force=true")
    assert "is finished" not in forced.output
    assert (first.folder / "metrics.jsonl").stat().st_mtime_ns != before


def test_a_larger_budget_extends(command: Command, tmp_path: Path) -> None:
    short = command("+model=dlh", out=tmp_path / "a")
    longer = command("+model=dlh", "train.steps=4", out=tmp_path / "a")
    straight = command("+model=dlh", "train.steps=4", out=tmp_path / "b")
    assert longer.folder == short.folder
    assert json.loads((longer.folder / "done.json").read_text())["steps"] == 4
    a, b = weights(longer.folder), weights(straight.folder)
    assert all(torch.equal(a[name], b[name]) for name in a)
    figures = [json.loads((o.folder / "metrics.json").read_text()) for o in (longer, straight)]
    assert figures[0] == figures[1]


def test_another_evaluation_trains_nothing(command: Command) -> None:
    first = command("+model=rssm")
    before = (first.folder / "metrics.jsonl").read_text()
    again = command("+model=rssm", "evaluate.horizon=5", "evaluate.checkpoint=best")
    assert again.code == 0 and "evaluating with the new settings" in again.output
    metrics = json.loads((again.folder / "metrics.json").read_text())
    assert metrics["protocol"]["horizon"] == 5 and metrics["weights"] == "best"
    rows = read_rows(again.folder / "metrics.jsonl")
    validations = {row["step"]: row["validation"] for row in rows if "validation" in row}
    assert metrics["step"] == min(validations, key=validations.__getitem__)
    assert (first.folder / "metrics.jsonl").read_text() == before
    fewer = command("+model=rssm", "train.steps=1")
    assert fewer.code == 0
    done = json.loads((fewer.folder / "done.json").read_text())
    assert done["steps"] == 2  # what was trained, not what was asked for


def test_a_finished_run_without_its_weights_is_not_trained_anew(command: Command) -> None:
    first = command("+model=rssm")
    before = (first.folder / "metrics.jsonl").read_bytes()
    shutil.rmtree(first.folder / "checkpoint")
    for more in ("evaluate.horizon=5", "train.steps=3"):
        again = command("+model=rssm", more)
        assert again.code == 2 and "its checkpoint is gone" in again.errors
    assert (first.folder / "metrics.jsonl").read_bytes() == before
    assert command("+model=rssm", "force=true").code == 0


def test_checkpoints_of_another_seed_are_refused(command: Command) -> None:
    folder = command("+model=rssm").folder
    other = folder.with_name("seed1")
    shutil.copytree(folder / "checkpoint", other / "checkpoint")
    outcome = command("+model=rssm", "seed=1")
    assert outcome.code == 2 and "seed 0" in outcome.errors and "seed 1" in outcome.errors


def test_seeds_and_sweeps(command: Command) -> None:
    outcome = command("-m", "+model=rssm,notmpabs", "seed=0,1")
    assert outcome.code == 0, outcome.errors
    done = sorted(path.parent for path in outcome.out.glob("*/seed*/done.json"))
    assert [path.name for path in done] == ["seed0", "seed1"] * 2
    a, b = (weights(path) for path in done[:2])
    assert not all(torch.equal(a[name], b[name]) for name in a)
    first, second = (json.loads((path / "metrics.json").read_text()) for path in done[:2])
    assert first["training_set"] != second["training_set"]
    assert first["test_set"] == second["test_set"]


def test_the_context_that_shows_the_top_nothing_is_said_aloud(command: Command) -> None:
    outcome = command("+model=cwvae", "model.levels=3", "model.factor=3")
    assert "note: level 3 has no whole window" in outcome.output


OWN = """
# @package _global_
model:
  _target_: pyrovp.LatentDynamics
  hierarchy:
    _target_: pyrovp.Hierarchy
    levels:
      - _target_: pyrovp.Level
        clock: {_target_: pyrovp.Every, period: 1}
        memory: {_target_: pyrovp.GRU, size: 8}
        state: {_target_: pyrovp.Gaussian, size: 3}
      - _target_: pyrovp.Level
        clock: {_target_: pyrovp.Every, period: PERIOD}
        memory: {_target_: pyrovp.GRU, size: 8}
        state: {_target_: pyrovp.Gaussian, size: 3}
      - _target_: pyrovp.Level
        clock: {_target_: pyrovp.Every, period: 2}
        gate: {_target_: pyrovp.MixtureGate, size: 8}
        memory: {_target_: pyrovp.GRU, size: 8}
        state: {_target_: pyrovp.Gaussian, size: 3}
    wiring: {_target_: pyrovp.Parent}
    encoder:
      _target_: pyrovp.DCGANEncoder
      channels: ${channels}
      resolution: ${data.resolution}
      width: 0.25
    emission:
      _target_: pyrovp.GaussianFrames
      std: 0.4
      decoder:
        _target_: pyrovp.DCGANDecoder
        _partial_: true
        channels: ${channels}
        resolution: ${data.resolution}
        width: 0.25
guide:
  _target_: pyrovp.Filtering
  lift: [8]
"""


@pytest.mark.parametrize("period, code", [(2, 0), (4, 2)])
def test_a_hierarchy_of_ones_own(command: Command, tmp_path: Path, period: int, code: int) -> None:
    (tmp_path / "conf" / "model").mkdir(parents=True)
    (tmp_path / "conf" / "model" / "mine.yaml").write_text(OWN.replace("PERIOD", str(period)))
    outcome = command(f"--config-dir={tmp_path / 'conf'}", "+model=mine")
    assert outcome.code == code, outcome.errors
    if code == 0:
        assert outcome.folder.parent.name.startswith("mine-moving_digits-")
        assert "every 2 frames  MixtureGate(KLComparison)" in outcome.output
    else:
        assert "not a multiple of level 2's 4" in outcome.errors
        assert "Traceback" not in outcome.errors


CLOCKWORK = (100, {"state": 20, "memory": 200, "width": 1.0})
PAPER: dict[str, tuple[int, dict[str, Any]]] = {
    "cwvae": CLOCKWORK, "notmpabs": CLOCKWORK, "rssm": CLOCKWORK, "tald": CLOCKWORK,
    "dlh": (100, {"state": 20, "memory": 200, "context": 200, "width": 1.0}),
    "hvrnn": (15, {"latents": [1, 8, 32], "width": 64, "given": 5, "dense": True}),
    "svg_lp": (15, {"state": 10, "memory": 256, "features": 128, "context": 5, "width": 1.0}),
    "vrnn": (15, {"width": 64, "given": 5}),
    "vta": (30, {"belief": 128, "state": 8, "features": 128, "given": 5, "tail": 5}),
}  # fmt: skip
"""Frames of a clip, and the model's sizes."""


@pytest.mark.parametrize("model", PAPER)
def test_paper_size_is_the_papers(command: Command, model: str) -> None:
    outcome = command(f"+model={model}", "+size=paper", "--cfg", "job", tiny=False)
    assert outcome.code == 0, outcome.errors
    config = OmegaConf.to_container(OmegaConf.create(outcome.output))
    assert isinstance(config, dict)
    length, sizes = PAPER[model]
    assert config["data"]["resolution"] == 64 and config["data"]["length"] == length
    assert {name: config["model"][name] for name in sizes} == sizes
    assert config["data"]["digits"] == 2


def test_help_lists_what_there_is(command: Command) -> None:
    outcome = command("--help")
    assert outcome.code == 0
    for name in (*MODELS, "moving_ball", "mean_field", "paper"):
        assert name in outcome.output
