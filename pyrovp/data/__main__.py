"""`python -m pyrovp.data`: what data sets there are, and making them ready.

    python -m pyrovp.data list                      what there is, and where it is looked for
    python -m pyrovp.data prepare kth               originals -> the form that is trained from
    python -m pyrovp.data prepare moving_mnist --download
    python -m pyrovp.data verify kth                does it still hold what was written?
    python -m pyrovp.data prepare --source ducks:Ducks        a source of your own, in ducks.py

Only --download opens a network connection. A preparation may be stopped at any moment; the same
command goes on. A mistake ends with exit code 2 and a message that says what to do.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from pyrovp.data.catalogue import catalogue
from pyrovp.data.checks import one_of, whole
from pyrovp.data.errors import DataError, MissingFiles
from pyrovp.data.generated import GENERATED, Generated, draw_clips
from pyrovp.data.own_source import load_source
from pyrovp.data.places import (
    data_root,
    prepare_command,
    prepared_folder,
    prepared_resolutions,
)
from pyrovp.data.prepare import prepare
from pyrovp.data.registry import SOURCES
from pyrovp.data.sources.base import Source
from pyrovp.data.store import verify
from pyrovp.words import counted

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """The command.

    Args:
        arguments: Of the command line; by default this process's.

    Returns:
        The exit code: 0, 2 for a mistake, 130 if it was interrupted.
    """
    given = _parser().parse_args(arguments)
    try:
        given.command(given)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        without = " without --force" if vars(given).get("force") else ""  # which starts over
        print(f"stopped; the same command{without} goes on", file=sys.stderr)
        return 130
    return 0


def _list(given: argparse.Namespace) -> None:
    print(catalogue(given.root))


def _prepare(given: argparse.Namespace) -> None:
    found, root = _find(given), data_root(given.root)
    if isinstance(found, Generated):
        if given.originals is not None:
            raise DataError(
                f"{found.name} is made while it is read and has no originals; leave out "
                "--originals, and name the folder of all data with --root"
            )
        found.check(root, given.download, print)
        asked = 64 if given.resolution is None else given.resolution
        draw_clips(found, root, whole("resolution (px)", asked, 4), print)
        return
    if given.download:
        raise DataError(
            f"{found.name} is not fetched by this command; get it from {found.address}"
        )
    prepare(
        found,
        root,
        folder=given.originals,
        resolution=given.resolution,
        workers=given.workers,
        skip_damaged=given.skip_damaged,
        force=given.force,
    )


def _verify(given: argparse.Namespace) -> None:
    found, root = _find(given), data_root(given.root)
    if isinstance(found, Generated):
        found.check(root, False, print)
        print(f"{found.name} is made while it is read: nothing else is stored")
        return
    resolutions = prepared_resolutions(root, found.name)
    if given.resolution is not None:
        resolutions = [given.resolution]
    if not resolutions:
        own = given.source is not None
        command = prepare_command(root, found.name, found.resolution, own=own)
        raise MissingFiles(
            f"{found.name} is not prepared: looked in {root / 'prepared'}; prepare it: {command}"
        )
    for resolution in resolutions:
        prepared = verify(prepared_folder(root, found.name, resolution))
        videos = sum(split.videos for split in prepared.splits.values())
        print(f"{prepared.folder} holds what was written: {counted(videos, 'video')}")


def _find(given: argparse.Namespace) -> Source | Generated:
    if given.source is not None:
        return load_source(given.source)
    known = GENERATED | SOURCES
    return known[one_of("the name of a data set", given.name, list(known))]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pyrovp.data", description="Data sets: what there is, and making it ready."
    )
    commands = parser.add_subparsers(required=True)
    everywhere = argparse.ArgumentParser(add_help=False)
    everywhere.add_argument(
        "--root",
        type=Path,
        help="the folder of all data; by default the environment's PYROVP_DATA, or ./data",
    )
    named = argparse.ArgumentParser(add_help=False)
    which = named.add_mutually_exclusive_group(required=True)
    which.add_argument(
        "name",
        metavar="NAME",
        nargs="?",
        default=argparse.SUPPRESS,
        help=", ".join(GENERATED | SOURCES),
    )
    which.add_argument("--source", metavar="MODULE:CLASS", help="a source of your own instead")
    named.add_argument("--resolution", type=int, help="height and width of the frames in px")

    listing = commands.add_parser("list", parents=[everywhere], help="what there is")
    listing.set_defaults(command=_list)

    preparing = commands.add_parser(
        "prepare", parents=[named, everywhere], help="read the originals once, store the videos"
    )
    preparing.set_defaults(command=_prepare)
    preparing.add_argument(
        "--originals", type=Path, metavar="FOLDER", help="where they are; by default ROOT/NAME"
    )
    preparing.add_argument("--workers", type=int, default=0, help="processes that read; default 0")
    preparing.add_argument(
        "--skip-damaged", action="store_true", help="leave damaged originals out, and list them"
    )
    preparing.add_argument("--force", action="store_true", help="start over")
    preparing.add_argument("--download", action="store_true", help="fetch MNIST if it is missing")

    verifying = commands.add_parser(
        "verify", parents=[named, everywhere], help="compare what is stored with its sha256"
    )
    verifying.set_defaults(command=_verify)
    return parser


if __name__ == "__main__":
    sys.exit(main())
