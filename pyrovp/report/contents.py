"""What lies in the folder of a run, as far as it can be read.

    config.yaml                       what was run; without it there is no run
    metrics.json, *.png, *.gif        figures and pictures of its evaluation
    metrics.jsonl, done.json          the log of training, and that it is finished
    evaluations/NAME/metrics.json     evaluations after it, with their pictures; or NAME.json
    analyses/NAME/findings.json       what was asked of it, with pictures

A file that is missing is passed over: a run may not be finished. One that is damaged is noted.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pyrovp.errors import RunError
from pyrovp.train.log import read_rows

__all__ = ["Contents", "Part", "read_contents"]


@dataclass(frozen=True)
class Part:
    """Facts in a file, and what lies beside it.

    Args:
        name: What it is called.
        facts: The file's content; empty where it cannot be read.
        folder: Where its pictures are; None: it has none.
    """

    name: str
    facts: dict[str, Any]
    folder: Path | None

    def pictures(self) -> list[Path]:
        """Its pictures, by name; those being written start with a dot and do not count."""
        if self.folder is None:
            return []
        found = (path for path in self.folder.iterdir() if path.suffix in (".png", ".gif"))
        return sorted(path for path in found if not path.name.startswith("."))


@dataclass(frozen=True)
class Contents:
    """A run's folder.

    Args:
        path: The folder.
        config: Text of its configuration.
        run: The evaluation at its end.
        log: Rows of `metrics.jsonl`.
        done: Content of `done.json`; None while it is under way.
        evaluations, analyses: What came after it.
        notes: What could not be read, in sentences.
    """

    path: Path
    config: str
    run: Part
    log: list[dict[str, Any]]
    done: dict[str, Any] | None
    evaluations: list[Part]
    analyses: list[Part]
    notes: list[str] = field(default_factory=list)

    @property
    def model(self) -> str:
        """Its model's name."""
        return str(self.run.facts.get("model") or self.path.parent.name.split("-")[0])

    @property
    def data(self) -> str:
        """Its data set's name."""
        parts = self.path.parent.name.rsplit("-", 2)
        return str(self.run.facts.get("data") or (parts[1] if len(parts) == 3 else "its data"))


def read_contents(path: Path) -> Contents:
    """Reads a run's folder.

    Args:
        path: Of a single run, `runs/NAME/seed0`.

    Raises:
        RunError: If it holds no configuration that can be read.
    """
    try:
        config = (path / "config.yaml").read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        raise RunError(
            f"{path} is no folder of a run: it has no readable config.yaml ({error}); give "
            "runs/NAME/seed0"
        ) from None
    path, notes = path.resolve(), list[str]()
    evaluations = [
        Part(file.parent.name, _read(file, notes), file.parent)
        for file in sorted(path.glob("evaluations/*/metrics.json"))
    ] + [
        Part(file.stem, _read(file, notes), None)
        for file in sorted(path.glob("evaluations/*.json"))
    ]
    analyses = [
        Part(file.parent.name, _read(file, notes), file.parent)
        for file in sorted(path.glob("analyses/*/findings.json"))
    ]
    return Contents(
        path=path,
        config=config,
        run=Part("run", _read(path / "metrics.json", notes), path),
        log=_log(path / "metrics.jsonl", notes),
        done=_read(path / "done.json", notes) or None,
        evaluations=evaluations,
        analyses=analyses,
        notes=notes,
    )


def _read(path: Path, notes: list[str]) -> dict[str, Any]:
    """A JSON file's content; empty where there is none."""
    if not path.exists():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        notes.append(f"{path} cannot be read: {error}")
        return {}
    if isinstance(content, dict):
        return content
    notes.append(f"{path} holds a {type(content).__name__}, not facts by name")
    return {}


def _log(path: Path, notes: list[str]) -> list[dict[str, Any]]:
    try:
        return [row for row in read_rows(path) if isinstance(row, dict)]
    except (OSError, ValueError) as error:
        notes.append(f"{path} cannot be read: {error}")
        return []
