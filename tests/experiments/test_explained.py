"""Slips in one's own files and in keys are answered with key, line and nearest name."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from experiments import run
from tests.experiments.tiny import Outcome

Command = Callable[..., Outcome]
COMPOSED = (run.CONF / "model" / "composed.yaml").read_text()


def of_ones_own(text: str, folder: Path) -> tuple[str, str]:
    """Arguments that choose a file of this text."""
    (folder / "model").mkdir(parents=True)
    (folder / "model" / "mine.yaml").write_text(text)
    return f"--config-dir={folder}", "+model=mine"


@pytest.mark.parametrize(
    "text, said",
    [
        (COMPOSED + "optimizer: {lr: 0.1}\n", "no setting optimizer; did you mean optimiser?"),
        (COMPOSED.partition("\n")[2], "has no guide: does the file model/mine.yaml begin with"),
        (COMPOSED.partition("guide:")[0], "has no guide: "),
        (COMPOSED.replace("GRU, size: 128}", "GRU size: 128", 1), "mine.yaml, line 11, column 43"),
        (COMPOSED.replace("${channels}", "${chanels}"), "encoder.channels: there is no setting"),
    ],
    ids=["key", "package", "guide", "yaml", "interpolation"],
)
def test_a_slip_in_a_file(command: Command, tmp_path: Path, text: str, said: str) -> None:
    outcome = command(*of_ones_own(text, tmp_path / "conf"), tiny=False)
    assert outcome.code == 2 and said in outcome.errors, outcome.errors
    assert "Traceback" not in outcome.errors and not outcome.out.exists()


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["+model=mine"], "--config-dir=FOLDER, with FOLDER/model/mine.yaml (not given)"),
        (["--config-dir=nowhere", "+model=mine"], "there is no folder nowhere (--config-dir)"),
        (["+model=dlh", "+train.stepps=3"], "no setting train.stepps; did you mean steps?"),
        (["+model=dlh", "length=5"], "no setting length; did you mean data.length?"),
        (["+model=composed", "guide.features=8"], "not set in any file yet: write +guide.feat"),
        (["+model=composed", "model.hierarchy.levels[7].clock.period=3"], "levels has 3 parts"),
    ],
)
def test_a_slip_in_the_command(command: Command, arguments: list[str], said: str) -> None:
    outcome = command(*arguments, tiny=False)
    assert outcome.code == 2 and said in outcome.errors, outcome.errors


def test_nothing_at_all(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["run.py"])
    with pytest.raises(SystemExit):
        run.main()
    assert "no model given; known: composed, cwvae" in capsys.readouterr().err
