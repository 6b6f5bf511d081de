"""The command of the README, run in this process on something tiny."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from experiments import run
from pyrovp.train import experiment

__all__ = ["Outcome", "command"]

TINY = (
    "data.length=6", "data.resolution=16", "train.steps=2", "train.batch=2", "train.log_every=1",
    "train.validate_every=1", "train.checkpoint_every=1", "train.validate_sequences=2",
    "evaluate.context=3", "evaluate.horizon=3", "evaluate.sequences=2", "device=cpu",
)  # fmt: skip
"""Two steps on 16x16 frames."""

SIZES = {
    "cwvae": ("model.memory=8", "model.hidden=8", "model.state=3", "guide.lift=[8]"),
    "dlh": ("model.memory=8", "model.context=8", "model.state=3", "model.hidden=[8]"),
}
for name in ("tald", "notmpabs", "rssm"):
    SIZES[name] = SIZES["cwvae"]


@dataclass
class Outcome:
    """What a command left behind."""

    code: int
    output: str
    errors: str
    out: Path

    @property
    def folder(self) -> Path:
        """The only run directory."""
        (folder,) = self.out.glob("*/seed*")
        return folder


@pytest.fixture
def command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., Outcome]:
    """Runs `experiments/run.py` with these arguments and a tiny budget."""

    def call(
        *arguments: str, tiny: bool = True, out: Path | None = None, pictures: bool = False
    ) -> Outcome:
        if not pictures:  # drawing takes longer than all the rest
            for name in ("predictions_png", "predictions_gif", "curves_png", "levels_png"):
                monkeypatch.setattr(experiment, name, lambda path, *_, **__: path.touch())
            monkeypatch.setattr(experiment, "training_png", lambda path, *_: path.touch())
        folder = tmp_path / "runs" if out is None else out
        chosen = {a.lstrip("+").split("=")[0]: a.split("=")[1] for a in arguments if "=" in a}
        given = {a.split("=")[0] for a in arguments}
        small = [*TINY, *SIZES.get(chosen.get("model", ""), ())] if tiny else []
        small = [a for a in small if a.split("=")[0] not in given]
        monkeypatch.setattr(sys, "argv", ["run.py", *arguments, *small, f"out={folder}"])
        monkeypatch.setattr(run, "tune_allocator", lambda: None)  # this process is not run.py's
        monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
        capsys.readouterr()
        code = 0
        try:
            run.main()
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else 1
        output, errors = capsys.readouterr()
        return Outcome(code, output, errors, folder)

    return call
