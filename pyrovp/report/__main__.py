"""`python -m pyrovp.report RUN`: a run's folder as one page, `report.html`, to keep or to send.

    python -m pyrovp.report runs/dlh-moving_digits-1f0c9a2b/seed0
    python -m pyrovp.report runs                    a page for every run

The page holds everything it shows. It is made from what lies in the folder, finished or not.
"""

import argparse
import sys
from collections.abc import Sequence

from pyrovp.commands.folder_command import found_runs
from pyrovp.errors import RunError
from pyrovp.report.page import write_report

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """The command.

    Args:
        arguments: Of the command line; by default this process's.

    Returns:
        The exit code: 2 where a folder is none of a run or cannot be written; the others get
        their pages all the same.
    """
    given = _parser().parse_args(arguments)
    try:
        folders = found_runs(given.run)
    except RunError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    code = 0
    for folder in folders:
        try:
            path = write_report(folder)
        except (RunError, OSError) as error:
            print(f"error: {error}", file=sys.stderr)
            code = 2
        else:
            print(f"{path} ({path.stat().st_size / 2**20:.1f} MB)")
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pyrovp.report",
        description="Writes report.html into folders of runs: one page with everything in it.",
    )
    parser.add_argument(
        "run", nargs="+", help="runs/NAME/seed0; a folder of runs stands for all of them"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
