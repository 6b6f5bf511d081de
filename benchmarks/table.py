"""The figures of `benchmarks.run` as Markdown.

    python -m benchmarks.table cpu.json gpu.json

Seconds are medians: CPU seconds of the whole process on a processor, wall seconds on a GPU.
Ratios are those of the first side to the others. Where memory ends is not measured but drawn as a
straight line through the measured peaks:

    bytes = a + b · (frames of a step)        and so        most frames = (memory - a) / b
"""

import argparse
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["main", "markdown", "memory_line"]

Row = dict[str, str]

SCHEDULE = 60_000
"""Steps of CW-VAE's published training."""


def markdown(report: dict[str, Any]) -> str:
    """All tables of a file."""
    environment, machine = report["environment"], report["machine"]
    commit = (environment["commit"] or "unknown")[:7]
    memory = machine["memory"] / 1e9
    title = (
        f"{machine['name']}, {machine['threads']} threads, {memory:.0f} GB; "
        f"torch {environment['torch']}; commit {commit}; 64 x 64 frames unless said otherwise."
    )
    clock = "cpu" if environment["device"] == "cpu" else "wall"
    groups: dict[str, list[dict[str, Any]]] = {}
    for comparison in report["comparisons"]:
        groups.setdefault(comparison["what"], []).append(comparison)
    parts = [title]
    for what, group in groups.items():
        rows = _growth if what.startswith("growth") else _sides
        parts += [
            f"**{what.capitalize()}**",
            table(rows(comparison, clock) for comparison in group),
        ]
    parts += list(_ends(groups, machine["memory"]))
    if clock == "wall":
        parts += list(_schedule(groups.get("training step", [])))
    if "start" in report:
        parts += [_start(report["start"])]
    return "\n\n".join(parts) + "\n"


def table(rows: Iterable[Row]) -> str:
    """Rows with the union of their columns, in the order in which these turn up."""
    rows = list(rows)
    columns = list(dict.fromkeys(name for row in rows for name in row))
    lines = [columns, ["---"] * len(columns)]
    lines += [[row.get(name, "") for name in columns] for row in rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def memory_line(points: list[tuple[int, int]]) -> tuple[float, float]:
    """a and b of bytes = a + b · frames, by least squares."""
    frames, held = zip(*points, strict=True)
    slope, start = np.polyfit(frames, held, 1)
    return float(start), float(slope)


def _sides(comparison: dict[str, Any], clock: str) -> Row:
    """One row: the first side's figures, its ratios to the others."""
    first, *others = comparison["sides"]
    row = {
        "system": comparison["system"],
        "shape": comparison["shape"],
        _UNIT[clock]: f"{first[clock]:.3f}",
        "frames/s": f"{first['frames'] / first['wall']:,.0f}",
    }
    row |= {f"/ {side['name']}": f"{first[clock] / side[clock]:.3f}" for side in others}
    held = {side["name"]: side["bytes"] for side in comparison["sides"] if side["bytes"]}
    return row | {
        "MB" if name == first["name"] else f"MB, {name}": f"{size / 1e6:,.0f}"
        for name, size in held.items()
    }


def _growth(comparison: dict[str, Any], clock: str) -> Row:
    """One row: each figure at all sizes."""

    def each(figure: Callable[[dict[str, Any]], str]) -> str:
        return " · ".join(figure(side) for side in comparison["sides"])

    return {
        "system": comparison["system"],
        "at": comparison["shape"],
        "sizes": each(lambda side: side["name"]),
        _UNIT[clock]: each(lambda side: f"{side[clock]:.2f}"),
        "frames/s": each(lambda side: f"{side['frames'] / side['wall']:,.0f}"),
        "MB": each(lambda side: f"{side['bytes'] / 1e6:,.0f}" if side["bytes"] else "-"),
    }


_UNIT = {"cpu": "CPU s", "wall": "wall s"}


def _ends(groups: dict[str, list[dict[str, Any]]], memory: int) -> Iterator[str]:
    """Where memory ends, of the systems whose growth was measured."""
    points: dict[str, set[tuple[int, int]]] = {}
    for what in ("growth in T", "growth in B"):
        for comparison in groups.get(what, []):
            of_system = points.setdefault(comparison["system"], set())
            of_system |= {(side["frames"], side["bytes"]) for side in comparison["sides"]}
    rows = []
    for system, measured in points.items():
        start, slope = memory_line(sorted(measured))
        rows.append(
            {
                "system": system,
                "MB before the first frame": f"{start / 1e6:,.0f}",
                "MB a frame": f"{slope / 1e6:.2f}",
                f"B · T in {memory / 1e9:.0f} GB": f"{(memory - start) / slope:,.0f}",
            }
        )
    if rows:
        yield "**Where memory ends**, by a straight line through the peaks above"
        yield table(rows)


def _schedule(steps: list[dict[str, Any]]) -> Iterator[str]:
    for comparison in steps:
        if comparison["system"] == "cwvae":
            hours = comparison["sides"][0]["wall"] * SCHEDULE / 3600
            yield f"{SCHEDULE:,} steps of cwvae at this rate take {hours:.2f} h."


def _start(start: dict[str, dict[str, float]]) -> str:
    imports = ", ".join(f"{name} {taken:.2f} s" for name, taken in start["import"].items())
    built = ", ".join(f"{name} {taken:.2f} s" for name, taken in start["construct"].items())
    return f"Importing: {imports}, each on top of those before. Constructing: {built}."


def main(arguments: list[str] | None = None) -> None:
    """Prints the tables of each file."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("files", type=Path, nargs="+", help="what benchmarks.run has written")
    for file in parser.parse_args(arguments).files:
        try:
            report = _read(file)
        except ValueError as error:
            parser.error(str(error))
        print(markdown(report))


def _read(file: Path) -> dict[str, Any]:
    """What `benchmarks.run` has written.

    Raises:
        ValueError: If it is not that.
    """
    wanted = "give a file of python -m benchmarks.run --json FILE"
    try:
        report = json.loads(file.read_text())
    except OSError as error:
        raise ValueError(f"{file} cannot be read ({error.strerror}); {wanted}") from None
    except ValueError as error:  # bytes that are no text, among others
        raise ValueError(f"{file} is no JSON ({error}); {wanted}") from None
    missing = {"environment", "machine", "comparisons"}
    missing -= set(report) if isinstance(report, dict) else set()
    if missing:
        raise ValueError(f"{file} has no {', '.join(sorted(missing))}; {wanted}")
    return report


if __name__ == "__main__":
    main()
