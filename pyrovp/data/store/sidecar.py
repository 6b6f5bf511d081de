"""`prepared.json`: what a prepared data set says about itself.

form, name, title, licence, rule of the splits, resolution, channels, versions,
published numbers of videos, originals that were left out as damaged,
and for each split: videos, frames, hash, states, and bytes and sha256 of its files
"""

import json
from pathlib import Path
from typing import Any

from pyrovp.data.errors import DamagedFile, DataError, MissingFiles
from pyrovp.data.places import prepare_command
from pyrovp.data.registry import SOURCES

__all__ = ["FORM", "SIDECAR", "again", "read_sidecar"]

FORM = 1
"""Version of the prepared form."""

SIDECAR = "prepared.json"


def read_sidecar(folder: Path) -> dict[str, Any]:
    """What a prepared data set says about itself.

    Raises:
        MissingFiles: If the folder is not there.
        DamagedFile: If there is none in it, or not a whole one.
        DataError: If it is of another form.
    """
    path = folder / SIDECAR
    if not folder.exists():
        raise MissingFiles(f"no prepared data set in {folder}; {again(folder, new=True)}")
    if not path.is_file():
        raise DamagedFile(folder, f"no {SIDECAR}", "one beside the arrays", again(folder))
    try:
        facts = json.loads(path.read_bytes())
    except ValueError as error:
        raise DamagedFile(path, f"no JSON ({error})", "JSON", again(folder)) from None
    form = facts.get("form") if isinstance(facts, dict) else None
    if form != FORM:
        raise DataError(
            f"{folder} is in form {form} of prepared data, but this version of pyrovp reads form "
            f"{FORM}; {again(folder)}"
        )
    return facts


def again(folder: Path, new: bool = False) -> str:
    """The advice to prepare what is in a folder once more.

    Args:
        folder: `ROOT/prepared/NAME-RESOLUTIONpx`.
        new: Whether nothing is there yet.

    Example:
        >>> again(Path("/tank/prepared/kth-64px"), new=True)
        'prepare it: python -m pyrovp.data prepare kth --resolution 64 --root /tank'
    """
    name, _, resolution = folder.name.removesuffix("px").rpartition("-")
    if not (name and resolution.isdigit()):
        return "prepare it with python -m pyrovp.data prepare"
    command = prepare_command(
        folder.parent.parent,
        name,
        int(resolution),
        *(() if new else ("--force",)),
        own=name not in SOURCES,
    )
    return f"prepare it{'' if new else ' again'}: {command}"
