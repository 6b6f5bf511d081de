"""A user's package beside ours: its README's commands, typed as they stand, on something tiny."""

import json
import re
import sys
from collections.abc import Callable, Iterator
from glob import glob
from importlib import import_module
from pathlib import Path
from shlex import split

import pytest
import torch

from experiments import analyse, evaluate
from pyrovp.runs import evaluation_files
from tests.experiments.tiny import Outcome

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "own_package"
TEXT = (FOLDER / "README.md").read_text()
COMMANDS = re.findall(r"^python experiments/(\w+)\.py (.*)$", TEXT, re.MULTILINE)
MISTAKES = re.findall(r"^error: (.*)$", TEXT, re.MULTILINE)
RULE = "model.hierarchy.levels[1].gate.rule"


@pytest.fixture(autouse=True)
def found(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Python finds the package, and no later test does."""
    monkeypatch.syspath_prepend(FOLDER)
    yield
    for name in [name for name in sys.modules if name.split(".")[0] == "lamps"]:
        del sys.modules[name]


def typed(line: str, where: Path) -> list[str]:
    """A command's words, with folders where they are here."""
    words = split(line.replace("examples/own_package", str(FOLDER)))
    expanded = [glob(word, root_dir=where) if "*" in word else [word] for word in words]
    return [str(where / w) if w.startswith("runs/") else w for some in expanded for w in some]


def test_the_commands_of_the_readme(
    command: Callable[..., Outcome],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert [name for name, _ in COMMANDS] == ["run", "evaluate", "analyse"]
    outcome = command(*typed(COMMANDS[0][1], tmp_path), out=tmp_path / "runs")
    assert outcome.code == 0, outcome.errors
    assert "MixtureGate(Stubborn" in outcome.output and "generated: lamps" in outcome.output
    for name in ("curves_png", "strip_png", "strip_gif"):
        monkeypatch.setattr(evaluation_files, name, lambda path, *_: path.touch())
    for name, line in COMMANDS[1:]:
        script = {"evaluate": evaluate, "analyse": analyse}[name]
        monkeypatch.setattr(script, "tune_allocator", lambda: None)
        few = ["length=6", "clips=2"] if name == "analyse" else []
        words = [*typed(line, tmp_path), "device=cpu", *few]
        monkeypatch.setattr(sys, "argv", [f"{name}.py", *words])
        script.main()
        assert (
            "brightness error" if name == "evaluate" else "gate_raster.png"
        ) in capsys.readouterr().out
    (path,) = outcome.folder.glob("evaluations/*/metrics.json")
    asked = json.loads(path.read_text())["asked"]["metrics"]
    assert asked == ["psnr", "brightness", {"_target_": "lamps.Brightness"}]
    figures = json.loads(path.read_text())
    assert set(figures["labels"]) == {"psnr", "brightness"}
    black = figures["rows"]["black"]["brightness"]["per_frame"]
    assert black == [1.0, 1.0, 1.0]  # nothing where there is something


@pytest.mark.parametrize(
    ("value", "told"), [*zip(["+nat=1", "nats=-1", "nats=many"], MISTAKES, strict=True)]
)
def test_the_mistakes_of_the_readme(
    command: Callable[..., Outcome], tmp_path: Path, value: str, told: str
) -> None:
    override = f"{'+' * value.startswith('+')}{RULE}.{value.lstrip('+')}"
    outcome = command(*typed(COMMANDS[0][1], tmp_path), override)
    assert outcome.code == 2 and outcome.errors == f"error: {told}\n"


def test_the_parts(tmp_path: Path) -> None:
    lamps = import_module("lamps")  # where only this test looks
    item = lamps.Lamps("test", length=40, resolution=16, switching=0.3)[3]
    video, states = item["video"], item["states"]
    assert video.shape == (40, 1, 16, 16) and 0 <= float(video.min()) <= float(video.max()) <= 1
    moved = states["brightness"].diff() != 0
    assert torch.equal(moved, states["change"][1:]) and bool(moved.any()) and not moved.all()
    truth = torch.full((2, 3, 1, 4, 4), 0.5)
    scores = lamps.Brightness().score(0.75 * truth, truth, None)
    torch.testing.assert_close(scores, torch.full((2, 3), 0.25))
    seen, change, static = torch.tensor([[1.0, 0.5], [1.0, 0.5], [0.0, 0.5]])
    gains = [
        lamps.Stubborn(n).infer(seen, change, static, torch.zeros(()), None).mean
        for n in (1.9, 2.1)
    ]
    assert gains == [1, 0]  # KL[q ‖ static] is (1 / 0.5)² / 2 = 2
