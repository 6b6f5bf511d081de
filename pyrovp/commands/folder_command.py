"""Commands about runs: their folders first, then settings.

    python experiments/evaluate.py runs/dlh-moving_digits-1f0c9a2b/seed0 protocol=dlh samples=10

What is not KEY=VALUE and no flag is a folder. Before Hydra reads the arguments, folders are
replaced by the runs that lie in them and handed to the job as its configuration's list `runs`. A
script about runs is then

    CONF = Path(__file__).resolve().parent / "conf"
    COMMAND = FolderCommand("evaluate", CONF, EvaluationSettings, example="protocol=dlh")

    @hydra.main(version_base="1.3", config_path=str(CONF), config_name="evaluate")
    def job(config: DictConfig) -> None:
        for folder in config.runs: ...

    folder_command(job, COMMAND)

with `runs: []` in `conf/evaluate.yaml`. Where a job serves each run by itself, `each_run` lets the
others be served when one refuses, in a sweep as well.
"""

import re
import sys
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pyrovp.commands.choices import check_choices, choices, is_override, own_folders
from pyrovp.commands.help_text import COMMON, commented, key_rows, page
from pyrovp.commands.hydra_job import ASKING, arrange_completion, run_hydra, stopping_at
from pyrovp.errors import RunError
from pyrovp.processes import Processes

__all__ = ["FolderCommand", "each_run", "folder_command", "found_runs", "parted"]

# Flags of Hydra's whose value may be an argument of its own.
_WITH_VALUE = re.compile(r"-c|--cfg|-p|--package|-c[pnd]|--config-(path|name|dir)|"
                         r"--experimental-rerun")  # fmt: skip

# Runs that refused, of the command that is under way: a sweep has several jobs.
_REFUSED: ContextVar[list[str]] = ContextVar("refused")


@dataclass(frozen=True)
class FolderCommand:
    """A command about runs.

    Args:
        name: Of its script, `experiments/NAME.py`, and of its configuration, `conf/NAME.yaml`.
        conf: The folder of configurations.
        settings: The class of that configuration.
        example: Settings that make a sensible first command.
        keys: Settings that `--help` explains, as their class does.
        about: What `--help` says first.
        groups: Groups of the configuration that are chosen by name, such as "analysis".
        needed: Those of them that have no default.
        most: How many runs it takes; None: any number from 1 on.
    """

    name: str
    conf: Path
    settings: type[Any]
    example: str
    keys: tuple[str, ...] = ()
    about: str | None = None
    groups: tuple[str, ...] = ()
    needed: tuple[str, ...] = ()
    most: int | None = None


def folder_command(job: Callable[[], None], command: FolderCommand) -> None:
    """Runs a Hydra job on this process's arguments, folders of runs among them.

    Mistakes end the process with exit code 2 and a sentence; so does a run that refused, when all
    jobs are done.

    Args:
        job: What `hydra.main` returned; its configuration has a list `runs`.
        command: What it is called and what it takes.
    """
    arguments = sys.argv[1:]
    arrange_completion(partial(_without_folders, command))
    if {"--help", "-h"} & set(arguments):
        print(_help(command, own_folders(arguments, command.conf)))
        return
    with stopping_at(RunError):
        flags, given, settings = parted(arguments)
        asking = any(flag in (*ASKING, "--cfg", "-c") for flag in flags)
        overrides = _plain(settings, command)
        named = any(setting.startswith("runs=") for setting in overrides)
        if given or not (named or asking):
            overrides.append(f"runs=[{','.join(map(_quoted, _runs(given, command)))}]")
        if not asking:
            _check_groups([*flags, *overrides], command)
    sys.argv[1:] = [*flags, *overrides]
    afterwards = "what is finished is kept: the same command goes on"
    refused: list[str] = []
    token = _REFUSED.set(refused)
    try:
        run_hydra(job, command.conf, command.name, command.groups, afterwards)
    finally:
        _REFUSED.reset(token)
    if refused:
        sys.exit(2)


def each_run(folders: Sequence[str], serve: Callable[[str], object]) -> None:
    """Serves one run after the other, within a job of `folder_command`.

    One that refuses says why, and the others are served all the same; several processes end.

    Args:
        folders: Of the runs.
        serve: Raises a ValueError to refuse.
    """
    processes = Processes.present()
    for number, folder in enumerate(folders):
        if number and processes.main:
            print()
        try:
            with stopping_at(ValueError):
                serve(folder)
        except SystemExit:  # said why
            if processes.ranks > 1:  # the others may be in the midst of it: all of them end
                raise
            _REFUSED.get().append(folder)


def parted(arguments: Sequence[str]) -> tuple[list[str], list[str], list[str]]:
    """Arguments as (Hydra's flags with their values, folders, settings).

    Example:
        >>> parted(["runs/a", "seed=1", "--cfg", "job", "runs/b"])
        (['--cfg', 'job'], ['runs/a', 'runs/b'], ['seed=1'])
    """
    flags: list[str] = []
    folders: list[str] = []
    settings: list[str] = []
    before = ""
    for argument in arguments:
        if argument.startswith("-") or _WITH_VALUE.fullmatch(before):
            flags.append(argument)
        elif is_override(argument) and not Path(argument).is_dir():
            settings.append(argument)
        else:
            folders.append(argument)
        before = argument
    return flags, folders, settings


def _plain(settings: Sequence[str], command: FolderCommand) -> list[str]:
    """Settings without a plus where Hydra wants none."""
    plus = re.compile(rf"\+(?=(?:{'|'.join(('runs', *command.groups))})=)")
    return [plus.sub("", setting, count=1) for setting in settings]


def _without_folders(command: FolderCommand, arguments: list[str]) -> list[str]:
    flags, _, settings = parted(arguments)
    return [*flags, *_plain(settings, command)]


def found_runs(given: Sequence[str | Path]) -> list[Path]:
    """The runs that folders stand for, without repetition.

    A run's own folder stands for itself, that of a model (`runs/NAME`) for all of its seeds, and
    one that holds such folders (`runs`) for all runs in it. Where a shell has written out
    `runs/*`, the file that a sweep of Hydra's leaves there is passed over.

    Raises:
        RunError: If there is no such folder, or no run in it.
    """
    found: list[Path] = []
    for path in map(Path, given):
        if path.name == "multirun.yaml" and path.is_file():
            continue
        if not path.is_dir():
            what = "is no folder" if path.exists() else "is not there"
            raise RunError(
                f"{path} {what}; give folders of runs, runs/NAME/seed0, and settings as KEY=VALUE"
            )
        for pattern in ("config.yaml", "seed*/config.yaml", "*/seed*/config.yaml"):
            if inside := sorted(path.glob(pattern)):
                found += [file.parent for file in inside]
                break
        else:
            raise RunError(
                f"{path} holds no run: there is no config.yaml in it; give runs/NAME/seed0"
            )
    return list(dict.fromkeys(found))


def _runs(given: Sequence[str], command: FolderCommand) -> list[Path]:
    """The runs of a command: at least one, at most as many as it takes."""
    if not given:
        raise RunError(
            f"no run given; for example: python {sys.argv[0]} runs/NAME/seed0 {command.example}"
        )
    runs = found_runs(given)
    if command.most is not None and len(runs) > command.most:
        listed = ", ".join(map(str, runs))
        raise RunError(
            f"{command.name} takes {command.most} run{'s' * (command.most > 1)}, but "
            f"{len(runs)} were given: {listed}"
        )
    return runs


def _check_groups(arguments: Sequence[str], command: FolderCommand) -> None:
    folders = own_folders(arguments, command.conf)
    chosen = {argument.partition("=")[0] for argument in arguments}
    for group in command.needed:
        if group not in chosen:
            raise RunError(
                f"no {group} given; known: {', '.join(choices(group, folders))}\n"
                f"for example: python {sys.argv[0]} runs/NAME/seed0 {command.example}"
            )
    check_choices(arguments, command.groups, folders)


def _quoted(path: Path) -> str:
    """A path as a string of Hydra's grammar, in which a comma or a space means something."""
    return "'" + str(path).replace("'", "\\'") + "'"


def _help(command: FolderCommand, folders: Sequence[Path]) -> str:
    more = "" if command.most == 1 else " [RUN ...]"
    needed = "".join(f" {group}=NAME" for group in command.needed)
    runs = {"RUN": "runs/NAME/seed0; a folder that holds several runs stands for all of them"}
    groups = {
        f"{group}=NAME, one of": commented(group, choices(group, folders), folders)
        for group in command.groups
    }
    own = {f"{group}.KEY=VALUE": f"a setting of the {group} itself" for group in command.groups}
    sweep = {"-m KEY=1,2,3": "one after the other"} if command.most != 1 else {}
    return page(
        f"python experiments/{command.name}.py RUN{more}{needed} [KEY=VALUE ...]",
        command.about,
        {"runs": runs}
        | groups
        | {"keys": own | key_rows(command.settings, command.keys)}
        | {"flags": sweep | COMMON},
    )
