"""Where the originals of a data set lie: files below a folder, under names of their own.

A name is the path below the folder with forward slashes, so it is the same on every machine;
names that start with a dot are left out (systems keep their own files under such names). An
archive unpacks into a folder of its name or into its contents: `unpacked` finds either.
"""

import os
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from pyrovp.data.errors import DataError, MissingFiles
from pyrovp.data.sources.base import Source

__all__ = ["files_below", "hidden_below", "missing", "unpacked"]


def files_below(folder: Path, suffixes: Collection[str]) -> dict[str, Path]:
    """All files below `folder` with one of these suffixes, in the order of their names.

    Args:
        folder: Where to look, links followed; nothing is found where there is no such folder.
        suffixes: In lower case and with their dot; files may have them in capitals.

    Returns:
        name -> path.

    Raises:
        DataError: If a folder cannot be listed, since its files would be missed in silence; or
            if a name is not UTF-8, since it could be neither printed nor hashed.
    """
    found = {
        path.relative_to(folder).as_posix(): path
        for path in _walk(folder)
        if path.suffix.lower() in suffixes
    }
    for name in found:
        if not _is_text(name):
            shown = name.encode(errors="backslashreplace").decode()
            raise DataError(f"{folder} holds {shown}, a name that is not UTF-8; rename it")
    return dict(sorted(found.items()))


def hidden_below(folder: Path, suffixes: Collection[str]) -> int:
    """How many files with one of these suffixes `files_below` leaves out for their names."""
    return sum(
        path.suffix.lower() in suffixes
        and any(part.startswith(".") for part in path.relative_to(folder).parts)
        for path in folder.rglob("*")
    )


def unpacked(folder: Path, insides: Sequence[str], wanted: Sequence[str]) -> Path:
    """The folder that holds one of the `wanted` folders: `folder`, or one of `insides` in it.

    Returns:
        That folder; `folder` where neither does.
    """
    for candidate in [folder, *(folder / name for name in insides)]:
        if any((candidate / name).is_dir() for name in wanted):
            return candidate
    return folder


def missing(source: Source, folder: Path) -> MissingFiles:
    """The error for a folder without originals."""
    found = "which holds none" if folder.exists() else "which does not exist"
    return MissingFiles(
        f"{source.name}: looked for originals in {folder}, {found}. Needed: {source.layout}. "
        f"Get them from {source.address} and put them there, or name the folder where they are "
        "with --originals"
    )


def _walk(folder: Path) -> Iterator[Path]:
    if not folder.is_dir():
        return
    seen = {os.path.realpath(folder)}  # a link may lead back to where it came from
    for place, folders, files in os.walk(folder, onerror=_refuse, followlinks=True):
        kept = []
        for name in folders:
            real = os.path.realpath(os.path.join(place, name))
            if not name.startswith(".") and real not in seen:
                seen.add(real)
                kept.append(name)
        folders[:] = kept
        yield from (Path(place, name) for name in files if not name.startswith("."))


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _refuse(error: OSError) -> None:
    raise DataError(
        f"{error.filename} cannot be listed ({error.strerror}); allow it to be read, or move it "
        "out of the folder of originals"
    ) from error
