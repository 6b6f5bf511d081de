"""The command that evaluates runs: from folders to figures, and what a user may get wrong."""

import csv
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from experiments import evaluate
from pyrovp.evaluation.batch import Batch, Part, score_batch
from pyrovp.runs import evaluation_files
from tests.experiments.tiny import Outcome

Evaluate = Callable[..., Outcome]
FILES = ["best_worst.png", "curves.png", "metrics.json", "per_frame.csv", "samples.gif"]


@pytest.fixture
def run(
    command: Callable[..., Outcome], tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A run of two steps of DLH, trained once for all tests."""
    stored = tmp_path_factory.getbasetemp() / "evaluated"
    if not stored.exists():
        command("+model=dlh", "evaluate.sequences=5", out=stored)
    shutil.copytree(stored, tmp_path / "runs")
    (folder,) = (tmp_path / "runs").glob("*/seed*")
    return folder


@pytest.fixture
def call(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Evaluate:
    """Runs `experiments/evaluate.py` in this process."""
    monkeypatch.setattr(evaluate, "tune_allocator", lambda: None)  # not this process's to tune

    def call(*arguments: object, pictures: bool = False) -> Outcome:
        if not pictures:  # drawing takes longer than all the rest
            for name in ("curves_png", "strip_png", "strip_gif"):
                monkeypatch.setattr(evaluation_files, name, lambda path, *_: path.touch())
        given = ["evaluate.py", *map(str, arguments)]
        monkeypatch.setattr(sys, "argv", [*given, "device=cpu"])
        monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
        capsys.readouterr()
        code = 0
        try:
            evaluate.main()
        except SystemExit as error:
            code = int(error.code or 0)
        output, errors = capsys.readouterr()
        return Outcome(code, output, errors, tmp_path)

    return call


def found(run: Path, name: str = "own-*") -> dict[str, Any]:
    (path,) = run.glob(f"evaluations/{name}/metrics.json")
    return json.loads(path.read_text())


def test_a_runs_own_figures_come_again(call: Evaluate, run: Path) -> None:
    outcome = call(run)
    assert outcome.code == 0, outcome.errors
    own, again = json.loads((run / "metrics.json").read_text()), found(run)
    for name in ("rows", "labels", "sequences", "kl_per_sequence", "change_rate", "test_set"):
        assert again[name] == own[name], name
    assert again["protocol"]["hash"] == own["protocol"]["hash"]
    assert again["splits"]["test"] == own["splits"]["test"]
    assert (again["model"], again["data"], again["step"]) == ("dlh", "moving_digits", 2)
    for said in ("protocol own", "copy last", "level 2 changes", "samples.gif"):
        assert said in outcome.output


def test_a_papers_rules_on_other_data(call: Evaluate, run: Path) -> None:
    lengths = ("context=3", "horizon=4", "samples=3", "rows=4", "batch=2", "metrics=[psnr,lpips]")
    outcome = call(run, "protocol=dlh", *lengths, pictures=True)
    assert outcome.code == 0, outcome.errors
    (folder,) = run.glob("evaluations/dlh-*")
    assert sorted(path.name for path in folder.iterdir() if path.is_file()) == FILES
    figures = found(run, "dlh-*")
    assert folder.name == f"dlh-{figures['protocol']['hash']}"
    assert figures["protocol"]["name"] == "dlh/moving_digits"
    assert figures["protocol"]["samples"] == 3 and list(figures["labels"]) == ["psnr"]
    assert "at least 32 px" in figures["absent"]["lpips"]
    assert "lpips absent" in outcome.output and "not measured: lpips" in outcome.output
    rows = list(csv.DictReader((folder / "per_frame.csv").read_text().splitlines()))
    assert len(rows) == 4 * len(figures["rows"])  # frames by rows, one metric
    (last,) = (r for r in rows if r["row"] == "average_sample" and r["frame"] == "4")
    scores = figures["rows"]["average_sample"]["psnr"]
    assert float(last["mean"]) == scores["per_frame"][3]
    with Image.open(folder / "samples.gif") as film:
        assert getattr(film, "n_frames", 1) == 7


def test_what_is_there_is_not_made_again(
    call: Evaluate, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert call(run).code == 0
    scored: list[object] = []

    def watched(batch: Batch, *rest: Any, **named: Any) -> Part:
        scored.append(batch)
        return score_batch(batch, *rest, **named)

    monkeypatch.setattr("pyrovp.evaluation.evaluator.score_batch", watched)
    before = found(run)
    again = call(run)
    assert not scored and "was evaluated before" in again.output and "copy last" in again.output
    assert call(run, "pictures=1").code == 0  # drawn anew from the shards
    assert not scored and found(run)["rows"] == before["rows"]
    next(run.glob("evaluations/own-*/per_frame.csv")).unlink()
    assert call(run, "pictures=1").code == 0 and not scored
    assert list(run.glob("evaluations/own-*/per_frame.csv"))
    assert call(run, "sequences=3").code == 0  # another last batch
    assert len(scored) == 1 and found(run)["sequences"] == 3
    assert call(run, "sequences=3", "seed=7").code == 0
    assert len(scored) == 2 and found(run)["rows"] != before["rows"]
    assert len(list(run.glob("evaluations/own-*/shards/*"))) == 1  # the old noise's are gone
    assert call(run, "sequences=3", "seed=7", "force=true").code == 0
    assert len(scored) == 3
    assert call(run, "sequences=3", "seed=7", "metrics=[ssim]").code == 0
    assert len(scored) == 4 and list(found(run)["labels"]) == ["ssim"]


def test_the_best_weights_have_a_folder_of_their_own(call: Evaluate, run: Path) -> None:
    assert call(run, "weights=best").code == 0
    (folder,) = run.glob("evaluations/*")
    assert folder.name.endswith("-best") and found(run)["weights"] == "best"


def test_several_runs_and_one_that_fails(call: Evaluate, run: Path) -> None:
    other = shutil.copytree(run, run.with_name("seed1"))
    shutil.rmtree(run / "checkpoint")
    outcome = call(run.parent.parent, "sequences=2")
    assert outcome.code == 2 and "it has none yet" in outcome.errors
    assert not (run / "evaluations").exists() and found(other)["sequences"] == 2


BAD = {
    "no run": ([], ["no run given", "runs/NAME/seed0"]),
    "unknown protocol": (["RUN", "protocol=dhl"], ["no protocol 'dhl'", "did you mean dlh?"]),
    "a paper without these data": (
        ["RUN", "protocol=dlh"], ["no figures for moving_digits", "context=3 horizon=3"],
    ),
    "misspelt key": (["RUN", "horizn=3"], ["no setting horizn", "did you mean horizon?"]),
    "misspelt metric": (["RUN", "metrics=[pnsr]"], ["no metric 'pnsr'", "did you mean psnr?"]),
    "no frame metric": (["RUN", "metrics=[fvd]"], ["metrics=[fvd]", "absent"]),
    "no samples": (["RUN", "samples=0"], ["samples", "at least 1, got 0"]),
    "no sequences": (["RUN", "sequences=0"], ["sequences", "at least 1, got 0"]),
    "misspelt SSIM": (["RUN", "ssim=wong"], ["'wong'", "wang"]),
    "misspelt weights": (["RUN", "weights=newest"], ["last or best", "newest"]),
    "not a number": (["RUN", "horizon=many"], ["horizon=many", "Integer"]),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_refused(call: Evaluate, run: Path, case: str) -> None:
    arguments, expected = BAD[case]
    outcome = call(*(run if argument == "RUN" else argument for argument in arguments))
    assert outcome.code == 2, outcome.output
    for text in expected:
        assert text in outcome.errors
    assert "Traceback" not in outcome.errors
    assert not (run / "evaluations").exists()


def test_a_folder_that_cannot_be_written(call: Evaluate, run: Path) -> None:
    (run / "evaluations").touch()
    outcome = call(run)
    assert outcome.code == 2 and "cannot write to" in outcome.errors
    assert "move it away, or copy the run to another folder" in outcome.errors
