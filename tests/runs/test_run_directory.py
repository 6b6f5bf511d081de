"""Names of runs, their lock, and what clearing one removes."""

import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from pyrovp.errors import RunError
from pyrovp.runs import RunDirectory, fingerprint
from pyrovp.runs.run_directory import LATER, built_from
from pyrovp.runs.settings import OptimiserSettings, Settings

CONFIG: dict[str, Any] = {
    "model": {"_target_": "m", "levels": 3},
    "train": {"steps": 100, "batch": 8, "log_every": 5, "workers": 0},
    "evaluate": {"context": 12},
    "seed": 0,
    "device": "cpu",
    "force": False,
    "out": "runs",
}
DONE: dict[str, Any] = {"steps": 5, "evaluate": {}}


def changed(section: str, key: str | None, value: object) -> dict[str, Any]:
    return CONFIG | {section: value if key is None else CONFIG[section] | {key: value}}


@pytest.mark.parametrize(
    "section, key, value, same",
    [
        ("train", "steps", 7, True),
        ("train", "log_every", 7, True),
        ("train", "workers", 7, True),
        ("evaluate", "context", 7, True),
        ("seed", None, 7, True),
        ("device", None, "cuda", True),
        ("force", None, True, True),
        ("out", None, "elsewhere", True),
        ("train", "batch", 7, False),
        ("model", "levels", 7, False),
        ("model", "steps", 7, False),
    ],
)
def test_the_name_is_what_is_learned(section: str, key: str, value: object, same: bool) -> None:
    assert (fingerprint(changed(section, key, value)) == fingerprint(CONFIG)) is same


def settings(**optimiser: Any) -> dict[str, Any]:
    nodes = {name: {"_target_": name} for name in ("model", "guide", "data", "elbo", "objective")}
    return asdict(Settings(**nodes, optimiser=OptimiserSettings(**optimiser)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "name"), [({}, "b5f4d288"), ({"lr": 1e-3, "clip": 10.0}, "12244d82")]
)
def test_options_that_came_later_leave_earlier_names(options: dict[str, Any], name: str) -> None:
    """These are the names from before Adam's moments, its decay and the warm-up were options."""
    assert fingerprint(settings(**options)) == name


@pytest.mark.parametrize(
    "option",
    [
        {"betas": [0.5, 0.9]},
        {"weight_decay": 1e-4},
        {"amsgrad": True},
        {"warmup_steps": 5},
        {"warmup_from": 1e-5},
    ],
)
def test_options_that_came_later_count_where_they_are_used(option: dict[str, Any]) -> None:
    assert fingerprint(settings(**option)) != fingerprint(settings())


def test_what_was_done_before_is_the_default() -> None:
    """Else a configuration that leaves the option out would silently get another name."""
    defaults = asdict(Settings(None, None, None, None, None))
    for key, value in LATER.items():
        section, _, name = key.rpartition(".")
        assert (defaults[section] if section else defaults)[name] == value


def test_the_path() -> None:
    directory = RunDirectory(Path("runs"), "dlh", "moving_digits", CONFIG, 3)
    assert directory.path == Path(f"runs/dlh-moving_digits-{fingerprint(CONFIG)}/seed3")
    assert len(fingerprint(CONFIG)) == 8


def test_two_processes_refuse_each_other_and_a_kill_lets_go(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path, "dlh", "moving_digits", CONFIG, 0)
    program = (
        "import sys, time; from pathlib import Path\n"
        "from pyrovp.runs.run_directory import RunDirectory\n"
        f"out, config = Path({str(tmp_path)!r}), {CONFIG!r}\n"
        "directory = RunDirectory(out, 'dlh', 'moving_digits', config, 0)\n"
        "with directory.lock():\n"
        "    print('locked', flush=True); time.sleep(60)\n"
    )
    root = Path(__file__).resolve().parents[2]
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, cwd=root
    )
    with process:
        assert process.stdout is not None and process.stdout.readline() == "locked\n"
        with pytest.raises(RunError, match="another process is working"), directory.lock():
            pass
        process.kill()
    with directory.lock():
        pass


def test_clearing_leaves_what_is_not_ours(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path, "dlh", "moving_digits", CONFIG, 0)
    with directory.lock():
        directory.checkpoints.mkdir()
        (directory.checkpoints / "step_00000001.pt").touch()
        (directory.path / "notes.txt").write_text("mine")
        directory.write_json("done.json", DONE)
        assert directory.done() == DONE
        directory.clear()
        assert directory.done() is None
        assert {path.name for path in directory.path.iterdir()} == {".lock", "notes.txt"}


def test_clearing_empties_a_checkpoint_folder_that_lies_elsewhere(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path / "runs", "dlh", "moving_digits", CONFIG, 0)
    scratch = tmp_path / "scratch"
    (scratch / "inner").mkdir(parents=True)
    (scratch / "step_00000001.pt").touch()
    with directory.lock():
        directory.checkpoints.symlink_to(scratch)
        directory.clear()
        assert directory.checkpoints.is_symlink() and list(scratch.iterdir()) == []


@pytest.mark.parametrize("text", ["", "{}", "[]", "5", '{"steps": 5}', "{cut"])
def test_a_damaged_note_of_what_is_done_says_nothing(tmp_path: Path, text: str) -> None:
    directory = RunDirectory(tmp_path, "dlh", "moving_digits", CONFIG, 0)
    with directory.lock():
        directory.write_text("done.json", text)
        assert directory.done() is None


def test_the_run_of_another_seed(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path, "dlh", "moving_digits", CONFIG, 7)
    with directory.lock():
        directory.write_json("done.json", {"seed": 0, **DONE})
        with pytest.raises(RunError, match="holds the run of seed 0; move it back to seed0"):
            directory.done()


def test_weights_are_built_from_settings_and_seed() -> None:
    ours = built_from({**CONFIG, "seed": 0, "init_from": "there"})
    assert ours == built_from({**CONFIG, "seed": 0, "init_from": "./there/"})
    assert ours != built_from({**CONFIG, "seed": 1, "init_from": "there"})


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    directory = RunDirectory(tmp_path / "file", "dlh", "moving_digits", CONFIG, 0)
    with pytest.raises(RunError, match="cannot write .* choose another folder"), directory.lock():
        pass
