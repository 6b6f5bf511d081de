"""`python -m pyrovp.doctor`: what is here, what is not, and what would work right now.

    python -m pyrovp.doctor                a report to read
    python -m pyrovp.doctor --json         the same for machines
    python -m pyrovp.doctor --root DATA    for the data sets of another folder

It changes nothing and opens no network connection. The exit code is 0 whatever is missing, but 1
where torch or Pyro cannot be imported, without which nothing works.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from pyrovp.doctor.packages import REQUIRED, PackageFound, look_up

__all__ = ["main"]

_VITAL = ("torch", "pyro-ppl")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command.

    Args:
        arguments: Of the command line; by default this process's.

    Returns:
        The exit code.
    """
    given = _parser().parse_args(arguments)
    packages = [look_up(package) for package in REQUIRED]
    broken = [found for found in packages if found.project in _VITAL and not found.there]
    if broken:
        print(_only(packages, given.json))
        return 1
    # Only here: everything else needs torch and Pyro.
    from pyrovp.doctor.report import examine
    from pyrovp.doctor.text import text

    report = examine(packages, given.root)
    print(report.as_json() if given.json else text(report))
    return 0


def _only(packages: Sequence[PackageFound], as_json: bool) -> str:
    """All that can be said where pyrovp itself cannot be imported."""
    if as_json:
        return json.dumps({"packages": [asdict(found) for found in packages]}, indent=2)
    lines = [f"  {p.project}: {p.version or f'{p.problem}; {p.install}'}" for p in packages]
    return "\n".join(["nothing works here, because packages are missing", *lines])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pyrovp.doctor",
        description="What is here, what is not, and what would work right now.",
    )
    parser.add_argument("--json", action="store_true", help="for machines")
    parser.add_argument(
        "--root",
        type=Path,
        help="the folder of all data; by default the environment's PYROVP_DATA, or ./data",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
