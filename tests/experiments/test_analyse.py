"""Trained runs are asked from the command line: what is left behind, redone, and refused."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from experiments import analyse, run
from pyrovp.analysis import LevelKL
from pyrovp.draw import exhibits
from pyrovp.runs.inquiry import Inquiry, InquirySettings
from tests.experiments.tiny import SIZES, TINY, Outcome, draw_nothing

Asked = Callable[..., Outcome]
FEW = ("clips=2", "length=6", "context=3", "device=cpu")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of two runs of two steps: one with a gate, one without."""
    out = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "tune_allocator", lambda: None)
        draw_nothing(patch)
        for model in ("dlh", "rssm"):
            small = [f"+model={model}", *TINY, *SIZES[model], f"out={out}"]
            patch.setattr(sys, "argv", ["run.py", *small])
            run.main()
    return out


@pytest.fixture
def runs(trained: Path, tmp_path: Path) -> Path:
    """A copy of them."""
    return Path(shutil.copytree(trained, tmp_path / "runs"))


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Asked:
    """Runs `experiments/analyse.py` with these arguments."""

    def call(*arguments: object, pictures: bool = False) -> Outcome:
        if not pictures:  # drawing takes longer than all the rest
            for name in ("curve_png", "strip_png", "strip_gif"):
                monkeypatch.setattr(exhibits, name, lambda path, _: path.touch())
        monkeypatch.setattr(sys, "argv", ["analyse.py", *map(str, arguments)])
        monkeypatch.setattr(analyse, "tune_allocator", lambda: None)
        monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
        capsys.readouterr()
        code = 0
        try:
            analyse.main()
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else 1
        output, errors = capsys.readouterr()
        return Outcome(code, output, errors, Path())

    return call


def folder(runs: Path, model: str = "dlh") -> Path:
    (found,) = runs.glob(f"{model}-*/seed0")
    return found


def found(runs: Path, analysis: str = "level_kl", model: str = "dlh") -> dict[str, Any]:
    return json.loads((folder(runs, model) / "analyses" / analysis / "findings.json").read_text())


def test_an_answer_leaves_everything(ask: Asked, runs: Path) -> None:
    outcome = ask(folder(runs), "analysis=level_kl", *FEW, "seed=0", pictures=True)
    assert outcome.code == 0, outcome.errors
    answer, place = found(runs), folder(runs) / "analyses" / "level_kl"
    assert sorted(path.name for path in place.iterdir()) == [
        "findings.json", "gate_kl_over_time.png", "level_kl.csv", "level_kl_over_time.png",
    ]  # fmt: skip
    assert (answer["analysis"], answer["model"], answer["data"]) == (
        "level_kl", "dlh", "moving_digits",
    )  # fmt: skip
    assert answer["facts"]["sequences"] == 2 and answer["facts"]["frames"] == 6
    assert answer["asked"]["step"] == 2 and answer["asked"]["analysis"]["unit"] == "nats"
    assert answer["environment"]["device"] == "cpu"
    shown = answer["exhibits"]
    assert shown["level_kl"]["form"] == "Table"
    assert shown["level_kl"]["rows"][0][1] == answer["facts"]["states"]["z_1"]["per_sequence"]
    assert shown["level_kl_over_time"]["files"] == ["level_kl_over_time.png"]
    with Image.open(place / "level_kl_over_time.png") as image:
        assert image.format == "PNG"
    for said in ("level_kl of dlh on moving_digits, trained for 2 steps: 2 clips of 6 frames",
                 *answer["sentences"], str(place), "findings.json, level_kl.csv"):  # fmt: skip
        assert said in outcome.output


def test_as_the_run_was_evaluated_unless_told(ask: Asked, runs: Path) -> None:
    assert ask(folder(runs), "analysis=level_kl", "clips=1").code == 0
    asked = found(runs)["asked"]
    assert (asked["context"], asked["length"], asked["clips"]) == (3, 6, 1)


def test_the_clips_are_the_runs_test_clips(runs: Path) -> None:
    settings = InquirySettings({"_target_": "pyrovp.analysis.LevelKL"}, clips=2, device="cpu")
    inquiry = Inquiry(settings, "level_kl", folder(runs))
    metrics = json.loads((folder(runs) / "metrics.json").read_text())
    assert inquiry.videos.fingerprint() == metrics["test_set"]


def test_what_is_answered_is_not_asked_again(
    ask: Asked, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = []
    once = LevelKL.__call__

    def counted(self: LevelKL, *arguments: Any) -> Any:
        times.append(self.unit)
        return once(self, *arguments)

    monkeypatch.setattr(LevelKL, "__call__", counted)
    command = (folder(runs), "analysis=level_kl", *FEW)
    first, again = ask(*command), ask(*command)
    assert times == ["nats"]
    assert "was asked before" in again.output and "force=true" in again.output
    assert all(sentence in again.output for sentence in found(runs)["sentences"])
    answer = found(runs)
    forced = ask(*command, "force=true")
    assert times == ["nats"] * 2 and forced.output == first.output
    assert found(runs) == answer, "the same noise"
    assert ask(*command, "analysis.unit=bits").code == 0 and times[2:] == ["bits"]
    assert ask(*command, "seed=1").code == 0 and times[3:] == ["nats"]
    assert found(runs)["facts"] != answer["facts"]
    (folder(runs) / "analyses/level_kl/level_kl_over_time.png").unlink()
    assert ask(*command, "seed=1").code == 0 and len(times) == 5, "a picture was missing"


def test_other_weights_are_asked_anew(ask: Asked, runs: Path) -> None:
    command = (folder(runs), "analysis=level_kl", *FEW)
    ask(*command)
    last = found(runs)
    (folder(runs) / "checkpoint/step_00000002.pt").unlink()
    outcome = ask(*command)
    assert "trained for 1 step" in outcome.output
    assert found(runs)["asked"]["step"] == 1 and found(runs)["facts"] != last["facts"]
    outcome = ask(*command, "weights=best")
    assert outcome.code == 0 and found(runs)["asked"]["weights"] == "best"


def test_an_answer_replaces_the_one_before(ask: Asked, runs: Path) -> None:
    place = folder(runs) / "analyses" / "level_samples"
    ask(folder(runs), "analysis=level_samples", *FEW, "analysis.count=2")
    before = {path.name for path in place.iterdir()}
    (place / "mine.png").touch()
    ask(folder(runs), "analysis=level_samples", *FEW, "analysis.count=2", "analysis.level=1")
    after = {path.name for path in place.iterdir()}
    assert {"level_1.png", "level_2.png"} <= before
    assert "level_1.png" in after and "level_2.png" not in after, "only what was asked for"
    assert "mine.png" in after, "what is not ours stays"


def test_all_runs_of_a_folder_and_several_questions(ask: Asked, runs: Path) -> None:
    outcome = ask(runs, "-m", "+analysis=level_kl,channel_kl", *FEW)
    assert outcome.code == 0, outcome.errors
    for model in ("dlh", "rssm"):
        for analysis in ("level_kl", "channel_kl"):
            assert found(runs, analysis, model)["model"] == model


def test_a_run_that_cannot_answer_does_not_stop_the_others(ask: Asked, runs: Path) -> None:
    outcome = ask(folder(runs, "rssm"), folder(runs), "analysis=gate_raster", *FEW)
    assert outcome.code == 2 and "no level of this model has a gate" in outcome.errors
    assert "Traceback" not in outcome.errors
    assert found(runs, "gate_raster")["facts"]["gates"]
    assert not (folder(runs, "rssm") / "analyses").exists()


def test_a_question_that_makes_no_sense_does_not_stop_the_others(ask: Asked, runs: Path) -> None:
    outcome = ask(folder(runs, "rssm"), "-m", "analysis=gate_raster,what_if,level_kl", *FEW)
    assert outcome.code == 2 and outcome.errors.count("error: ") == 2
    assert "Traceback" not in outcome.errors
    assert found(runs, "level_kl", "rssm")["model"] == "rssm"
    assert ask(folder(runs, "rssm"), "analysis=level_kl", *FEW).code == 0, "nothing is left over"


OWN = """
from dataclasses import dataclass

from pyrovp.analysis import Analysis, Findings, Table


@dataclass(frozen=True)
class Brightness(Analysis):
    times: float = 1.0

    def __call__(self, model, guide, clips):
        mean = clips.video.mean().item() * self.times
        table = Table("Brightness", ["what", "mean"], [["clips", mean]])
        facts = {"mean": mean, "context": clips.context, "states": sorted(clips.states)}
        return Findings(facts, {"brightness": table}, [f"{clips.source}: {mean}"])


class NoAnalysis:
    pass


class Wrong(Analysis):
    def __call__(self, model, guide, clips):
        return Findings({"video": clips.video})
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of configurations with analyses of a user's own."""
    (tmp_path / "own_analyses.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(tmp_path))
    conf = tmp_path / "own conf, a=b" / "analysis"
    conf.mkdir(parents=True)
    for name in ("Brightness", "NoAnalysis", "Wrong"):
        (conf / f"{name.lower()}.yaml").write_text(f"_target_: own_analyses.{name}\n")
    return conf.parent


def test_an_analysis_of_ones_own(ask: Asked, runs: Path, own: Path) -> None:
    outcome = ask(folder(runs), f"--config-dir={own}", "analysis=brightness", *FEW,
                  "+analysis.times=2")  # fmt: skip
    assert outcome.code == 0, outcome.errors
    answer = found(runs, "brightness")
    assert 0 < answer["facts"]["mean"] < 1 and answer["facts"]["context"] == 3
    assert "bounce" in answer["facts"]["states"] and "UCI" in answer["sentences"][0]
    assert (folder(runs) / "analyses/brightness/brightness.csv").exists()
    for wrong in ("clisp=3", "analysis.time=2"):
        outcome = ask(folder(runs), "--config-dir", own, "analysis=brightness", wrong)
        assert outcome.code == 2 and "there is no setting" in outcome.errors, outcome.errors
        assert "Traceback" not in outcome.errors
    missing = ask(folder(runs), f"--config-dir={own}", "analysis=noanalysis", *FEW)
    assert missing.code == 2 and "makes a NoAnalysis" in missing.errors
    tensors = ask(folder(runs), f"--config-dir={own}", "analysis=wrong", *FEW)
    assert tensors.code == 2 and ".item() or .tolist()" in tensors.errors
    assert not (folder(runs) / "analyses/wrong/findings.json").exists()


REFUSED = {
    "no question": ((), ("no analysis given", "channel_kl, ", "level_kl, ")),
    "misspelt question": (("analysis=level_kd",), ("no analysis 'level_kd'", "level_kl?")),
    "misspelt setting": (("analysis=level_kl", "clisp=3"), ("clisp", "did you mean clips?")),
    "misspelt setting of the question": (
        ("analysis=level_kl", "analysis.units=bits"), ("analysis.units", "analysis.unit?"),
    ),
    "unknown argument": (
        ("analysis=level_kl", "+analysis.level=2"), ("analysis.level is no argument", "unit"),
    ),
    "a value the question refuses": (
        ("analysis=level_kl", "analysis.unit=hartleys"), ("nats or bits", "hartleys"),
    ),
    "no clips": (("analysis=level_kl", "clips=0"), ("clips", "at least 1", "got 0")),
    "no number": (("analysis=level_kl", "length=long"), ("length=long", "Integer")),
    "all is context": (
        ("analysis=level_kl", "context=6", "length=6"), ("context=6", "length=6", "smaller"),
    ),
    "misspelt weights": (("analysis=level_kl", "weights=lst"), ("last or best", "lst")),
    "no such device": (("analysis=level_kl", "device=gpu"), ("device=gpu", "cpu, cuda")),
    "no such level": (("analysis=level_samples", "analysis.level=5"), ("level 5", "1 to 2")),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_refused(ask: Asked, runs: Path, case: str) -> None:
    arguments, expected = REFUSED[case]
    outcome = ask(folder(runs), *arguments)
    assert outcome.code == 2, outcome.output
    for text in expected:
        assert text in outcome.errors
    assert "Traceback" not in outcome.errors
    assert not (folder(runs) / "analyses").exists()


def test_no_run_is_refused(ask: Asked, runs: Path, tmp_path: Path) -> None:
    none = ask("analysis=level_kl")
    assert none.code == 2 and "no run given" in none.errors and "runs/NAME/seed0" in none.errors
    missing = ask(tmp_path / "nothing", "analysis=level_kl")
    assert missing.code == 2 and "is not there" in missing.errors
    shutil.rmtree(folder(runs) / "checkpoint")
    untrained = ask(folder(runs), "analysis=level_kl")
    assert untrained.code == 2 and "it has none yet" in untrained.errors


def test_a_folder_that_cannot_be_written(ask: Asked, runs: Path) -> None:
    (folder(runs) / "analyses").write_text("")
    outcome = ask(folder(runs), "analysis=level_kl", *FEW)
    assert outcome.code == 2 and "cannot write to" in outcome.errors
    assert "move it away, or copy the run to another folder" in outcome.errors


def test_help(ask: Asked) -> None:
    outcome = ask("--help")
    assert outcome.code == 0
    for said in ("analyse.py RUN", "analysis=NAME", "level_kl", "gate_raster", "force=false"):
        assert said in outcome.output
