"""From a trained run and a video to its samples, by the command line; and `pyrovp.load`."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import pyrovp
from experiments import predict, run
from pyrovp.predict import OnlineFilter
from pyrovp.randomness import seed_noise
from pyrovp.runs import trained
from tests.experiments.originals import film, pictures
from tests.experiments.tiny import SIZES, TINY, Outcome

ROOT = Path(__file__).parents[2]
Command = Callable[..., Outcome]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two steps, with levels that tick at every frame and at every second."""
    out = tmp_path_factory.mktemp("predict") / "runs"
    arguments = ["+model=cwvae", "model.factor=2", *TINY, *SIZES["cwvae"], f"out={out}"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["run.py", *arguments])
        patch.setattr(run, "tune_allocator", lambda: None)
        run.main()
    (found,) = out.glob("*/seed0")
    return found


@pytest.fixture
def command(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """Runs `experiments/predict.py` on that run."""

    def call(*arguments: str, runs: tuple[Path, ...] | None = None) -> Outcome:
        given = (folder,) if runs is None else runs
        monkeypatch.setattr(sys, "argv", ["predict.py", *map(str, given), *arguments])
        monkeypatch.setattr(predict, "tune_allocator", lambda: None)
        monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
        capsys.readouterr()
        code = 0
        try:
            predict.main()
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else 1
        output, errors = capsys.readouterr()
        return Outcome(code, output, errors, folder / "predictions")

    return call


def array(path: Path, frames: int = 9) -> Path:
    np.save(path, pictures(frames, seed=1))
    return path


def gray(frames: int = 9) -> torch.Tensor:
    """The same as the model sees it, [T, 1, 16, 16]."""
    luma = pictures(frames, seed=1).astype(np.float32) @ np.array([299, 587, 114], np.float32)
    return torch.from_numpy(luma / np.float32(255_000))[:, None]


def test_a_film_is_followed_and_continued(command: Command, tmp_path: Path) -> None:
    film(tmp_path / "my film (1).mp4", frames=9)
    outcome = command(f"video={tmp_path}/my film (1).mp4", "horizon=4", "samples=2", "device=cpu")
    assert outcome.code == 0, outcome.errors
    made = outcome.out / "my film (1)"
    names = {"prediction.json", "samples.gif", "samples.mp4", "samples.npz"}
    assert {path.name for path in made.iterdir()} == names
    assert "after 9 frames of my film (1).mp4, 2 samples of 4 frames\n" in outcome.output
    with np.load(made / "samples.npz") as arrays:
        shapes = {name: list(arrays[name].shape) for name in arrays}
    assert shapes == {
        "given": [9, 1, 16, 16],
        "samples": [2, 4, 1, 16, 16],
        "truth": [0, 1, 16, 16],
        "changes": [2, 2, 4],
    }
    facts = json.loads((made / "prediction.json").read_text())
    assert (facts["given"], facts["step"], facts["asked"]["samples"]) == (9, 2, 2)
    with Image.open(made / "samples.gif") as picture:
        assert getattr(picture, "n_frames", 1) == 13


def test_names_with_commas_need_no_quotes(command: Command, tmp_path: Path) -> None:
    clip = array(tmp_path / "a, b=c (1).npy")
    made = tmp_path / "not there, yet"
    outcome = command(f"video={clip}", f"out={made}", "horizon=1", "samples=1")
    assert outcome.code == 0 and (made / "samples.npz").exists(), outcome.errors
    missing = command(f"video={tmp_path}/gone, x.mp4")
    assert missing.code == 2 and "there is no file or folder" in missing.errors


def test_what_is_written_is_the_filters_forecast(
    command: Command, folder: Path, tmp_path: Path
) -> None:
    """Three samples, each with its own draw of what is believed; the noise is the seed's."""
    out = tmp_path / "out"
    outcome = command(
        f"video={array(tmp_path / 'clip.npy')}", "context=5", "horizon=3", f"out={out}", "seed=4",
        "device=cpu",
    )  # fmt: skip
    assert outcome.code == 0, outcome.errors
    assert "3 samples of 3 frames, beside 3 that did follow" in outcome.output
    taken_up = pyrovp.load(folder, device="cpu")
    online, video = OnlineFilter(taken_up.model, taken_up.guide, particles=3), gray()
    seed_noise(4, 0, torch.device("cpu"))
    for frame in video[:5]:
        online.update(frame[None])
    expected = online.forecast(3).frames[:, 0]
    with np.load(out / "samples.npz") as arrays:
        assert np.array_equal(arrays["given"], video[:5])
        assert np.array_equal(arrays["truth"], video[5:8])
        np.testing.assert_array_equal(arrays["samples"], expected)
    assert not torch.equal(expected[0], expected[1])


def test_a_video_that_ends_early_is_shown_as_far_as_it_goes(
    command: Command, tmp_path: Path
) -> None:
    outcome = command(f"video={array(tmp_path / 'early.npy')}", "context=7", "horizon=5")
    assert "beside 2 that did follow" in outcome.output
    with np.load(outcome.out / "early" / "samples.npz") as arrays:
        assert arrays["truth"].shape[0] == 2 and arrays["samples"].shape[:2] == (3, 5)


def test_two_videos_of_one_name_have_two_folders(command: Command, tmp_path: Path) -> None:
    for place in ("a", "b"):
        (tmp_path / place).mkdir()
        array(tmp_path / place / "twin.npy", frames=7 if place == "a" else 8)
    for place in ("a", "b", "b", "a"):
        outcome = command(f"video={tmp_path}/{place}/twin.npy", "samples=1", "horizon=1")
        assert outcome.code == 0, outcome.errors
    found = sorted(outcome.out.glob("twin*"))
    facts = [json.loads((folder / "prediction.json").read_text()) for folder in found]
    assert [one["given"] for one in facts] == [7, 8]
    assert found[0].name == "twin" and re.fullmatch(r"twin-[0-9a-f]{8}", found[1].name)


def test_a_folder_of_images_and_one_of_several(command: Command, tmp_path: Path) -> None:
    (tmp_path / "frames").mkdir()
    for t, picture in enumerate(pictures(4, seed=3)):
        Image.fromarray(picture).save(tmp_path / "frames" / f"{t}.png")
    assert "after 4 frames of frames" in command(f"video={tmp_path}/frames", "samples=1").output
    np.save(tmp_path / "many.npy", np.stack([pictures(6, seed=s) for s in range(3)]))
    assert command(f"video={tmp_path}/many.npy", "number=2", "samples=1").code == 0
    assert (command("video=x").out / "many-2" / "samples.gif").exists()


def test_many_samples_are_drawn_in_rounds(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pyrovp.runs.prediction.PARTICLES", 2)
    outcome = command(f"video={array(tmp_path / 'rounds.npy')}", "samples=5", "horizon=2")
    with np.load(outcome.out / "rounds" / "samples.npz") as arrays:
        assert len(np.unique(arrays["samples"].reshape(5, -1), axis=0)) == 5


def test_without_an_encoder_the_rest_is_written(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    outcome = command(f"video={array(tmp_path / 'clip.npy')}", f"out={tmp_path}/out", "horizon=1")
    assert outcome.code == 0 and "no samples.mp4: writing MP4 files needs" in outcome.output
    files = {path.name for path in (tmp_path / "out").iterdir()}
    assert files == {"prediction.json", "samples.gif", "samples.npz"}


BAD: dict[str, tuple[list[str], list[str]]] = {
    "no video": ([], ["no video given", "video=my.mp4"]),
    "no such video": (["video=/no/such.mp4"], ["no file or folder /no/such.mp4"]),
    "no video in it": (["video={tmp}/empty.mp4"], ["empty.mp4", "found an empty file"]),
    "too short": (["video={clip}", "context=12"], ["has 9 frames", "context=9 or fewer"]),
    "no context": (["video={clip}", "context=0"], ["context must be", "at least 1, got 0"]),
    "no horizon": (["video={clip}", "horizon=-1"], ["horizon must be", "got -1"]),
    "misspelt crop": (["video={clip}", "crop=center"], ["crop", "centre"]),
    "misspelt key": (["video={clip}", "sample=3"], ["no setting sample;", "samples"]),
    "one video": (["video={clip}", "number=1"], ["holds 1 video", "number=0"]),
    "a place that is a file": (["video={clip}", "out={clip}"], ["cannot write to", "out="]),
}


@pytest.mark.parametrize("case", BAD)
def test_refused(command: Command, case: str, tmp_path: Path) -> None:
    arguments, expected = BAD[case]
    clip = array(tmp_path / "clip.npy")
    (tmp_path / "empty.mp4").touch()
    outcome = command(*(a.format(clip=clip, tmp=tmp_path) for a in arguments))
    assert outcome.code == 2, outcome.output
    for text in expected:
        assert text in outcome.errors
    assert "Traceback" not in outcome.errors


def test_one_run_at_a_time(command: Command, folder: Path, tmp_path: Path) -> None:
    assert "no run given" in command("video=x", runs=()).errors
    assert "is not there" in command("video=x", runs=(tmp_path / "none",)).errors
    other = folder.with_name("seed1")
    other.symlink_to(folder)
    assert "takes 1 run, but 2 were given" in command("video=x", runs=(folder, other)).errors
    other.unlink()


def test_help_and_the_configuration(command: Command) -> None:
    said = command("--help", runs=()).output
    assert "experiments/predict.py RUN [KEY=VALUE ...]" in said and "samples=3" in said
    assert "horizon: null" in command("--cfg", "job", runs=()).output


# pyrovp.load


def test_importing_pyrovp_stays_light() -> None:
    """What trains is imported by whoever asks for `load`, and not before."""
    code = (
        "import sys, pyrovp; heavy = {'hydra', 'omegaconf', 'pyrovp.train'}; "
        "assert not heavy & set(sys.modules); from pyrovp import load; "
        "assert 'pyrovp.train' in sys.modules and load is pyrovp.load"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_load_is_a_name_like_the_others() -> None:
    assert pyrovp.load is trained.load and "load" in pyrovp.__all__
    with pytest.raises(AttributeError, match="module 'pyrovp' has no attribute 'laod'"):
        pyrovp.laod  # noqa: B018


def test_the_documentation_runs_as_printed(folder: Path) -> None:
    text = (ROOT / "docs" / "predicting.md").read_text()
    block, *_ = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (name,) = re.findall(r"runs/[\w/-]+", block)
    scope: dict[str, Any] = {}
    exec(block.replace(name, str(folder)), scope)
    assert scope["future"].frames.shape == (10, 1, 100, 1, 16, 16)
    assert scope["slow"].shape[:2] == (10, 1)
