"""Hydra's jobs with errors in a sentence: what every command line of ours is made of.

A user's mistake ends the program with exit code 2 and a message that says what to do, without a
stack trace; `HYDRA_FULL_ERROR=1` in the environment brings the trace back.
"""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import yaml
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from pyrovp.commands.explained import explained
from pyrovp.errors import RunError, Stopped
from pyrovp.processes import Processes
from pyrovp.train.stopping import ending_on_sigterm

__all__ = [
    "ASKING",
    "arrange_completion",
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
    if "out=" in sys.argv[1:]:  # as of out=$FOLDER in a script where FOLDER is not set
        _stop("out is empty, which would be the current folder; give a folder, or out=. for it")
    try:
        with ending_on_sigterm(), _raising():
            job()
    except (HydraException, OmegaConfBaseException, yaml.YAMLError) as error:
        if _TRACES:
            raise
        _stop(explained(error, sys.argv[1:], conf, config, groups))
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
