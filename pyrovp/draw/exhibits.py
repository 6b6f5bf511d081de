"""What an analysis shows, as files: one way for each form, whatever the analysis.

Curve     NAME.png
Raster    NAME.png
Strip     NAME.png and, of two frames or more, NAME.gif
Table     NAME.csv
"""

__all__ = ["Exhibit", "draw"]

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pyrovp.analysis.findings import Curve, Raster, Strip, Table
from pyrovp.draw.cells import table_csv
from pyrovp.draw.lines import curve_png
from pyrovp.draw.rasters import raster_png
from pyrovp.draw.strips import strip_gif, strip_png

Exhibit = Table | Curve | Strip | Raster
"""What can be drawn."""
Writer = Callable[[Path, Any], None]


def draw(exhibits: Mapping[str, Exhibit], folder: str | os.PathLike[str]) -> list[Path]:
    """Writes each exhibit, each file whole or not at all.

    Args:
        exhibits: By file name without a suffix.
        folder: Where the files go; made if it is missing.

    Returns:
        The files, in the order of the exhibits; the stem of each is its exhibit's name.

    Raises:
        ValueError: If a name is none for a file, an exhibit is of no known form, or its parts do
            not fit together; then nothing of that exhibit is written.
    """
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    return [path for name, exhibit in exhibits.items() for path in _draw(place, name, exhibit)]


def _draw(folder: Path, name: str, exhibit: Exhibit) -> list[Path]:
    if not re.fullmatch(r"\w[\w.-]*", name):
        raise ValueError(
            f"an exhibit is called {name!r}, which names its files: use letters, digits, _, - "
            "and ., and no suffix"
        )
    written = []
    for suffix, write in _writers(name, exhibit).items():
        path = folder / f"{name}{suffix}"
        write(path, exhibit)
        written.append(path)
    return written


def _writers(name: str, exhibit: Exhibit) -> Mapping[str, Writer]:
    match exhibit:
        case Table():
            return {".csv": table_csv}
        case Curve():
            return {".png": curve_png}
        case Raster():
            return {".png": raster_png}
        case Strip():
            moves = any(len(frames) > 1 for frames in exhibit.rows.values())
            return {".png": strip_png} | ({".gif": strip_gif} if moves else {})
    raise ValueError(
        f"exhibit {name!r} is a {type(exhibit).__name__}; what is shown is a Table, Curve, Strip "
        "or Raster of pyrovp.analysis"
    )
