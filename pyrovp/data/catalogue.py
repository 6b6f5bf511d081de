"""What data sets there are, and how far each of them is here: `python -m pyrovp.data list`."""

from collections.abc import Mapping
from pathlib import Path

from pyrovp.data.generated import GENERATED, Generated
from pyrovp.data.keyed import SPLITS
from pyrovp.data.places import data_root, originals_folder, prepare_command
from pyrovp.data.registry import SOURCES
from pyrovp.data.sources.base import Source
from pyrovp.data.status import AtResolution, Status, generated_status, source_status
from pyrovp.words import counted

__all__ = ["catalogue", "generated_entry", "source_entry"]


def catalogue(root: str | Path | None = None) -> str:
    """All data sets, generated ones first; decodes no video.

    Args:
        root: The folder of all data.
    """
    folder = data_root(root)
    entries = [generated_entry(made, folder) for made in GENERATED.values()]
    entries += [source_entry(source, folder) for source in SOURCES.values()]
    return "\n\n".join([f"data sets below {folder.absolute()}", *entries])


def generated_entry(made: Generated, root: Path) -> str:
    """One generated data set, in lines."""
    originals = generated_status(made, root).originals
    found = {
        "found": f"found {made.place}".replace("ROOT", f"in {root}"),
        "missing": f"missing: {originals.problem}",
        "unusable": f"not usable: {originals.problem}",
    }
    return _entry(
        made.name,
        made.title,
        {
            "shows": made.what,
            "licence": made.licence,
            "from": f"{made.address} ({made.size})",
            "splits": made.splits,
            "originals": found[originals.state],
            "prepared": "not needed: made while it is read; train 2^31 clips, validation and test "
            "1024 each unless asked for otherwise",
        },
    )


def source_entry(source: Source, root: Path) -> str:
    """One data set made of files, in lines."""
    published = f"; published: {_counts(source.counts)} videos" if source.counts else ""
    status = source_status(source, root)
    none = f"no: {prepare_command(root, source.name, source.resolution)}"
    return _entry(
        source.name,
        source.title,
        {
            "shows": source.what,
            "licence": source.licence,
            "from": f"{source.address} ({source.size})",
            "splits": f"{source.splits}{published}",
            "originals": _originals(source, status, originals_folder(root, source.name)),
            "prepared": "; ".join(_prepared(status)) or none,
        },
    )


def _originals(source: Source, status: Status, folder: Path) -> str:
    originals = status.originals
    return {
        "found": f"found in {folder}: {_counts(originals.splits)} originals",
        "missing": f"missing: looked in {folder}. Needed: {source.layout}",
        "unusable": f"not usable: {originals.problem}",
    }[originals.state]


def _prepared(status: Status) -> list[str]:
    """What is prepared, and what is begun."""
    begun = [f"begun in {b.folder}: {counted(b.originals, 'original')} done" for b in status.begun]
    return [*map(_at_resolution, status.prepared), *begun]


def _at_resolution(stored: AtResolution) -> str:
    if stored.problem:
        return f"{stored.resolution} px: not usable: {stored.problem}"
    counts = _counts(stored.videos)
    return f"{stored.resolution} px in {stored.folder}: {counts} sequences"


def _counts(splits: Mapping[str, int]) -> str:
    """train 479, test 120"""
    return ", ".join(f"{name} {splits[name]}" for name in SPLITS if name in splits)


def _entry(name: str, title: str, facts: Mapping[str, str]) -> str:
    return "\n".join([f"{name}: {title}", *(f"  {key:10}{text}" for key, text in facts.items())])
