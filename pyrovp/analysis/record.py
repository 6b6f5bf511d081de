"""What an analysis found, as JSON holds it: figures, words and tables; of pictures, their files.

    {"sentences": [...], "facts": {...},
     "exhibits": {"gates": {"form": "Table", "title": ..., "files": ["gates.csv"],
                            "columns": [...], "rows": [...]},
                  "gate_raster": {"form": "Raster", "title": ..., "files": ["gate_raster.png"]}}}

A number that is not finite is null, since JSON has no other word for it.
"""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pyrovp.analysis.findings import Findings, Table

__all__ = ["finite", "record"]


def record(findings: Findings, files: Sequence[Path] = ()) -> dict[str, Any]:
    """The findings, and which files show them.

    Args:
        findings: What was found.
        files: What `pyrovp.draw.draw` returned.

    Raises:
        ValueError: If the facts hold something that JSON cannot.
    """
    exhibits: dict[str, Any] = {}
    for name, exhibit in findings.exhibits.items():
        shown = [path.name for path in files if path.stem == name]
        exhibits[name] = {
            "form": type(exhibit).__name__,
            "title": exhibit.title,
            "files": shown,
        }
        if isinstance(exhibit, Table):
            rows = [list(row) for row in exhibit.rows]
            exhibits[name] |= {"columns": list(exhibit.columns), "rows": finite(rows)}
    facts = finite(findings.facts)
    try:
        json.dumps(facts, allow_nan=False)
    except TypeError as error:
        raise ValueError(
            f"the facts of an analysis go into a JSON file, but {error}; use numbers, strings, "
            "lists and dictionaries, .item() or .tolist() of tensors"
        ) from None
    return {"sentences": list(findings.sentences), "facts": facts, "exhibits": exhibits}


def finite(value: Any) -> Any:
    """The same with None for every number that is not finite, however deep.

    Example:
        >>> finite({"a": [1.0, float("nan")], "b": (float("inf"), "x")})
        {'a': [1.0, None], 'b': [None, 'x']}
    """
    if isinstance(value, Mapping):
        return {key: finite(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
