"""The papers' studies: which runs each of them starts, and one of them from end to end."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from experiments import run
from pyrovp.compare import Comparison, ComparisonSettings
from pyrovp.runs.run_directory import RunDirectory, fingerprint
from pyrovp.runs.settings import Settings
from tests.experiments.tiny import SIZES, Outcome

ROOT = Path(__file__).resolve().parents[2]
CONF = ROOT / "experiments" / "conf"
STUDIES = sorted(path.stem for path in (CONF / "study").glob("*.yaml"))
SIX = ("cwvae", "vta", "rssm", "svg_lp", "notmpabs", "dlh")

# What a study goes through: at both sizes, or (small, paper).
JOBS: dict[str, list[str] | tuple[list[str], list[str]]] = {
    "cwvae_factor": [f"model.factor={n}" for n in (2, 4, 6, 8)],
    "cwvae_levels": (
        [f"model={{levels:{n}}}" for n in (1, 2, 3, 4)],
        [*(f"model={{levels:{n}}}" for n in (1, 2, 3)), "model={levels:4,factor:4}"],
    ),
    "cwvae_speed": [f"data.speed_factor={v}" for v in (0.03, 0.1, 0.3, 1.0, 3.0)],
    "dlh_lambda": [f"data.change_probability={v}" for v in (0.0, 0.1, 0.3)],
    "dlh_levels": [f"model.levels={n}" for n in (2, 3, 4, 5)],
    "hvrnn_levels": (
        [f"model.latents={text}" for text in ("[1]", "[1,4]", "[1,4,16]", "[1,4,8,16]")],
        [f"model.latents={text}" for text in ("[1]", "[1,8]", "[1,8,32]", "[1,8,16,32]")],
    ),
    "hvrnn_likelihood": (
        [f"model={{cells:{c}}}" for c in ("[1]", "[1,4,8]", "null", "null,width:16")],
        [f"model={{cells:{c}}}" for c in ("[1]", "[1,4,8]", "null", "null,width:96")],
    ),
    "hvrnn_training": [
        f"objective.beta.start={start} model.dense={dense}"
        for start in (1.0, 0.0)
        for dense in (False, True)
    ],
    "systems": (
        [f"model={name} seed={seed}" for name in (*SIX, "hvrnn", "vrnn") for seed in (0, 1, 2)],
        [f"model={name} seed={seed}" for name in SIX for seed in (0, 1, 2)],
    ),
}


@pytest.fixture(scope="module")
def composed() -> Callable[..., tuple[DictConfig, list[list[str]], list[DictConfig]]]:
    """A study's configuration, its jobs' overrides, and the configurations of seed 0."""

    def call(*arguments: str) -> tuple[DictConfig, list[list[str]], list[DictConfig]]:
        GlobalHydra.instance().clear()
        plain = [argument for argument in arguments if "," not in argument]
        with initialize_config_dir(str(CONF), version_base="1.3"):
            study = compose("config", plain, return_hydra_config=True)
            swept = [f"{key}={value}" for key, value in study.hydra.sweeper.params.items()]
            overrides = OverridesParser.create().parse_overrides([*swept, *arguments])
            (jobs,) = BasicSweeper.split_arguments(overrides, None)
            # Seeds differ in nothing else, and composing takes a tenth of a second.
            first = [job for job in jobs if not {"seed=1", "seed=2"} & set(job)]
            return study, jobs, [compose("config", job) for job in first]

    return call


Composed = Callable[..., tuple[DictConfig, list[list[str]], list[DictConfig]]]


def test_every_study_is_listed() -> None:
    """In this file, and with its command in the documentation."""
    text = (ROOT / "docs" / "studies.md").read_text()
    assert list(JOBS) == STUDIES
    assert sorted(re.findall(r"^\| `\+study=(\w+)` \|", text, re.MULTILINE)) == STUDIES


@pytest.mark.parametrize("size", ["small", "paper"])
@pytest.mark.parametrize("name", STUDIES)
def test_the_right_runs(composed: Composed, name: str, size: str) -> None:
    study, jobs, configs = composed(f"study={name}", f"size={size}")
    expected = JOBS[name]
    wanted = expected[size == "paper"] if isinstance(expected, tuple) else expected
    assert [" ".join(job[:-2]) for job in jobs] == wanted
    assert study.hydra.mode.name == "MULTIRUN"
    runs = set()
    for config in configs:
        values: Any = OmegaConf.to_container(config, resolve=True)
        runs.add(fingerprint(values))
        built = config.model._target_.rpartition(".")[2]
        family = name.partition("_")[0]
        assert built in {"systems": (*SIX, "hvrnn", "vrnn"), "hvrnn": ("hvrnn", "vrnn")}.get(
            family, (family,)
        )
    assert len(runs) == len(configs)  # each has a folder of its own


def test_one_protocol_for_all_systems(composed: Composed) -> None:
    for size, protocol in {
        "small": (12, 12, 1, "svg", True), "paper": (36, 1000, 1, "svg", False),
    }.items():  # fmt: skip
        _, _, configs = composed("study=systems", f"size={size}")
        found = {
            (e.context, e.horizon, e.samples, e.ssim, e.clip, e.sequences)
            for e in (config.evaluate for config in configs)
        }
        assert found == {(*protocol, {"small": 64, "paper": 100}[size])}


def test_data_and_factors_of_the_papers(composed: Composed) -> None:
    for name in ("dlh_lambda", "dlh_levels"):
        _, _, configs = composed(f"study={name}")
        assert {config.data._target_ for config in configs} == {"pyrovp.data.MovingBall"}
    _, _, configs = composed("study=cwvae_levels", "size=paper")
    assert [config.model.factor for config in configs] == [6, 6, 6, 4]
    _, _, configs = composed("study=cwvae_factor")
    assert all(config.evaluate.context % config.model.factor == 0 for config in configs)


def test_the_command_line_comes_last(composed: Composed) -> None:
    _, jobs, (config,) = composed("study=cwvae_speed", "data.speed_factor=2.5", "seed=0,1")
    assert len(jobs) == 2 and config.data.speed_factor == 2.5
    _, _, configs = composed("study=cwvae_factor", "data.length=60")
    assert {config.data.length for config in configs} == {60}


def test_the_command_starts_them(
    command: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[tuple[str, str, float, int]] = []

    class Recorder:
        def __init__(self, settings: Settings, model: str, data: str) -> None:
            started.append((model, data, settings.data["speed_factor"], settings.seed))

        directory = RunDirectory(Path("nowhere"), "", "", {}, 0)

        def run(self) -> None: ...

    monkeypatch.setattr(run, "Experiment", Recorder)
    speeds = (0.03, 0.1, 0.3, 1.0, 3.0)
    outcome = command("-m", "+study=cwvae_speed")
    assert outcome.code == 0, outcome.errors
    assert started == [("cwvae", "moving_digits", v, 0) for v in speeds]
    started.clear()
    assert command("study=cwvae_speed").code == 0  # a study is a sweep by itself
    assert len(started) == 5


def test_a_study_from_end_to_end(command: Callable[..., Outcome]) -> None:
    """Two speeds are two runs on two data sets."""
    outcome = command("-m", "+study=cwvae_speed", "data.speed_factor=0.3,3.0", *SIZES["cwvae"])
    assert outcome.code == 0, outcome.errors
    folders = sorted(outcome.out.glob("cwvae-moving_digits-*/seed0"))
    assert all((folder / "done.json").exists() for folder in folders)
    test_sets = {json.loads((f / "metrics.json").read_text())["test_set"] for f in folders}
    assert len(folders) == len(test_sets) == 2
    comparison = Comparison(ComparisonSettings([str(folder) for folder in folders]))
    assert {section.title for section in comparison.sections} == {
        "moving_digits speed_factor=0.3", "moving_digits speed_factor=3",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["+study=cwvae_sped"], ["no study 'cwvae_sped'", "did you mean cwvae_speed?"]),
        (["study=cwvae_speed,dlh_lambda"], ["one study at a time"]),
        (["+study=cwvae_speed", "model=dhl"], ["no model 'dhl'", "did you mean dlh?"]),
    ],
)
def test_refused(
    command: Callable[..., Outcome], arguments: list[str], expected: list[str]
) -> None:
    outcome = command(*arguments)
    assert outcome.code == 2 and "Traceback" not in outcome.errors
    assert all(text in outcome.errors for text in expected), outcome.errors
    assert not list(outcome.out.glob("*/seed*"))


def test_help_lists_the_studies(command: Callable[..., Outcome]) -> None:
    outcome = command("--help", tiny=False)
    assert outcome.code == 0 and all(name in outcome.output for name in STUDIES)
