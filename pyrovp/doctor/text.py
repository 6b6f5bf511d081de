"""The report for people: a few short tables, and at the end what would work right now."""

from collections.abc import Iterable, Mapping, Sequence

from pyrovp.data.keyed import SPLITS
from pyrovp.data.status import Status
from pyrovp.doctor.devices import Devices
from pyrovp.doctor.outlook import Outlook
from pyrovp.doctor.packages import PackageFound
from pyrovp.doctor.report import Report
from pyrovp.doctor.weights import WeightsFound
from pyrovp.words import counted

__all__ = ["text"]

_ELSEWHERE = (
    "Originals may lie anywhere: python -m pyrovp.data prepare NAME --originals FOLDER\n"
    "What each data set is, and what it needs: python -m pyrovp.data list"
)


def text(report: Report) -> str:
    """The report in lines."""
    sections = {
        "packages": _packages(report.packages),
        "devices": _devices(report.devices),
        f"data sets, below {report.root}": _table(map(_data, report.data)),
        "weights of pretrained networks": _table(map(_weights, report.weights)),
        "extras": _packages(report.extras),
        "what would work right now": _works(report.outlook),
        "what would not, and why": _blocked(report.outlook),
    }
    head = f"pyrovp {report.pyrovp}, Python {report.python} ({report.executable})"
    parts = ["\n".join([title, *lines]) for title, lines in sections.items() if lines]
    return "\n\n".join([head, *parts, _ELSEWHERE])


def _packages(found: Iterable[PackageFound]) -> list[str]:
    return _table((package.project, _package(package)) for package in found)


def _package(found: PackageFound) -> str:
    if found.there:
        return f"{found.version}, for {found.purpose}"
    return f"{found.problem}; for {found.purpose}: {found.install}"


def _devices(found: Devices) -> list[str]:
    rows = [("CPU", f"cores: {found.cores}, threads of torch: {found.threads}")]
    for index, device in enumerate(found.cuda):
        rows.append((f"cuda:{index}", f"{device.name}, {device.memory / 2**30:.1f} GiB"))
    if found.no_cuda is not None:
        rows.append(("CUDA", f"none: {found.no_cuda}"))
    if found.mps:
        rows.append(("MPS", "there, but experiments run on the CPU or on CUDA only"))
    return _table(rows)


def _data(status: Status) -> tuple[str, str]:
    if status.generated:
        state = {
            "found": "ready: made while it is read",
            "missing": "the files that it is made from are missing",
            "unusable": "the files that it is made from cannot be used",
        }
        return status.name, state[status.originals.state]
    facts = []
    for stored in status.prepared:
        videos = "cannot be used" if stored.problem else f"{_counts(stored.videos)} videos"
        facts.append(f"prepared at {stored.resolution} px: {videos}")
    for begun in status.begun:
        facts.append(
            f"begun at {begun.resolution} px: {counted(begun.originals, 'original')} done"
        )
    state = {
        "found": f"originals: {_counts(status.originals.splits)}",
        "missing": "no originals",
        "unusable": "its originals cannot be used",
    }
    return status.name, "; ".join([*facts, state[status.originals.state]])


def _weights(found: WeightsFound) -> tuple[str, str]:
    return f"{found.metric} {found.name}", f"{found.state}: {found.note}"


def _works(outlooks: Sequence[Outlook]) -> list[str]:
    lines = []
    for verdict, title in (("train", "train on"), ("prepare", "prepare")):
        for found in outlooks:
            if found.verdict == verdict:
                lines += [f"  {title} {found.name}", f"    {found.command}"]
                lines += [f"    ({found.reason})"] if found.reason else []
    return lines


def _blocked(outlooks: Sequence[Outlook]) -> list[str]:
    names: dict[str, list[str]] = {}  # two data sets may wait for the same files
    for found in outlooks:
        if found.verdict == "blocked":
            names.setdefault(found.reason, []).append(found.name)
    return [f"  {', '.join(waiting)}: {reason}" for reason, waiting in names.items()]


def _counts(splits: Mapping[str, int]) -> str:
    """train 440, validation 39, test 120"""
    return ", ".join(f"{split} {splits[split]}" for split in SPLITS if split in splits)


def _table(rows: Iterable[tuple[str, str]]) -> list[str]:
    """Two columns."""
    pairs = list(rows)
    width = max(len(name) for name, _ in pairs)
    return [f"  {name:{width}}  {fact}" for name, fact in pairs]
