"""A finished run, taken up again."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from pyrovp.errors import RunError
from pyrovp.predict import open_loop
from pyrovp.runs.trained import load
from tests.experiments.conftest import command
from tests.experiments.tiny import Outcome

__all__ = ["command"]


@pytest.fixture
def folder(command: Callable[..., Outcome]) -> Path:
    """A run of two steps."""
    return command("+model=cwvae", "train.steps=2").folder


def test_a_run_is_loaded_with_its_weights_and_predicts(folder: Path) -> None:
    run = load(folder, device="cpu")
    assert (run.name, run.data, run.step) == ("cwvae", "moving_digits", 2)
    assert not run.model.training and not run.guide.training
    stored = torch.load(folder / "checkpoint/step_00000002.pt", weights_only=True)["objective"]
    for name, value in run.model.state_dict().items():
        assert torch.equal(value, stored[f"model.{name}"])
    video = run.videos("test", length=5)[0]["video"][None]
    rollout = open_loop(run.model, run.guide, video, horizon=3)
    assert rollout.prediction.shape == (1, 3, 1, 16, 16)


def test_loading_draws_nothing(folder: Path) -> None:
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    load(folder, device="cpu")
    assert torch.equal(torch.rand(3), expected)


def test_the_only_seed_is_found(folder: Path) -> None:
    assert load(folder.parent, device="cpu").path == folder
    shutil.copytree(folder, folder.with_name("seed1"))
    with pytest.raises(RunError, match="holds the runs of 2 seeds; give one of"):
        load(folder.parent)


def test_names_go_along_with_a_folder_that_is_moved(folder: Path, tmp_path: Path) -> None:
    moved = Path(shutil.copytree(folder, tmp_path / "my-old-runs" / "best one"))
    assert (load(moved, device="cpu").name, load(moved, device="cpu").data) == (
        "cwvae", "moving_digits",
    )  # fmt: skip
    (moved / "metrics.json").write_text("{")
    assert load(moved, device="cpu").name == "best one"  # not the "my" of "my-old-runs"
    (folder / "metrics.json").unlink()  # as while it is training
    assert load(folder, device="cpu").data == "moving_digits"


def test_the_training_clips_are_those_of_the_run(folder: Path) -> None:
    run = load(folder, device="cpu")
    train = run.videos("train")
    assert train.seed == run.settings.seed and train.split == "train"


def test_the_best_weights(folder: Path) -> None:
    best = torch.load(folder / "checkpoint/best.pt", weights_only=True)
    run = load(folder, weights="best", device="cpu")
    assert run.step == best["step"]
    name, value = next(iter(run.model.state_dict().items()))
    assert torch.equal(value, best["objective"][f"model.{name}"])


def test_a_damaged_checkpoint_is_passed_over_and_left_alone(
    command: Callable[..., Outcome], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = command("+model=cwvae", "train.steps=3").folder
    newest = folder / "checkpoint/step_00000003.pt"
    newest.write_bytes(newest.read_bytes()[:1000])
    assert load(folder, device="cpu").step == 2
    assert "step_00000003.pt is damaged" in capsys.readouterr().out
    assert newest.exists()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: shutil.rmtree(f), "there is no folder"),
        (lambda f: (f / "config.yaml").unlink(), "holds no run"),
        (
            lambda f: (f / "config.yaml").write_text("model: 3\nnew: 1"),
            "does not fit this version",
        ),
        (lambda f: (f / "config.yaml").write_text("a: [1,\nb: }"), r"yaml is damaged \(while"),
        (lambda f: (f / "config.yaml").write_bytes(b"\xff\xfe\x80"), r"yaml is damaged \('utf-8"),
        (lambda f: shutil.rmtree(f / "checkpoint"), "it has none yet"),
    ],
)
def test_what_is_no_run_is_refused(
    folder: Path, spoil: Callable[[Path], None], message: str
) -> None:
    spoil(folder)
    with pytest.raises(RunError, match=message):
        load(folder)


def test_unknown_weights(folder: Path) -> None:
    with pytest.raises(ValueError, match="weights are 'last' or 'best'"):
        load(folder, weights="newest")  # type: ignore[arg-type]


def test_the_weights_that_the_run_was_evaluated_with(command: Callable[..., Outcome]) -> None:
    """The best ones, also where no last checkpoint can be read."""
    folder = command("+model=cwvae", "evaluate.checkpoint=best").folder
    for path in (folder / "checkpoint").glob("step_*.pt"):
        path.unlink()
    best = torch.load(folder / "checkpoint/best.pt", weights_only=True)["step"]
    assert load(folder, weights=None, device="cpu").step == best
    with pytest.raises(RunError, match="it has none yet"):
        load(folder, device="cpu")
