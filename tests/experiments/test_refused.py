"""What a user may get wrong: refused before training, in a sentence that says what to do."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from experiments import run
from pyrovp.runs.settings import Settings, check_settings
from tests.experiments.tiny import Outcome

Command = Callable[..., Outcome]

BAD = {
    "no model": ([], ["no model given", "cwvae, dlh, hvrnn, mixed, notmpabs", "+model=dlh"]),
    "misspelt model": (["+model=dhl"], ["no model 'dhl'", "did you mean dlh?", "rssm"]),
    "misspelt model in a sweep": (["-m", "model=dlh,cwave"], ["'cwave'", "did you mean cwvae?"]),
    "unknown data set": (["+model=dlh", "data=moving_dogs"], ["'moving_dogs'", "moving_digits"]),
    "unknown bound": (["+model=dlh", "elbo=meanfield"], ["'meanfield'", "mean_field"]),
    "unknown size": (["+model=dlh", "+size=papper"], ["'papper'", "did you mean paper?"]),
    "misspelt key": (["+model=dlh", "train.step=5"], ["train.step;", "did you mean train.steps?"]),
    "misspelt section": (["+model=dlh", "trian.steps=5"], ["trian.steps", "train.steps"]),
    "unknown argument": (
        ["+model=cwvae", "+model.level=2"], ["model.level", "did you mean levels?"],
    ),
    "no such model function": (
        ["+model=dlh", "model._target_=pyrovp.models.dlhh"], ["model: ", "pyrovp.models.dlhh"],
    ),
    "no such guide function": (
        ["+model=dlh", "guide._target_=pyrovp.guide.dlh"], ["guide: ", "pyrovp.guide"],
    ),
    "a gate of nothing": (
        ["+model=dlh", "model.gate={_target_: pyrovp.MixtureGate, size: 0}"],
        ["model.gate: ", "size must be a whole number of at least 1, got 0"],
    ),
    "a rule for a gate": (
        ["+model=dlh", "model.gate={_target_: pyrovp.VaDE}"],
        ["model.gate=VaDE(): a Gate (", "MixtureGate) or null"],
    ),
    "a value of another type": (
        ["+model=dlh", "model.hidden=40"], ["model.hidden=40: a list of whole numbers is needed"],
    ),
    "misspelt at depth": (
        ["+model=composed", "model.hierarchy.levels.1.clok.period=2"],
        ["model.hierarchy.levels.1.clok.period;", "did you mean model.hierarchy.levels.1.clock"],
    ),
    "an index in brackets": (
        ["+model=composed", "model.hierarchy.levels[1].clock.period=0"],
        ["model.hierarchy.levels[1].clock: ", "at least 1 frame, got 0"],
    ),
    "another gate at depth": (
        ["+model=composed", "model.hierarchy.levels.2.gate={_target_: pyrovp.MixtureGates}"],
        ["model.hierarchy.levels[2].gate: there is no pyrovp.MixtureGates; did you mean MixtureG"],
    ),
    "inside what is one value": (
        ["+model=dlh", "model.gate.size=3"], ["model.gate.size", "model.gate is one value"],
    ),
    "a bound that does not fit": (
        ["+model=dlh", "elbo=mean_field",
         "model.gate={_target_: pyrovp.MixtureGate, rule: {_target_: pyrovp.VaDE}}"],
        ["do not fit", "fully reparameterized"],
    ),
    "not a number": (["+model=dlh", "train.steps=many"], ["train.steps=many", "Integer"]),
    "one moment": (
        ["+model=dlh", "optimiser.betas=[0.9]"], ["optimiser.betas", "two numbers", "[0.9]"],
    ),
    "a warm-up that falls": (
        ["+model=dlh", "optimiser.warmup_steps=5", "optimiser.warmup_from=1"],
        ["optimiser.warmup_from=1.0", "above optimiser.lr", "lower it"],
    ),
    "negative decay": (
        ["+model=dlh", "optimiser.weight_decay=-1"], ["optimiser.weight_decay", "at least 0"],
    ),
    "empty batch": (["+model=dlh", "train.batch=0"], ["train.batch", "at least 1", "got 0"]),
    "negative budget": (["+model=dlh", "train.steps=-5"], ["train.steps", "at least 1", "-5"]),
    "nothing to predict": (["+model=dlh", "evaluate.horizon=0"], ["evaluate.horizon", "got 0"]),
    "context too long": (
        ["+model=dlh", "evaluate.context=6"], ["evaluate.context=6", "data.length=6", "larger"],
    ),
    "no context fits": (
        ["+model=dlh", "data.length=1", "evaluate.context=1"],
        ["evaluate.context=1", "(data.length=1) or more; use a larger data.length"],
    ),
    "no value": (
        ["+model=dlh", "train.steps=null"],
        ["train.steps=null: a whole number is needed; leave it out for its default"],
    ),
    "no list": (["+model=dlh", "optimiser.betas=null"], ["betas=null: a list of numbers is need"]),
    "no folder": (["+model=dlh", "out=null"], ["out=null: a name is needed"]),
    "frame size": (["+model=dlh", "data.resolution=24"], ["24", "32, 64"]),
    "no noise": (["+model=dlh", "model.std=0"], ["standard deviation", "positive", "0"]),
    "no levels": (["+model=cwvae", "model.levels=0"], ["levels must be", "at least 1, got 0"]),
    "channels": (["+model=dlh", "channels=3"], ["channels=3", "have 1", "data.channels"]),
    "frames that do not fit": (
        ["+model=dlh", "model.resolution=32"],
        ["do not fit", "frames are [1, 16, 16]", "this model's are [1, 32, 32]"],
    ),
    "annealing from nothing": (
        ["+model=dlh", "elbo=trace", "objective.beta.start=0"], ["above 0", "elbo=hierarchy"],
    ),
    "misspelt SSIM": (["+model=dlh", "evaluate.ssim=wong"], ["'wong'", "wang"]),
    "best of what": (
        ["+model=dlh", "evaluate.checkpoint=best", "train.validate_every=99"],
        ["evaluate.checkpoint=best", "lower train.validate_every"],
    ),
    "misspelt weights": (["+model=dlh", "evaluate.checkpoint=lst"], ["last or best", "lst"]),
    "no such device": (["+model=dlh", "device=gpu"], ["device=gpu", "auto, cpu, cuda"]),
    "bad syntax": (["+model=dlh", "train.steps"], ["train.steps"]),
    "context shorter than given": (
        ["+model=hvrnn", "model.given=4"],
        ["evaluate.context=3", "starts from 4 given frames", "longer"],
    ),
    "nothing to model in the test": (
        ["+model=vta", "model.given=3", "model.tail=3", "data.length=8"],
        ["evaluate.horizon=3", "6 frames none is left", "at least 7"],
    ),
    "no batch statistics": (
        ["+model=svg_lp", "train.batch=1"], ["train.batch=1", "BatchNorm", "train.batch=2"],
    ),
    "no batch statistics in the test": (
        ["+model=svg_lp", "evaluate.sequences=1", "evaluate.batch_statistics=true"],
        ["evaluate.sequences=1", "one sequence"],
    ),
    "a paper that is not": (["+model=mixed", "+size=paper"], ["mixed has no size=paper", "hvrnn"]),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_refused(command: Command, case: str) -> None:
    arguments, expected = BAD[case]
    outcome = command(*arguments)
    assert outcome.code == 2, outcome.output
    for text in expected:
        assert text in outcome.errors
    assert "Traceback" not in outcome.errors
    assert not list(outcome.out.glob("*/seed*"))  # no work was begun


def test_a_gpu_that_is_not_there(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    outcome = command("+model=dlh", "device=cuda")
    assert outcome.code == 2
    assert "sees 0 CUDA devices" in outcome.errors and "device=cpu" in outcome.errors


def test_a_folder_that_cannot_be_written(command: Command, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for out in (tmp_path / "file", tmp_path / "file" / "runs"):
        outcome = command("+model=dlh", out=out)
        assert outcome.code == 2
        assert "folder" in outcome.errors and str(tmp_path / "file") in outcome.errors


@pytest.mark.parametrize("flags", [(), ("-m",), ("+tune=lr",)])
def test_a_folder_whose_variable_is_not_set(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path,
    flags: tuple[str, ...],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["run.py", "+model=dlh", "out=", *flags])
    monkeypatch.setattr(run, "tune_allocator", lambda: None)
    monkeypatch.setattr(run, "Experiment", lambda *_: pytest.fail("a run was begun"))
    with pytest.raises(SystemExit, match="2"):
        run.main()
    assert "out is empty" in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_settings_without_a_folder() -> None:
    settings = Settings({}, {}, {}, {}, {}, out="")
    with pytest.raises(ValueError, match="out is empty; give the folder of all runs"):
        check_settings(settings)


def test_what_is_in_the_way_of_a_run(command: Command) -> None:
    outcome = command("+model=rssm")
    (outcome.folder / "done.json").unlink()
    (outcome.folder / "metrics.json").unlink()
    (outcome.folder / "metrics.json").mkdir()
    again = command("+model=rssm")
    assert again.code == 2 and "Traceback" not in again.errors
    assert "(Is a directory)" in again.errors and "move it away" in again.errors
    assert "make room" not in again.errors


def test_tensorboard_that_is_not_installed(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    outcome = command("+model=dlh", "train.tensorboard=true")
    assert outcome.code == 2 and "pip install 'pyrovp[tensorboard]'" in outcome.errors


def test_a_diverging_run_says_where(command: Command) -> None:
    outcome = command("+model=rssm", "optimiser.lr=1e30", "train.steps=5")
    assert outcome.code == 2
    assert "not finite at step" in outcome.errors and "last good checkpoint" in outcome.errors
    assert not (outcome.folder / "done.json").exists()
