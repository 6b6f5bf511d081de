"""Checkpoints: all that a run needs to go on as if it had never stopped.

A folder holds `step_00000300.pt`, the newest two of them, and `best.pt`, the weights with the
lowest validation loss so far. Each is written under another name, flushed to the disk and then
renamed, so a name always stands for a whole file. The file is torch's zip format: its
checksums are verified before anything is read (torch itself does not look at them), and it is
read with `weights_only=True`, which never runs code from a file.
"""

import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from pyrovp.errors import DamagedCheckpoint, RunError
from pyrovp.files import atomic_write
from pyrovp.randomness import generator_states, restore_generators

__all__ = ["Best", "Checkpoints"]

_VERSION = 1
_KEEP = 2
_NAME = re.compile(r"step_(\d{8,})\.pt")


class Best(NamedTuple):
    """The best validation so far.

    Args:
        step: After how many steps it was taken.
        loss: The mean loss of the validation's sequences.
    """

    step: int
    loss: float


def _read(path: Path) -> dict[str, Any]:
    """Reads one file after verifying its checksums."""
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        if damaged is not None:
            raise DamagedCheckpoint(f"the checksum of its part {damaged} is wrong")
        return torch.load(path, map_location="cpu", weights_only=True)
    except (DamagedCheckpoint, PermissionError, MemoryError):
        raise
    except Exception as error:  # a cut or overwritten file fails in many ways
        raise DamagedCheckpoint(str(error).splitlines()[0]) from error


class Checkpoints:
    """The checkpoints of one run.

    Args:
        folder: Where they lie; made when the first is written.
        fingerprint: Of the configuration; a checkpoint of another one is refused.
        say: Told, in a sentence, when a damaged checkpoint is passed over.
    """

    def __init__(self, folder: Path, fingerprint: str, say: Callable[[str], None] = print) -> None:
        self._folder = folder
        self._fingerprint = fingerprint
        self._say = say

    def paths(self) -> list[Path]:
        """The checkpoints on disk, newest first."""
        found = [(match, path) for path in self._folder.glob("step_*.pt")
                 if (match := _NAME.fullmatch(path.name))]  # fmt: skip
        return [path for _, path in sorted(found, key=lambda pair: -int(pair[0][1]))]

    def save(
        self,
        step: int,
        objective: nn.Module,
        optimizer: torch.optim.Optimizer,
        progress: dict[str, Any],
    ) -> Path:
        """Writes the state after `step` finished steps and drops all but the newest two.

        Args:
            step: Finished steps.
            objective: Its state_dict holds all weights.
            optimizer: With its moments.
            progress: What the loop keeps beside them; tensors, numbers, strings and containers.

        Returns:
            The file.
        """
        path = self._folder / f"step_{step:08d}.pt"
        self._write(path, {
            "step": step,
            "objective": objective.state_dict(),
            "optimizer": optimizer.state_dict(),
            "generators": generator_states(),
            "progress": progress,
        })  # fmt: skip
        for old in self.paths()[_KEEP:]:
            old.unlink()
        return path

    def restore(
        self, objective: nn.Module, optimizer: torch.optim.Optimizer
    ) -> tuple[int, dict[str, Any]] | None:
        """Loads the newest checkpoint that is whole into objective, optimizer and generators.

        Returns:
            The finished steps and the loop's progress, or None where there is no checkpoint.

        Raises:
            DamagedCheckpoint: If there are checkpoints and none is whole.
            RunError: If a checkpoint belongs to another configuration.
        """
        paths = self.paths()
        for path in paths:
            try:
                content = self._check(path, _read(path))
            except DamagedCheckpoint as error:
                self._say(f"{path} is damaged ({error}); trying the checkpoint before it")
                path.rename(path.with_suffix(".damaged"))  # it must not count as one of two
                continue
            objective.load_state_dict(content["objective"])
            optimizer.load_state_dict(content["optimizer"])
            restore_generators(content["generators"])
            return content["step"], content["progress"]
        if paths:
            raise DamagedCheckpoint(
                f"no checkpoint in {self._folder} can be read; start over with force=true"
            )
        return None

    def load_last(self, objective: nn.Module) -> int:
        """Loads the newest weights that are whole, and nothing else; changes no file.

        Returns:
            The finished steps.

        Raises:
            RunError: If there is no checkpoint, none is whole, or it belongs to another
                configuration.
        """
        paths = self.paths()
        for path in paths:
            try:
                content = self._check(path, _read(path))
            except DamagedCheckpoint as error:
                self._say(f"{path} is damaged ({error}); trying the checkpoint before it")
                continue
            objective.load_state_dict(content["objective"])
            return content["step"]
        found = f"none of its {len(paths)} checkpoints can be read" if paths else "it has none yet"
        raise RunError(f"no weights in {self._folder}: {found}")

    def save_best(self, best: Best, objective: nn.Module) -> None:
        """Keeps the present weights as the best on validation data."""
        content = {"step": best.step, "loss": best.loss, "objective": objective.state_dict()}
        self._write(self._folder / "best.pt", content)

    def best(self) -> Best | None:
        """The best validation so far; None before the first one.

        A file from a step that a continued run has yet to reach again is as good as a new one:
        the run will come to the same weights there.
        """
        content = self._read_best()
        return None if content is None else Best(content["step"], content["loss"])

    def load_best(self, objective: nn.Module) -> Best:
        """Loads the weights with the lowest validation loss.

        Raises:
            RunError: If no validation has taken place.
        """
        content = self._read_best()
        if content is None:
            raise RunError(
                f"{self._folder} holds no weights chosen on validation data; ask for the last "
                f"ones (evaluate.checkpoint=last of a training, weights=last of other commands)"
            )
        objective.load_state_dict(content["objective"])
        return Best(content["step"], content["loss"])

    def _read_best(self) -> dict[str, Any] | None:
        path = self._folder / "best.pt"
        if not path.exists():
            return None
        try:
            return self._check(path, _read(path))
        except DamagedCheckpoint as error:
            self._say(f"{path} is damaged ({error}); the next validation replaces it")
            return None

    def _write(self, path: Path, content: dict[str, Any]) -> None:
        whole = {"version": _VERSION, "fingerprint": self._fingerprint} | content
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with atomic_write(path) as temporary, temporary.open("wb") as file:
                torch.save(whole, file)  # to a file of ours: torch's own hides the system's error
        except (OSError, RuntimeError) as error:
            # Where writing fails, torch raises an error of its own over the system's.
            cause = error if isinstance(error, OSError) else error.__context__
            if not isinstance(cause, OSError):
                raise
            kept = self.paths()
            last = f"the last one, {kept[0]}, is whole" if kept else "there is none yet"
            raise RunError(
                f"cannot write the checkpoint {path} ({cause.strerror}); {last}. Make room, and "
                f"the same command goes on from there"
            ) from error

    def _check(self, path: Path, content: dict[str, Any]) -> dict[str, Any]:
        if content.get("version") != _VERSION:
            raise RunError(
                f"{path} has format {content.get('version')}, this version of pyrovp reads "
                f"{_VERSION}; use the version that wrote it, or start over with force=true"
            )
        if content["fingerprint"] != self._fingerprint:
            raise RunError(
                f"{path} belongs to another configuration (fingerprint "
                f"{content['fingerprint']}, this run's is {self._fingerprint}); start over "
                f"with force=true, or move the folder away"
            )
        return content
