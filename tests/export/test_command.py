"""From a run to a folder that is taken up like it: `python -m pyrovp.export`."""

import json
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import pyrovp
from experiments import run
from pyrovp.errors import DamagedCheckpoint, RunError
from pyrovp.export.__main__ import main
from pyrovp.predict import open_loop
from tests.experiments.tiny import SIZES, TINY, draw_nothing

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two steps, whose best weights are not its last ones."""
    out = tmp_path_factory.mktemp("export") / "runs"
    arguments = ["+model=dlh", *TINY, *SIZES["dlh"], f"out={out}"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "tune_allocator", lambda: None)
        draw_nothing(patch)
        patch.setattr(sys, "argv", ["run.py", *arguments])
        run.main()
    (found,) = out.glob("*/seed0")
    best = torch.load(found / "checkpoint" / "best.pt", weights_only=True)
    best["step"] = 1
    for name, value in best["objective"].items():
        if name.endswith("bias"):
            value += 0.5
    torch.save(best, found / "checkpoint" / "best.pt")
    return found


@pytest.fixture(scope="module")
def exported(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """That run, exported with a program."""
    out = tmp_path_factory.mktemp("sent") / "model"
    sizes = ["context=2", "horizon=2", "batch=3"]
    assert main([str(folder), str(out), "--program", *sizes]) == 0
    return out


@pytest.fixture
def sent(exported: Path, tmp_path: Path) -> Path:
    """A copy of it, to be spoilt."""
    return Path(shutil.copytree(exported, tmp_path / "sent"))


def test_the_folder_is_taken_up_like_the_run(folder: Path, exported: Path) -> None:
    assert {path.name for path in exported.iterdir()} == {
        "about.json", "config.yaml", "model.safetensors", "predictor.pt2",
    }  # fmt: skip
    ours, theirs = pyrovp.load(folder, device="cpu"), pyrovp.load(exported, device="cpu")
    assert (theirs.name, theirs.data, theirs.step) == ("dlh", "moving_digits", 2)
    assert theirs.path == exported and theirs.settings == ours.settings
    assert not theirs.model.training and not theirs.guide.training
    for mine, other in ((ours.model, theirs.model), (ours.guide, theirs.guide)):
        for name, value in mine.state_dict().items():
            assert torch.equal(other.state_dict()[name], value), name
    video = theirs.videos("test", length=4)[0]["video"][None]
    made = []
    for trained in (ours, theirs):
        torch.manual_seed(2)
        made.append(open_loop(trained.model, trained.guide, video, horizon=3).prediction)
    assert torch.equal(*made)


def test_what_it_is_is_written_down(folder: Path, exported: Path) -> None:
    about = json.loads((exported / "about.json").read_text())
    taken = pyrovp.load(folder, device="cpu")
    parameters = {id(p): p.numel() for m in (taken.model, taken.guide) for p in m.parameters()}
    assert about["parameters"] == sum(parameters.values())
    assert (about["pyrovp"], about["weights"]) == (pyrovp.__version__, "last")
    assert about["program"]["takes"] == [3, 2, 1, 16, 16]
    assert about["program"]["makes"] == [3, 2, 1, 16, 16]


@pytest.mark.filterwarnings("ignore:The given buffer is not writable")  # of torch 2.11
def test_the_documentation_runs_as_printed(exported: Path) -> None:
    text = (ROOT / "docs" / "predicting.md").read_text()
    (block,) = re.findall(r"```python\n(import torch\n.*?)```", text, re.DOTALL)
    block = block.replace("my_model", str(exported)).replace("4, 12, 1, 64, 64", "3, 2, 1, 16, 16")
    scope: dict[str, Any] = {}
    exec(block, scope)
    assert scope["frames"].shape == (3, 2, 1, 16, 16)


def test_the_best_weights(folder: Path, tmp_path: Path, exported: Path) -> None:
    assert main([str(folder), str(tmp_path / "best"), "--weights", "best"]) == 0
    best = torch.load(folder / "checkpoint" / "best.pt", weights_only=True)["objective"]
    # The folder has one set of weights, and that is what is taken.
    taken = (
        pyrovp.load(tmp_path / "best", device="cpu"),
        pyrovp.load(tmp_path / "best", weights="best", device="cpu"),
    )
    for trained in taken:
        assert trained.step == 1
        for name, value in trained.model.state_dict().items():
            assert torch.equal(value, best[f"model.{name}"]), name
    assert main([str(tmp_path / "best"), str(tmp_path / "again")]) == 0
    about = json.loads((tmp_path / "again" / "about.json").read_text())
    assert about["weights"] == "best"  # an export of an export is of the same weights
    with pytest.raises(RunError, match="was exported with the last weights, not with the best"):
        pyrovp.load(exported, weights="best")


def test_by_default_it_lies_in_the_run(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(folder)]) == 0
    said = capsys.readouterr().out
    assert "dlh on moving_digits after 2 steps (last weights)" in said
    assert "model.safetensors (" in said and "predictor.pt2" not in said
    assert pyrovp.load(folder / "exported", device="cpu").step == 2
    assert pyrovp.load(folder, device="cpu").path == folder


def test_an_export_is_replaced_as_a_whole(sent: Path, folder: Path) -> None:
    assert main([str(folder), str(sent)]) == 0
    assert not (sent / "predictor.pt2").exists(), "it belonged to other weights, for all we know"
    assert json.loads((sent / "about.json").read_text())["program"] is None


def _about(change: dict[str, Any]) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        path = folder / "about.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | change))

    return spoil


def _flip(folder: Path) -> None:
    path = folder / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-2] ^= 1
    path.write_bytes(bytes(content))


def _wider(folder: Path) -> None:
    path = folder / "config.yaml"
    path.write_text(path.read_text().replace("memory: 8", "memory: 9"))


@pytest.mark.parametrize(
    ("spoil", "kind", "message"),
    [
        (_flip, DamagedCheckpoint, "its sha256 is [0-9a-f]{64}, expected [0-9a-f]{64}"),
        (lambda f: (f / "model.safetensors").unlink(), DamagedCheckpoint, "sha256 is absent"),
        (lambda f: (f / "about.json").unlink(), RunError, "is half an export"),
        (lambda f: (f / "about.json").write_text("{"), RunError, "about.json cannot be read"),
        (lambda f: (f / "about.json").write_text("[]"), RunError, "has format None"),
        (_about({"format": 2}), RunError, "has format 2, this version of pyrovp reads 1"),
        (
            lambda f: (f / "about.json").write_text('{"format": 1, "model": "dlh"}'),
            RunError,
            "does not say data, parameters, pyrovp, sha256, step, weights",
        ),
        (_wider, RunError, r"\([0-9, ]+\) float32 there, \([0-9, ]+\) float32 here"),
        (lambda f: (f / "config.yaml").unlink(), RunError, "no readable config.yaml"),
    ],
)
def test_what_does_not_fit_is_refused(
    sent: Path, spoil: Callable[[Path], None], kind: type[RunError], message: str
) -> None:
    spoil(sent)
    with pytest.raises(kind, match=message):
        pyrovp.load(sent, device="cpu")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{none}"], "there is no folder"),
        (["{run}", "{run}"], "is the folder of a run; give another one"),
        (["{run}", "{out}", "--program", "frames=3"], "--program takes context=, horizon="),
        (["{run}", "{out}", "--program", "context=0"], "whole numbers of at least 1"),
        (["{run}", "{file}/out"], "cannot write to"),
        (["{run}", "{out}", "--device", "cuda:99"], "CUDA devices here"),
    ],
)
def test_mistakes_end_with_a_sentence(
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    (tmp_path / "file").touch()
    places = {"run": folder, "out": tmp_path / "out", "none": tmp_path / "none"}
    given = [text.format(file=tmp_path / "file", **places) for text in arguments]
    assert main(given) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ") and message in said
    assert not (tmp_path / "out").exists()
