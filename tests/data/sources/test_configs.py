"""The configurations of the data sets made of files, small and as in the papers."""

import inspect
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from experiments.run import CONF
from pyrovp.data.registry import SOURCES
from pyrovp.data.stored import StoredVideos

PAPERS = ["bair", "cityscapes", "gqn_mazes", "kth", "minerl_navigate"]

# Frames of the test videos of a data set; KTH's are of many lengths.
FRAMES = {"bair": 30, "cityscapes": 30, "gqn_mazes": 300, "minerl_navigate": 500}


@cache
def composed(*choices: str) -> dict[str, Any]:
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("config", list(choices))
    found = OmegaConf.to_container(config, resolve=True)
    assert isinstance(found, dict)
    return found  # type: ignore[return-value]


@pytest.mark.parametrize("name", sorted(SOURCES))
def test_small(name: str) -> None:
    """The keys are StoredVideos' arguments, and a clip of the small size has its frames."""
    config = composed(f"data={name}")
    data = dict(config["data"])
    assert data.pop("_target_") == "pyrovp.data.StoredVideos"
    inspect.signature(StoredVideos).bind("train", **data)
    assert data.pop("cut", None) is None
    assert data == {
        "name": name,
        "root": None,
        "length": 20 if name == "moving_mnist_test" else 24,
        "resolution": 64,
        "channels": SOURCES[name].channels,
        "skip_short": False,
        "seed": 0,
    }
    assert config["channels"] == SOURCES[name].channels
    assert config["model"]["resolution"] == 64


@pytest.mark.parametrize("name", sorted(SOURCES))
def test_the_first_line_says_what_it_is(name: str) -> None:
    lines = (CONF / "data" / f"{name}.yaml").read_text().splitlines()
    assert lines[0] == "# @package _global_" and lines[1].startswith("# ")


@pytest.mark.parametrize("model", ["cwvae", "dlh", "hvrnn", "svg_lp", "tald"])
@pytest.mark.parametrize("name", PAPERS)
def test_papers_ask_for_no_more_frames_than_there_are(name: str, model: str) -> None:
    config = composed(f"data={name}", f"model={model}", "size=paper")
    data, test = config["data"], config["evaluate"]
    assert data["name"] == name
    needed = test["context"] + test["horizon"]
    if name == "kth":
        assert data["skip_short"] and needed == {
            "cwvae": 336, "dlh": 330, "hvrnn": 305, "svg_lp": 40, "tald": 336
        }[model]  # fmt: skip
    else:
        assert not data["skip_short"] and max(needed, data["length"]) <= FRAMES[name]
    given = config["model"].get("given", test["context"])
    assert given == test["context"]  # HVRNN takes its context as given
    if model == "svg_lp":
        assert config["model"]["context"] == test["context"]


# Model, data set -> what their papers state: keys and values.
STATED: dict[tuple[str, str], dict[str, Any]] = {
    ("cwvae", "gqn_mazes"): {"data.length": 100, "model.std": 0.1, "evaluate.horizon": 264},
    ("notmpabs", "gqn_mazes"): {"model.std": 0.1},
    ("cwvae", "minerl_navigate"): {
        "model.state": 100, "model.memory": 800, "model.hidden": 800, "model.std": 0.4,
        "optimiser.lr": 1e-4, "train.steps": 58200, "evaluate.horizon": 464,
    },
    ("rssm", "minerl_navigate"): {"model.state": 100, "model.memory": 800},
    ("tald", "kth"): {"data.length": 100, "optimiser.lr": 3e-4, "model.levels": 3},
    ("tald", "gqn_mazes"): {"optimiser.lr": 3e-4, "model.levels": 2, "evaluate.horizon": 200},
    ("tald", "minerl_navigate"): {"evaluate.horizon": 420},
    ("dlh", "kth"): {"evaluate.context": 30, "evaluate.horizon": 300},
    ("dlh", "gqn_mazes"): {"evaluate.context": 30, "evaluate.horizon": 200},
    ("hvrnn", "bair"): {
        "data.length": 12, "evaluate.context": 2, "evaluate.horizon": 28, "train.steps": 33800,
        "model.latents": [1, 8, 32], "evaluate.sequences": 256, "evaluate.samples": 100,
    },
    ("vrnn", "bair"): {"model.given": 2, "data.length": 12},
    ("hvrnn", "cityscapes"): {
        "data.resolution": 128, "model.latents": [1, 16, 64], "data.length": 12,
        "evaluate.horizon": 28, "train.steps": 1500, "objective.beta.steps": 300,
        "model.resolution": 128, "optimiser.warmup_steps": 75,
    },
    ("vrnn", "cityscapes"): {"model.given": 2, "train.steps": 1500},
    ("svg_lp", "bair"): {
        "model.network": "vgg", "model.state": 64, "data.length": 12,
        "objective.beta.end": pytest.approx(1e-4 * 3 * 64 * 64),
    },
    ("svg_lp", "kth"): {
        "model.state": 24, "data.length": 20, "optimiser.lr": 8e-4, "evaluate.horizon": 30,
        "objective.beta.end": pytest.approx(1e-6 * 64 * 64),
    },
}  # fmt: skip


@pytest.mark.parametrize(("model", "name"), STATED)
def test_what_the_papers_state(model: str, name: str) -> None:
    config = composed(f"data={name}", f"model={model}", "size=paper")
    for key, value in STATED[model, name].items():
        node: Any = config
        for part in key.split("."):
            node = node[part]
        assert node == value, key


def test_every_paper_file_is_for_a_model_that_there_is() -> None:
    folder = CONF / "data" / "paper"
    models = {path.stem for path in (CONF / "model").glob("*.yaml")}
    files: list[Path] = sorted(folder.glob("*/*.yaml"))
    assert {path.parent.name for path in files} == set(PAPERS)
    for path in files:
        assert path.stem in models
        assert path.read_text().startswith("# @package _global_") and OmegaConf.load(path)
