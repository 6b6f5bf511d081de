"""The folder of one run.

    runs/dlh-moving_digits-1f0c9a2b/seed0/
        config.yaml        the resolved configuration
        metrics.jsonl      the log of training
        checkpoint/        the newest two checkpoints and the best weights
        metrics.json       figures on held-out sequences, with baselines
        predictions.gif    predictions.png    curves.png    levels.png    training.png
        done.json          written last: what is finished

The name is made of everything that decides what is learned, and of nothing that only says how
long, where, or how closely watched. So the same command finds the run that it began, and a
larger budget continues it. Options that came later than the first runs count only where they
are not at the value that those runs had.
"""

import fcntl
import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pyrovp.errors import RunError
from pyrovp.files import atomic_write

__all__ = ["BUDGET", "LATER", "RunDirectory", "built_from", "fingerprint"]

BUDGET = frozenset({
    "seed", "device", "force", "out", "evaluate", "data.root",
    "train.steps", "train.log_every", "train.validate_every", "train.validate_sequences",
    "train.checkpoint_every", "train.checkpoint_seconds", "train.workers", "train.tensorboard",
    "train.capture", "train.recompute", "train.skip_nonfinite",
})  # fmt: skip
"""Dotted keys of a configuration that a run's name does not depend on."""

LATER: dict[str, Any] = {
    "optimiser.betas": [0.9, 0.999],
    "optimiser.weight_decay": 0.0,
    "optimiser.amsgrad": False,
    "optimiser.warmup_steps": 0,
    "optimiser.warmup_from": 0.0,
    "train.accumulate": 1,
    "train.precision": "float32",
    "init_from": None,
}
"""Dotted keys that were added to the settings, with what was done before there was a choice."""

_FILES = (
    "done.json", "metrics.json", "metrics.jsonl", "config.yaml", "predictions.gif",
    "predictions.png", "curves.png", "levels.png", "channels.png", "training.png",
    "report.html", "hierarchy.png", "init_from.json",
)  # fmt: skip
_FOLDERS = ("checkpoint", "tensorboard", "evaluations", "analyses", "exported")


def fingerprint(config: Mapping[str, Any]) -> str:
    """Eight hexadecimal digits of a configuration without its budget, seed and later options.

    Args:
        config: Nested, resolved; of what JSON can hold.
    """
    text = json.dumps(_without_budget(config, ""), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def built_from(config: Mapping[str, Any]) -> str:
    """What a checkpoint's weights were built from: the settings and the seed.

    Weights to start from are left out: their path may be spelled in many ways, and once there is a
    checkpoint nobody reads them any more.

    Args:
        config: As for `fingerprint`.
    """
    return f"{fingerprint({**config, 'init_from': None})}, seed {config['seed']}"


def _without_budget(node: Any, path: str) -> Any:
    if not isinstance(node, Mapping):
        return node
    prefix = f"{path}." if path else ""
    return {
        key: _without_budget(value, prefix + key)
        for key, value in node.items()
        if prefix + key not in BUDGET and not _as_ever(prefix + key, value)
    }


def _as_ever(key: str, value: Any) -> bool:
    return key in LATER and value == LATER[key]


class RunDirectory:
    """The folder of one run, made when it is first locked.

    Args:
        out: The folder of all runs.
        model: Name of the model.
        data: Name of the data set.
        config: The resolved configuration.
        seed: Of the run.
    """

    def __init__(
        self, out: Path, model: str, data: str, config: Mapping[str, Any], seed: int
    ) -> None:
        self.fingerprint = fingerprint(config)
        self.seed = seed
        self.path = Path(out) / f"{model}-{data}-{self.fingerprint}" / f"seed{seed}"
        self.checkpoints = self.path / "checkpoint"

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keeps other processes out; the kernel lets go when this process ends in any way.

        Raises:
            RunError: If another process holds it, or the folder cannot be written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            file = (self.path / ".lock").open("w")
        except OSError as error:
            raise RunError(
                f"cannot write to {self.path} ({error.strerror}); choose another folder, for "
                f"example out=/tmp/runs"
            ) from None
        with file:
            try:
                # Not flock: data workers would inherit that lock and hold it for some seconds
                # after their parent was killed.
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except (BlockingIOError, PermissionError):  # POSIX allows either
                raise RunError(
                    f"another process is working in {self.path}; wait for it, or give this run "
                    f"another seed or another folder (out=...)"
                ) from None
            yield

    def clear(self) -> None:
        """Removes what a run has written, so that it starts over; other files stay."""
        for name in _FILES:  # done.json first: half a run must not look finished
            (self.path / name).unlink(missing_ok=True)
        for name in _FOLDERS:
            _empty(self.path / name)

    def done(self) -> dict[str, Any] | None:
        """What is finished; None while nothing is, or where nobody can tell.

        Raises:
            RunError: If it is the run of another seed, moved here.
        """
        try:
            content = json.loads((self.path / "done.json").read_text())
            finished = isinstance(content["steps"], int) and isinstance(content["evaluate"], dict)
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None
        if content.get("seed", self.seed) != self.seed:
            raise RunError(
                f"{self.path} holds the run of seed {content['seed']}; move it back to "
                f"seed{content['seed']}, or start over with force=true"
            )
        return content if finished else None

    def write_json(self, name: str, content: Mapping[str, Any]) -> Path:
        """Writes a JSON file into the folder."""
        return self.write_text(name, json.dumps(content, indent=2) + "\n")

    def write_text(self, name: str, text: str) -> Path:
        """Writes a text file into the folder, whole or not at all."""
        path = self.path / name
        with atomic_write(path) as temporary:
            temporary.write_text(text)
        return path


def _empty(folder: Path) -> None:
    """Removes a folder; of one that is a link the link stays, and what it leads to is emptied."""
    if not folder.is_dir():
        folder.unlink(missing_ok=True)
        return
    if not folder.is_symlink():
        shutil.rmtree(folder)
        return
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
