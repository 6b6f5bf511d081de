"""The command of the README, run in this process on something tiny."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from experiments import run
from tests.experiments.tiny import SIZES, TINY, Outcome, draw_nothing

__all__ = ["command"]


@pytest.fixture
def command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., Outcome]:
    """Runs `experiments/run.py` with these arguments and a tiny budget."""

    def call(
        *arguments: str, tiny: bool = True, out: Path | None = None, pictures: bool = False
    ) -> Outcome:
        if not pictures:
            draw_nothing(monkeypatch)
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
