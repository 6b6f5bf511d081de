"""Hydra's jobs with errors in a sentence: what every command line of ours is made of.

A user's mistake ends the program with exit code 2 and a message that says what to do, without a
stack trace; `HYDRA_FULL_ERROR=1` in the environment brings the trace back.
"""

import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from pyrovp.checks import nearest
from pyrovp.errors import RunError, Stopped
from pyrovp.processes import Processes
from pyrovp.train.stopping import ending_on_sigterm

__all__ = [
    "ASKING",
    "arrange_completion",
    "check_choices",
    "choices",
    "is_override",
    "own_folders",
    "run_hydra",
    "stopping_at",
]

# Read once: below, the variable is set for Hydra's sake.
_TRACES = os.environ.get("HYDRA_FULL_ERROR") == "1"

ASKING = (
    "--help",
    "-h",
    "--hydra-help",
    "--version",
    "--info",
    "-i",
    "-sc",
    "--shell-completion",
)
"""Flags of commands that only ask."""


@contextmanager
def stopping_at(*refusals: type[Exception]) -> Iterator[None]:
    """Ends the program with a message and an exit code if one of these is raised inside."""
    try:
        yield
    except refusals as error:
        if _TRACES:
            raise
        # A SystemExit: before an exception Hydra prints the whole command.
        _stop(str(error), getattr(error, "code", RunError.code))


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
    """The project's folder of configurations and the one that --config-dir names."""
    own: list[Path] = []
    for argument, after in zip(arguments, [*arguments[1:], ""], strict=True):
        if joined := re.match(r"(?:--config-dir|-cd)=", argument):
            own = [Path(argument[joined.end() :])]
        elif argument in ("--config-dir", "-cd"):
            own = [Path(after)]
    return [conf, *own]  # the last one counts, as for Hydra


def arrange_completion(arranged: Callable[[list[str]], list[str]]) -> None:
    """Gives Hydra's completion the line that Hydra would be given.

    A shell asks for the last word of COMP_LINE; Hydra composes those before it, and has nothing to
    offer where it cannot.

    Args:
        arranged: What a command makes of its arguments.
    """
    program, script, *words = os.environ.get("COMP_LINE", "").split(" ") + ["", ""]
    words = words[:-2]
    if "COMP_LINE" in os.environ and words:
        line = [program, script, *arranged([word for word in words[:-1] if word]), words[-1]]
        os.environ["COMP_LINE"] = " ".join(line)


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
                raise RunError(f"there is no {group} {name!r}; {nearest(name, known)}")


def run_hydra(
    job: Callable[[], None], conf: Path, config: str, groups: Sequence[str], afterwards: str
) -> None:
    """Runs a Hydra job on this process's arguments; Hydra's complaints become sentences.

    Args:
        job: What `hydra.main` returned.
        conf: The folder of the job's configuration.
        config: Its name, without a suffix.
        groups: Groups that are chosen by name.
        afterwards: What the same command does after an interruption.
    """
    try:
        with ending_on_sigterm(), _raising():
            job()
    except (HydraException, OmegaConfBaseException) as error:
        if _TRACES:
            raise
        _stop(_explain(error, sys.argv[1:], conf, config, groups))
    except KeyboardInterrupt:
        if Processes.present().first_to_end():
            print(f"interrupted; {afterwards}", file=sys.stderr)
        sys.exit(130)


@contextmanager
def _raising() -> Iterator[None]:
    """Hydra raises its errors, and does not print the trace; programs started later may."""
    before = os.environ.get("HYDRA_FULL_ERROR")
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["HYDRA_FULL_ERROR"]
        else:
            os.environ["HYDRA_FULL_ERROR"] = before


def _stop(message: str, code: int = RunError.code) -> NoReturn:
    processes = Processes.present()
    # All of several processes save and stop at the same step.
    if processes.main if code == Stopped.code else processes.first_to_end():
        print(f"error: {message}", file=sys.stderr)
    sys.exit(code)


def _explain(
    error: Exception, arguments: Sequence[str], conf: Path, config: str, groups: Sequence[str]
) -> str:
    """A Hydra error in a sentence, with the nearest key where one was misspelt."""
    text = f"{error}\n{error.__cause__ or ''}"
    where = re.search(r"Could not override '([^']+)'|full_key: (\S+)", text)
    key = str(where[1] or where[2]) if where else ""
    wrong = re.search(r"Value '(.*)' of type '\w+' could not be converted to (\w+)", text)
    if wrong and key:
        value, needed = map(str, wrong.groups())
        return f"{key}={value}: a value of type {needed} is needed"
    if key and "not in" in text:
        known = _known_keys(arguments, conf, config, groups)
        section = key.rpartition(".")[0]
        inside = [k for k in known if k.rpartition(".")[0] == section]
        if section in known and not inside:
            return f"there is no setting {key}: {section} is one value here; give all of it"
        if not inside:  # only the guess: all keys would fill the screen
            guess = nearest(key, known).partition("known:")[0]
            return f"there is no setting {key}; {guess}--cfg job prints them all"
        return f"there is no setting {key}; {nearest(key, inside)}"
    if "hydra/launcher/submitit" in text:
        return (
            "this launcher needs the package hydra-submitit-launcher, which is not installed; "
            "run: pip install 'pyrovp[cluster]'"
        )
    return str(error).strip()


def _known_keys(
    arguments: Sequence[str], conf: Path, config: str, groups: Sequence[str]
) -> list[str]:
    """Dotted keys of the configuration that the chosen groups make."""
    overrides = [a for a in arguments if a.split("=")[0] in groups and "," not in a]
    # Quoted: the path is a string of Hydra's grammar.
    own = [f'"file://{folder.resolve()}"' for folder in own_folders(arguments, conf)[1:]]
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(conf), version_base="1.3"):
        composed = compose(config, [*overrides, f"hydra.searchpath=[{','.join(own)}]"])
    return list(_flatten(OmegaConf.to_container(composed), ""))


def _flatten(node: Any, prefix: str) -> Iterator[str]:
    pairs = node.items() if isinstance(node, dict) else ()
    for name, inside in enumerate(node) if isinstance(node, list) else pairs:
        yield f"{prefix}{name}"
        yield from _flatten(inside, f"{prefix}{name}.")
