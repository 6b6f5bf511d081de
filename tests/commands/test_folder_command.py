"""Commands about runs: which arguments are folders, and which runs they stand for."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import hydra
import pytest
from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig

from pyrovp.commands.folder_command import FolderCommand, folder_command, found_runs, parted
from pyrovp.errors import RunError


@dataclass
class PaintSettings:
    """How a run is painted.

    Args:
        coats: Layers of paint.
    """

    coats: int = 1


def run_folder(path: Path) -> Path:
    path.mkdir(parents=True)
    (path / "config.yaml").touch()
    return path


@pytest.mark.parametrize(
    ("arguments", "flags", "folders", "settings"),
    [
        (["runs/a", "seed=1", "runs/b"], [], ["runs/a", "runs/b"], ["seed=1"]),
        (["--cfg", "job", "runs/a"], ["--cfg", "job"], ["runs/a"], []),
        (["runs/a", "--config-dir", "mine"], ["--config-dir", "mine"], ["runs/a"], []),
        (["--config-dir=mine", "-m", "a", "seed=1,2"], ["--config-dir=mine", "-m"], ["a"],
         ["seed=1,2"]),
        (["-cd", "mine", "+new.key=2", "~old"], ["-cd", "mine"], [], ["+new.key=2", "~old"]),
        (["horizon"], [], ["horizon"], []),
    ],
)  # fmt: skip
def test_parted(
    arguments: list[str], flags: list[str], folders: list[str], settings: list[str]
) -> None:
    assert parted(arguments) == (flags, folders, settings)


def test_a_folder_with_an_equals_sign_is_a_folder(tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "b=2")
    assert parted([str(folder)]) == ([], [str(folder)], [])


def test_a_folder_stands_for_the_runs_in_it(tmp_path: Path) -> None:
    runs = [run_folder(tmp_path / f"{name}/seed{n}") for name in ("a", "b") for n in (0, 1)]
    run_folder(tmp_path / "a/seed0/evaluations")  # inside of a run nothing is looked for
    assert found_runs([runs[0]]) == runs[:1]
    assert found_runs([tmp_path / "a"]) == runs[:2]
    assert found_runs([tmp_path]) == runs
    assert found_runs([runs[3], tmp_path / "b", str(runs[0])]) == [runs[3], runs[2], runs[0]]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: path, "is not there; give folders of runs"),
        (lambda path: path.touch() or path, "is no folder"),
        (lambda path: path.mkdir() or path, "holds no run: there is no config.yaml"),
    ],
)
def test_what_holds_no_run(tmp_path: Path, make: Callable[[Path], Path], message: str) -> None:
    with pytest.raises(RunError, match=message):
        found_runs([make(tmp_path / "x")])


@pytest.fixture
def call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, list[DictConfig], str, str]]:
    """A command of a group, a setting and runs; what its jobs were given, and what it said."""
    conf = tmp_path / "conf"
    (conf / "colour").mkdir(parents=True)
    hidden = "".join(f"  - override hydra/{kind}_logging: none\n" for kind in ("hydra", "job"))
    (conf / "paint.yaml").write_text(
        f"defaults:\n  - paint_schema\n  - _self_\n  - colour: red\n{hidden}"
        f"hydra: {{output_subdir: null, run: {{dir: .}}, sweep: {{dir: {tmp_path}, subdir: .}}}}\n"
    )
    for name in ("red", "blue"):
        (conf / "colour" / f"{name}.yaml").write_text(f"# As {name} as can be.\nname: {name}\n")
    ConfigStore.instance().store("paint_schema", {"runs": [], "coats": 1, "colour": {"name": ""}})

    def run(*arguments: str, most: int | None = None) -> tuple[int, list[DictConfig], str, str]:
        jobs: list[DictConfig] = []

        @hydra.main(version_base="1.3", config_path=str(conf), config_name="paint")
        def job(config: DictConfig) -> None:
            jobs.append(config)

        command = FolderCommand(
            "paint",
            conf,
            PaintSettings,
            example="colour=blue",
            keys=("coats",),
            groups=("colour",),
            needed=("colour",),
            most=most,
        )
        monkeypatch.setattr(sys, "argv", ["paint.py", *arguments])
        monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
        code = 0
        try:
            folder_command(job, command)
        except SystemExit as error:
            code = int(error.code or 0)
        return code, jobs, *capsys.readouterr()

    return run


Call = Callable[..., tuple[int, list[DictConfig], str, str]]


@pytest.mark.parametrize("name", ["a", "a, b", "a's", "a b", "b=2"])
def test_folders_reach_the_job(call: Call, tmp_path: Path, name: str) -> None:
    folder = run_folder(tmp_path / name / "seed0")
    code, jobs, _, errors = call(str(folder), "+colour=blue", "coats=2")
    assert code == 0, errors
    (config,) = jobs
    assert list(config.runs) == [str(folder)]
    assert (config.colour.name, config.coats) == ("blue", 2)


def test_settings_may_come_first_and_sweep(call: Call, tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "a/seed0")
    code, jobs, _, errors = call("-m", "colour=blue,red", str(folder))
    assert code == 0, errors
    assert [job.colour.name for job in jobs] == ["blue", "red"]
    assert all(list(job.runs) == [str(folder)] for job in jobs)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["colour=blue"], ["no run given", "paint.py runs/NAME/seed0 colour=blue"]),
        (["nowhere", "colour=blue"], ["nowhere is not there"]),
        (["RUN"], ["no colour given; known: blue, red"]),
        (["RUN", "colour=blu"], ["no colour 'blu'; did you mean blue?"]),
        (["RUN", "colour=blue", "coat=2"], ["no setting coat; did you mean coats?"]),
        (["RUN", "colour=blue", "coats"], ["coats is not there", "KEY=VALUE"]),
        (["RUN", "RUN2", "colour=blue"], ["takes 1 run, but 2 were given"]),
    ],
)
def test_mistakes_are_told(
    call: Call, tmp_path: Path, arguments: list[str], expected: list[str]
) -> None:
    folders = {name: str(run_folder(tmp_path / name / "seed0")) for name in ("RUN", "RUN2")}
    code, jobs, _, errors = call(*(folders.get(a, a) for a in arguments), most=1)
    assert code == 2 and not jobs
    assert all(text in errors for text in expected), errors
    assert "Traceback" not in errors


def test_help_and_configuration_need_no_run(call: Call) -> None:
    code, jobs, said, _ = call("--help")
    assert code == 0 and not jobs
    for text in ("paint.py RUN [RUN ...] colour=NAME", "As blue as", "coats=1", "of paint."):
        assert text in said
    code, jobs, said, errors = call("--cfg", "job")
    assert code == 0 and not jobs and "coats: 1" in said, errors
