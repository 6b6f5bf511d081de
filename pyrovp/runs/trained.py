"""A finished run, taken up again: its model and guide with their weights, ready to be asked.

    run = load("runs/dlh-moving_digits-1f0c9a2b/seed0")
    open_loop(run.model, run.guide, context, horizon=100)

All of it comes from the folder: what to build from `config.yaml`, the weights from `checkpoint/`,
or from `model.safetensors` where a run was exported (`pyrovp.runs.folders`). A run that is still
training can be loaded too, as far as it is.

What is built is what `config.yaml` names, and a folder from elsewhere may name any function that
can be imported here. Its weights are numbers only.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import torch
import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from torch import nn

from pyrovp.data import KeyedVideos
from pyrovp.errors import RunError
from pyrovp.processes import Processes
from pyrovp.programs import LatentDynamics
from pyrovp.randomness import undisturbed
from pyrovp.runs.build import choose_device, make, make_guide
from pyrovp.runs.folders import opened
from pyrovp.runs.settings import Settings
from pyrovp.state_space import StateSpace

__all__ = ["Trained", "load", "read_settings"]


@dataclass(frozen=True)
class Trained:
    """A run's model and guide.

    Args:
        path: The run's folder.
        settings: What it was built from.
        name: Name of the model.
        data: Name of the data set.
        model, guide: With the run's weights, in evaluation mode.
        step: Steps trained when the weights were written.
        device: Where they are.
    """

    path: Path
    settings: Settings
    name: str
    data: str
    model: LatentDynamics[StateSpace]
    guide: nn.Module
    step: int
    device: torch.device

    def videos(self, split: str, **changes: Any) -> KeyedVideos:
        """The run's data set.

        Args:
            split: "train" (the clips that it was trained on), "validation" or "test".
            changes: Other arguments of the data set, such as `length`.

        Raises:
            ValueError: If there is no such split, or an argument does not fit.
        """
        if split == "train":
            changes = {"seed": self.settings.seed} | changes
        return make("data", self.settings.data, split=split, **changes)


def load(
    path: str | Path, *, weights: Literal["last", "best"] | None = "last", device: str = "auto"
) -> Trained:
    """Takes up a run.

    Args:
        path: Its folder, `runs/NAME/seed0`; one that holds a single seed will do. Or what
            `python -m pyrovp.export` made of it, which holds one set of weights.
        weights: The newest, or the best on validation data; None: those that the run itself was
            evaluated with.
        device: "auto" (a GPU where there is one), "cpu", "cuda" or "cuda:1".

    Raises:
        RunError: If there is no run, or none of its checkpoints can be read.
        ValueError: If its configuration does not fit this version of pyrovp.
    """
    if weights not in ("last", "best", None):
        raise ValueError(f"weights are 'last' or 'best' (on validation data), got {weights!r}")
    folder = opened(Path(path))
    settings = read_settings(folder.path)
    with undisturbed():  # building draws weights that are replaced at once
        model: Any = make("model", settings.model)
        guide: Any = make_guide(settings.guide, model)
        elbo = make("elbo", settings.elbo)
        objective: nn.Module = make(
            "objective", settings.objective, model=model, guide=guide, elbo=elbo
        )
    step = folder.fill(objective, settings, weights)
    target = choose_device(device, Processes.present().local)
    objective.to(target).eval()
    name, data = folder.names()
    return Trained(folder.path, settings, name, data, model, guide, step, target)


def read_settings(folder: Path) -> Settings:
    """The settings that a run was started with.

    Raises:
        RunError: If there is no readable `config.yaml`.
    """
    try:
        stored = OmegaConf.load(folder / "config.yaml")
        return cast(Settings, OmegaConf.to_object(OmegaConf.merge(Settings, stored)))
    except OSError as error:
        raise RunError(
            f"{folder} is no folder of a run: it has no readable config.yaml "
            f"({error.strerror}); give runs/NAME/seed0"
        ) from None
    except OmegaConfBaseException as error:
        raise RunError(
            f"{folder / 'config.yaml'} does not fit this version of pyrovp: "
            f"{str(error).splitlines()[0]}"
        ) from None
    except (yaml.YAMLError, UnicodeError) as error:
        reason = " ".join(str(error).split())
        raise RunError(f"{folder / 'config.yaml'} is damaged ({reason})") from None
