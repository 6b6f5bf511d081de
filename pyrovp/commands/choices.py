"""What a command line chooses by name: groups of configurations, the project's and one's own."""

import re
from collections.abc import Sequence
from pathlib import Path

from pyrovp.checks import nearest
from pyrovp.errors import RunError

__all__ = ["check_choices", "choices", "is_override", "own_folders"]


def is_override(argument: str) -> bool:
    """Whether an argument sets a key of the configuration.

    Example:
        >>> [is_override(text) for text in ("train.steps=5", "~size", "-m", "runs/a")]
        [True, True, False, False]
    """
    return re.match(r"~|[+\w][+\w./@\[\]]*=", argument) is not None


def choices(group: str, folders: Sequence[Path]) -> list[str]:
    """The names that a group offers: the files in its folder.

    Args:
        group: Name of the group.
        folders: Folders of configurations, the project's and the user's own.
    """
    return sorted({path.stem for folder in folders for path in (folder / group).glob("*.yaml")})


def own_folders(arguments: Sequence[str], conf: Path) -> list[Path]:
    """The project's folder of configurations and the one that --config-dir names.

    Raises:
        RunError: If there is no such folder.
    """
    own: list[Path] = []
    for argument, after in zip(arguments, [*arguments[1:], ""], strict=False):
        if joined := re.match(r"(?:--config-dir|-cd)=", argument):
            own = [Path(argument[joined.end() :])]
        elif argument in ("--config-dir", "-cd"):
            own = [Path(after)]
    for folder in own:  # the last one counts, as for Hydra
        if not folder.is_dir():
            raise RunError(f"there is no folder {folder} (--config-dir)")
    return [conf, *own]


def check_choices(
    arguments: Sequence[str], groups: Sequence[str], folders: Sequence[Path]
) -> None:
    """Refuses unknown names.

    Args:
        arguments: Of the command.
        groups: Groups that are chosen by name.
        folders: See `choices`.

    Raises:
        RunError: With the nearest name.
    """
    chosen = dict(argument.split("=", 1) for argument in arguments if "=" in argument)
    for group in groups:
        known = choices(group, folders)
        value = chosen.get(group, "")
        # choice(a, b), glob(*) and the like are Hydra's to read.
        names = value.split(",") if re.fullmatch(r"[\w,.-]+", value) else []
        for name in names:
            if name not in known:
                looked = ", ".join(str(folder / group) for folder in folders[1:])
                own = f"looked in {looked} too" if looked else "not given"
                raise RunError(
                    f"there is no {group} {name!r}; {nearest(name, known)}\n"
                    f"files of your own: --config-dir=FOLDER, with FOLDER/{group}/{name}.yaml "
                    f"({own})"
                )
