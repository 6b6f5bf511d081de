"""Whether a prepared data set still holds what was written."""

from pathlib import Path

from pyrovp.data.errors import DamagedFile
from pyrovp.data.store.disk import sha256
from pyrovp.data.store.form import Prepared, open_prepared, split_hash
from pyrovp.data.store.sidecar import again, read_sidecar

__all__ = ["verify"]


def verify(folder: Path) -> Prepared:
    """Reads every file of a prepared data set and compares its sha256 with the one noted.

    Raises:
        MissingFiles: If the folder is not there.
        DamagedFile: If something in it is not as it was written; names every such file.
    """
    prepared = open_prepared(folder)
    changed = [
        name
        for split in read_sidecar(folder)["splits"].values()
        for name, facts in split["files"].items()
        if sha256(folder / name) != facts["sha256"]
    ]
    changed += [
        f"prepared.json (the hash of {name})"
        for name, split in prepared.splits.items()
        if split_hash(split.names, split.lengths) != split.hash
    ]
    if changed:
        raise DamagedFile(
            folder,
            f"other contents in {', '.join(changed)}",
            "the sha256 in prepared.json",
            again(folder),
        )
    return prepared
