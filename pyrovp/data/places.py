"""Where the files of data sets are.

    ROOT/kth/                    the originals, as they were downloaded
    ROOT/prepared/kth-64px/      the same videos in the one form that clips are read from
    ROOT/prepared/.kth-64px.*    a preparation that is not finished, and its lock

ROOT is what the caller names, else the environment variable PYROVP_DATA, else `data` in the
working directory.
"""

import os
import re
import shlex
from pathlib import Path

__all__ = [
    "data_root",
    "originals_folder",
    "prepare_command",
    "prepared_folder",
    "prepared_resolutions",
]


def data_root(root: str | Path | None = None) -> Path:
    """The folder of all data sets; it need not exist.

    Example:
        >>> data_root("/tank/videos").as_posix()
        '/tank/videos'
    """
    return Path(root or os.environ.get("PYROVP_DATA") or "data").expanduser()


def originals_folder(root: str | Path | None, name: str) -> Path:
    """Where the originals of a data set are looked for.

    Example:
        >>> originals_folder("data", "kth").as_posix()
        'data/kth'
    """
    return data_root(root) / name


def prepared_folder(root: str | Path | None, name: str, resolution: int) -> Path:
    """Where a data set is once it is prepared.

    Args:
        root: The folder of all data sets; None for the default one.
        name: Of the data set.
        resolution: Height and width of a frame in px.

    Example:
        >>> prepared_folder("data", "kth", 64).as_posix()
        'data/prepared/kth-64px'
    """
    return data_root(root) / "prepared" / f"{name}-{resolution}px"


def prepared_resolutions(root: str | Path | None, name: str) -> list[int]:
    """At which resolutions a data set is prepared, in px and in their order."""
    folders = (data_root(root) / "prepared").glob(f"{name}-*px")
    found = (re.fullmatch(re.escape(name) + r"-(\d+)px", folder.name) for folder in folders)
    return sorted(int(match[1]) for match in found if match)


def prepare_command(
    root: str | Path | None, name: str, resolution: int, *options: str, own: bool = False
) -> str:
    """The command that prepares a data set, for messages that say what to do.

    Args:
        root: The folder of all data sets; None for the default one.
        name: Of the data set.
        resolution: Height and width of a frame in px.
        options: Further ones.
        own: Whether it comes from a user's own source, whose place is not known.

    Example:
        >>> prepare_command("/tank", "kth", 64, "--force")
        'python -m pyrovp.data prepare kth --resolution 64 --root /tank --force'
    """
    which = ["--source", "MODULE:CLASS"] if own else [name]
    command = ["python", "-m", "pyrovp.data", "prepare", *which, "--resolution", str(resolution)]
    if data_root(root) != data_root():
        command += ["--root", str(data_root(root))]
    return shlex.join([*command, *options])
