"""Folders that hold a trained model: a run's own, and an exported one.

    runs/NAME/seed0/    config.yaml  checkpoint/           newest, and best on validation data
    exported/           config.yaml  model.safetensors     one set of weights

Each kind says what its model and data are called and puts its weights where they belong.
"""

import abc
import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from torch import nn

from pyrovp.errors import RunError
from pyrovp.runs.exported import WEIGHTS, check_about, is_exported, read_about
from pyrovp.runs.run_directory import built_from
from pyrovp.runs.settings import Settings
from pyrovp.runs.weights_file import load_weights
from pyrovp.train.checkpoint import Checkpoints

__all__ = ["ExportedFolder", "Folder", "RunFolder", "opened"]


class Folder(abc.ABC):
    """A folder with a `config.yaml` and weights.

    Args:
        path: The folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @abc.abstractmethod
    def names(self) -> tuple[str, str]:
        """Names of model and data set."""

    @abc.abstractmethod
    def fill(
        self, objective: nn.Module, settings: Settings, weights: Literal["last", "best"] | None
    ) -> int:
        """Puts weights into an objective with modules `model` and `guide`; changes no file.

        Args:
            objective: Built from the settings.
            settings: The folder's.
            weights: Which ones; None: those that the run itself was evaluated with.

        Returns:
            The steps that they were trained for.

        Raises:
            RunError: If they are not there or do not fit.
        """


class RunFolder(Folder):
    """The folder of a run, finished or not."""

    def names(self) -> tuple[str, str]:
        """See `Folder.names`.

        As the run's own figures say, wherever it has been moved to; before there are figures, as
        the folder above says: MODEL-DATA-FINGERPRINT.
        """
        try:
            found = json.loads((self.path / "metrics.json").read_text(encoding="utf-8"))
            return str(found["model"]), str(found["data"])
        except (OSError, ValueError, KeyError, TypeError):
            above = self.path.resolve().parent.name
        parts = re.fullmatch(r"(.+)-([^-]+)-[0-9a-f]{8}", above)
        return (parts[1], parts[2]) if parts else (self.path.resolve().name, "its data")

    def fill(
        self, objective: nn.Module, settings: Settings, weights: Literal["last", "best"] | None
    ) -> int:
        """See `Folder.fill`."""
        found = Checkpoints(self.path / "checkpoint", built_from(asdict(settings)))
        if (weights or settings.evaluate.checkpoint) == "best":
            return found.load_best(objective).step
        return found.load_last(objective)


class ExportedFolder(Folder):
    """What `python -m pyrovp.export` wrote."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.about = read_about(path)

    def names(self) -> tuple[str, str]:
        """See `Folder.names`."""
        return self.about.model, self.about.data

    def fill(
        self, objective: nn.Module, settings: Settings, weights: Literal["last", "best"] | None
    ) -> int:
        """See `Folder.fill`; there is one set of weights, which only "best" may not fit."""
        if weights == "best" and self.about.weights != "best":
            raise RunError(
                f"{self.path} was exported with the {self.about.weights} weights, not with the "
                "best on validation data; export the run again with --weights best"
            )
        check_about(self.path, self.about)
        own: Any = objective
        programs = nn.ModuleDict({"model": own.model, "guide": own.guide})
        load_weights(self.path / WEIGHTS, programs)
        return self.about.step


def opened(path: Path) -> Folder:
    """The folder at a path: this one, or its only seed's.

    Raises:
        RunError: If there is none, or more than one.
    """
    if not path.is_dir():
        raise RunError(f"there is no folder {path}; give the folder of a run, runs/NAME/seed0")
    if is_exported(path):
        return ExportedFolder(path)
    if (path / "config.yaml").exists():
        return RunFolder(path)
    seeds = sorted(file.parent for file in path.glob("seed*/config.yaml"))
    if len(seeds) == 1:
        return RunFolder(seeds[0])
    if seeds:
        listed = ", ".join(str(seed) for seed in seeds)
        raise RunError(f"{path} holds the runs of {len(seeds)} seeds; give one of {listed}")
    raise RunError(f"{path} holds no run: there is no config.yaml in it; give runs/NAME/seed0")
