"""The command line of an experiment: Hydra's, with the plus forgiven and errors in a sentence.

Hydra wants `+model=dlh` where the configuration has no default for `model` and `model=dlh` where
it has one, and refuses the other. Here both are the same. A user's mistake ends the program with
exit code 2 and a message that says what to do, without a stack trace; `HYDRA_FULL_ERROR=1` in
the environment brings the trace back.
"""

import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from pyrovp.checks import nearest
from pyrovp.train.errors import RunError

__all__ = ["arranged", "choices", "run_command", "stopping_at"]

# Read once: below, the variable is set for Hydra's sake.
_TRACES = os.environ.get("HYDRA_FULL_ERROR") == "1"

GROUPS = ("model", "data", "size", "elbo")
"""Groups of the configuration that have a default, in the order of the help text."""

_ASKING = (
    "--help",
    "-h",
    "--hydra-help",
    "--version",
    "--info",
    "-i",
    "-sc",
    "--shell-completion",
)


@contextmanager
def stopping_at(*refusals: type[Exception]) -> Iterator[None]:
    """Ends the program with exit code 2 and a message if one of these is raised inside."""
    try:
        yield
    except refusals as error:
        if _TRACES:
            raise
        _stop(str(error))  # a SystemExit: before an exception Hydra prints the whole command


def arranged(arguments: Sequence[str]) -> list[str]:
    """The arguments as Hydra wants them: its flags first, no + where a group is chosen.

    Example:
        >>> arranged(["+model=dlh", "size=paper", "-m", "+my.key=1,2"])
        ['-m', 'model=dlh', 'size=paper', '+my.key=1,2']
    """
    chosen = re.compile(rf"\+(?=(?:{'|'.join(GROUPS)})=)")
    is_override = re.compile(r"~|[+\w][+\w./@]*=").match
    flags = [argument for argument in arguments if not is_override(argument)]
    return flags + [chosen.sub("", a, count=1) for a in arguments if is_override(a)]


def choices(group: str, folders: Sequence[Path]) -> list[str]:
    """The names that a group offers: the files in its folder.

    Args:
        group: Name of the group.
        folders: Folders of configurations, the project's and the user's own.
    """
    return sorted({path.stem for folder in folders for path in (folder / group).glob("*.yaml")})


def run_command(job: Callable[[], None], conf: Path) -> None:
    """Runs a Hydra job on this process's arguments.

    Args:
        job: What `hydra.main` returned.
        conf: The folder of the job's configuration.
    """
    sys.argv[1:] = arranged(sys.argv[1:])
    if {"--help", "-h"} & set(sys.argv[1:]):
        print(_help(conf))
        return
    with stopping_at(RunError):
        _check_choices(sys.argv[1:], conf)
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra raises its errors, and does not print the trace
    try:
        job()
    except (HydraException, OmegaConfBaseException) as error:
        if _TRACES:
            raise
        _stop(_explain(error, sys.argv[1:], conf))
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from the last checkpoint", file=sys.stderr)
        sys.exit(130)


def _stop(message: str) -> None:
    print(f"error: {message}", file=sys.stderr)
    sys.exit(2)


def _own_folders(arguments: Sequence[str], conf: Path) -> list[Path]:
    """The project's folder of configurations and the one that --config-dir names."""
    text = " ".join(arguments)
    own = re.search(r"(?:--config-dir|-cd)[= ](\S+)", text)
    return [conf, Path(own[1])] if own else [conf]


def _check_choices(arguments: Sequence[str], conf: Path) -> None:
    """Refuses unknown names, and a command without a model."""
    folders = _own_folders(arguments, conf)
    chosen = dict(argument.split("=", 1) for argument in arguments if "=" in argument)
    own_config = any(re.match(r"--config-name|-cn", argument) for argument in arguments)
    asking = any(argument in _ASKING for argument in arguments)
    if "model" not in chosen and not own_config and not asking:
        raise RunError(
            f"no model given; known: {', '.join(choices('model', folders))}\n"
            f"for example: python {sys.argv[0]} +model=dlh"
        )
    for group in GROUPS:
        known = choices(group, folders)
        value = chosen.get(group, "")
        # choice(a, b), glob(*) and the like are Hydra's to read.
        names = value.split(",") if re.fullmatch(r"[\w,.-]+", value) else []
        for name in names:
            if name not in known:
                raise RunError(f"there is no {group} {name!r}; {nearest(name, known)}")
    _check_size(chosen, folders)


def _check_size(chosen: dict[str, str], folders: Sequence[Path]) -> None:
    """Refuses a paper's size of a model that no paper describes."""
    if chosen.get("size") != "paper":
        return
    known = sorted({p.stem for folder in folders for p in (folder / "size/paper").glob("*.yaml")})
    for name in chosen.get("model", "").split(","):
        if re.fullmatch(r"[\w.-]+", name) and name not in known:
            raise RunError(f"{name} has no size=paper; {', '.join(known)} have; use size=small")


def _explain(error: Exception, arguments: Sequence[str], conf: Path) -> str:
    """A Hydra error in a sentence, with the nearest key where one was misspelt."""
    text = f"{error}\n{error.__cause__ or ''}"
    where = re.search(r"Could not override '([^']+)'|full_key: (\S+)", text)
    key = str(where[1] or where[2]) if where else ""
    wrong = re.search(r"Value '(.*)' of type '\w+' could not be converted to (\w+)", text)
    if wrong and key:
        value, needed = map(str, wrong.groups())
        return f"{key}={value}: a value of type {needed} is needed"
    if key and "not in" in text:
        known = _known_keys(arguments, conf)
        section = key.rpartition(".")[0]
        inside = [k for k in known if k.rpartition(".")[0] == section]
        if section in known and not inside:
            return f"there is no setting {key}: {section} is one value here; give all of it"
        if not inside:  # only the guess: all keys would fill the screen
            guess = nearest(key, known).partition("known:")[0]
            return f"there is no setting {key}; {guess}--cfg job prints them all"
        return f"there is no setting {key}; {nearest(key, inside)}"
    return str(error).strip()


def _known_keys(arguments: Sequence[str], conf: Path) -> list[str]:
    """Dotted keys of the configuration that the chosen groups make."""
    overrides = [a for a in arguments if a.split("=")[0] in GROUPS and "," not in a]
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(conf), version_base="1.3"):
        return list(_flatten(compose("config", overrides), ""))


def _flatten(node: DictConfig, prefix: str) -> Iterator[str]:
    for name in map(str, node):
        yield prefix + name
        if not OmegaConf.is_missing(node, name) and isinstance(node[name], DictConfig):
            yield from _flatten(node[name], f"{prefix}{name}.")


def _help(conf: Path) -> str:
    lines = ["usage: python experiments/run.py +model=NAME [GROUP=NAME ...] [KEY=VALUE ...]", ""]
    lines += [f"{group:6}{', '.join(choices(group, [conf]))}" for group in GROUPS]
    lines += [
        "",
        "+model=NAME --cfg job    prints every key and its value, without running",
        "-m seed=0,1,2            runs every combination",
        "--config-dir=FOLDER      adds your own FOLDER/model/NAME.yaml",
        "--hydra-help             what else Hydra offers",
    ]
    return "\n".join(lines)
