"""An exported folder: one set of weights, what they belong to, and nothing of the training.

    model.safetensors     the weights of model and guide, each once
    config.yaml           the run's configuration: what to build
    predictor.pt2         a prediction as one program, where it was asked for
    about.json            written last: names, steps, versions, the weights' hash

`pyrovp.load` takes such a folder like a run's.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from torch import nn

from pyrovp import __version__
from pyrovp.describe import count_parameters
from pyrovp.errors import DamagedCheckpoint, RunError
from pyrovp.files import atomic_write
from pyrovp.runs.weights_file import save_weights, sha256

__all__ = [
    "ABOUT",
    "PROGRAM",
    "WEIGHTS",
    "About",
    "check_about",
    "is_exported",
    "read_about",
    "write_about",
    "write_folder",
]

ABOUT, CONFIG, WEIGHTS, PROGRAM = (
    "about.json", "config.yaml", "model.safetensors", "predictor.pt2",
)  # fmt: skip

_FORMAT = 1


@dataclass(frozen=True)
class About:
    """What an exported folder holds.

    Args:
        model, data: Names.
        step: Steps that the weights were trained for.
        weights: Which of the run's they are, "last" or "best" on validation data.
        parameters: Of model and guide, each counted once.
        sha256: Of the file of weights.
        pyrovp: The version that wrote it.
        program: What the program takes and makes; None where there is none.
        format: Of the folder.
    """

    model: str
    data: str
    step: int
    weights: str
    parameters: int
    sha256: str
    pyrovp: str = __version__
    program: Mapping[str, Any] | None = None
    format: int = _FORMAT


def write_folder(
    path: Path,
    programs: nn.Module,
    config: bytes,
    *,
    model: str,
    data: str,
    step: int,
    weights: str,
) -> About:
    """Writes weights, configuration and what they are; an export that is there is replaced.

    Args:
        path: The folder; made where it is not there.
        programs: Modules `model` and `guide`.
        config: The run's `config.yaml`.
        model, data, step, weights: See `About`.

    Raises:
        RunError: If the folder holds a run, or cannot be written.
    """
    if (path / CONFIG).exists() and not is_exported(path):
        raise RunError(f"{path} is the folder of a run; give another one for what is exported")
    try:
        path.mkdir(parents=True, exist_ok=True)
        for name in (ABOUT, PROGRAM):  # first what says that the folder is whole
            (path / name).unlink(missing_ok=True)
        save_weights(path / WEIGHTS, programs)
        with atomic_write(path / CONFIG) as temporary:
            temporary.write_bytes(config)
        about = About(
            model=model,
            data=data,
            step=step,
            weights=weights,
            parameters=count_parameters(programs),
            sha256=sha256(path / WEIGHTS),
        )
        write_about(path, about)
    except OSError as error:
        raise RunError(f"cannot write to {path} ({error.strerror}); give another folder") from None
    return about


def write_about(path: Path, about: About) -> None:
    """Writes what a folder holds."""
    with atomic_write(path / ABOUT) as temporary:
        temporary.write_text(json.dumps(asdict(about), indent=2) + "\n", encoding="utf-8")


def is_exported(path: Path) -> bool:
    """Whether a folder is an exported one, whole or not."""
    return any((path / name).exists() for name in (ABOUT, WEIGHTS))


def read_about(path: Path) -> About:
    """What an exported folder holds.

    Raises:
        RunError: If its `about.json` is missing, damaged or of another format.
    """
    file = path / ABOUT
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunError(
            f"{path} is half an export: its about.json, which is written last, is missing; export "
            "the run again"
        ) from None
    except (OSError, ValueError) as error:
        raise RunError(f"{file} cannot be read ({error}); export the run again") from None
    if not isinstance(found, dict) or found.get("format") != _FORMAT:
        given = found.get("format") if isinstance(found, dict) else None
        raise RunError(
            f"{file} has format {given}, this version of pyrovp reads {_FORMAT}; use the version "
            f"that wrote it, or export the run again"
        )
    known = {field.name for field in fields(About)}
    missing = known - found.keys() - {"program"}
    if missing:
        raise RunError(f"{file} does not say {', '.join(sorted(missing))}; export the run again")
    return About(**{name: value for name, value in found.items() if name in known})


def check_about(path: Path, about: About) -> None:
    """Refuses weights that are not those that a folder was written with.

    Raises:
        DamagedCheckpoint: If the file of weights is missing or another one.
    """
    file = path / WEIGHTS
    found = sha256(file) if file.is_file() else "absent"
    if found != about.sha256:
        raise DamagedCheckpoint(
            f"{file} is not the file that about.json was written for: its sha256 is {found}, "
            f"expected {about.sha256}; copy the folder, or export the run, again"
        )
