"""Checkpoints: all that a run needs to go on as if it had never stopped.

A folder holds `step_00000300.pt`, the newest two of them, and `best.pt`, the weights with the
lowest validation loss so far. Each is written under another name, flushed to the disk and then
renamed, so a name always stands for a whole file. A newest checkpoint that is damaged all the
same becomes `step_00000300.damaged` once the one before it has been loaded.
"""

import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from pyrovp.errors import DamagedCheckpoint, RunError, remedy
from pyrovp.files import remove_leftovers
from pyrovp.randomness import generator_states, restore_generators
from pyrovp.train.checkpoint_file import read_checkpoint, write_checkpoint

__all__ = ["Best", "Checkpoints"]

_KEEP = 2
_NAME = re.compile(r"step_(\d{8,})\.pt")
_STATE = {"step", "objective", "optimizer", "generators", "progress"}
_BEST = {"step", "loss", "objective"}


class Best(NamedTuple):
    """The best validation so far.

    Args:
        step: After how many steps it was taken.
        loss: The mean loss of the validation's sequences.
    """

    step: int
    loss: float


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

        Only the run itself, which holds its folder, may ask: what killed writes have left there
        is removed.

        Returns:
            The finished steps and the loop's progress, or None where there is no checkpoint.

        Raises:
            DamagedCheckpoint: If there are checkpoints and none is whole.
            RunError: If a checkpoint cannot be read at present, or belongs to another
                configuration.
        """
        remove_leftovers(self._folder)
        for path, content in self._whole():
            for other in self.paths():  # not before: as long as none is whole, all of them stay
                if other == path:
                    break
                other.rename(other.with_suffix(".damaged"))  # it must not count as one of two
            objective.load_state_dict(content["objective"])
            optimizer.load_state_dict(content["optimizer"])
            restore_generators(content["generators"])
            return content["step"], content["progress"]
        # A run that has lost all it had must not begin again without a word.
        if left := self.paths() or sorted(self._folder.glob("step_*.damaged")):
            raise DamagedCheckpoint(
                f"no checkpoint in {self._folder} can be read: damaged are "
                f"{', '.join(path.name for path in left)}; start over with force=true"
            )
        return None

    def load_last(self, objective: nn.Module) -> int:
        """Loads the newest weights that are whole, and nothing else; changes no file.

        Returns:
            The finished steps.

        Raises:
            RunError: If there is no checkpoint, none is whole, or one cannot be read at present or
                belongs to another configuration.
        """
        for _, content in self._whole():
            objective.load_state_dict(content["objective"])
            return content["step"]
        paths = self.paths()
        found = f"none of its {len(paths)} checkpoints can be read" if paths else "it has none yet"
        raise RunError(f"no weights in {self._folder}: {found}")

    def _whole(self) -> Iterator[tuple[Path, dict[str, Any]]]:
        """The checkpoints that are not damaged, newest first."""
        for path in self.paths():
            try:
                content = read_checkpoint(path, self._fingerprint, _STATE)
            except DamagedCheckpoint as error:
                self._say(f"{path} is damaged ({error}); trying the checkpoint before it")
                continue
            yield path, content

    def save_best(self, best: Best, objective: nn.Module) -> None:
        """Keeps the present weights as the best on validation data."""
        content = {"step": best.step, "loss": best.loss, "objective": objective.state_dict()}
        self._write(self._folder / "best.pt", content)

    def best(self) -> Best | None:
        """The best validation so far; None before the first one whose loss is a number.

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
            content = read_checkpoint(path, self._fingerprint, _BEST)
        except DamagedCheckpoint as error:
            self._say(f"{path} is damaged ({error}); the next validation replaces it")
            return None
        return content if math.isfinite(content["loss"]) else None  # early versions kept a NaN

    def _write(self, path: Path, content: dict[str, Any]) -> None:
        try:
            write_checkpoint(path, self._fingerprint, content)
        except OSError as error:
            kept = self.paths()
            last = f"the last one, {kept[0]}, is whole" if kept else "there is none yet"
            advice = remedy(error, "begin anew in another folder (out=...)")
            raise RunError(
                f"cannot write the checkpoint {path} ({error.strerror}); {last}: {advice}"
            ) from error
