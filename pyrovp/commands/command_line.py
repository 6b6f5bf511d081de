"""The command line of a training: Hydra's, with the plus forgiven and errors in a sentence.

Hydra wants `+model=dlh` where the configuration has no default for `model` and `model=dlh` where
it has one, and refuses the other. Here both are the same. Errors: see `pyrovp.commands.hydra_job`.
"""

import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from hydra.core.plugins import Plugins

from pyrovp.commands.choices import check_choices, choices, is_override, own_folders
from pyrovp.commands.help_text import COMMON, key_rows, page
from pyrovp.commands.hydra_job import ASKING, arrange_completion, run_hydra, stopping_at
from pyrovp.commands.sweep import Grid
from pyrovp.commands.tuned import Tuned
from pyrovp.errors import RunError
from pyrovp.runs.settings import Settings

__all__ = ["arranged", "choices", "register_sweepers", "run_command", "stopping_at"]

GROUPS = {
    "model": "what is trained, with its guide and its optimiser; has to be given",
    "data": "the videos; moving_digits unless given",
    "size": "small: minutes on a CPU; paper: the paper's sizes and steps; small unless given",
    "elbo": "the bound; hierarchy unless given",
    "study": "all runs of a paper's comparison instead of one, see docs/studies.md",
    "tune": "a search for settings, see docs/clusters.md",
}
"""Groups of the configuration that have a default, and what they choose."""

KEYS = (
    "train.steps", "train.batch", "optimiser.lr", "train.precision", "evaluate.context",
    "evaluate.horizon", "seed", "device", "out", "force",
)  # fmt: skip
"""Keys that `--help` explains."""


def arranged(arguments: Sequence[str]) -> list[str]:
    """The arguments as Hydra wants them: its flags first, no + where a group is chosen.

    Example:
        >>> arranged(["+model=dlh", "size=paper", "-m", "+my.key=1,2"])
        ['-m', 'model=dlh', 'size=paper', '+my.key=1,2']
        >>> arranged(["model.hierarchy.levels[1].clock.period=2"])
        ['model.hierarchy.levels.1.clock.period=2']
    """
    chosen = re.compile(rf"\+(?=(?:{'|'.join(GROUPS)})=)")
    flags = [argument for argument in arguments if not is_override(argument)]
    return flags + [_dotted(chosen.sub("", a, count=1)) for a in arguments if is_override(a)]


def _dotted(override: str) -> str:
    """An override with Hydra's form of an index, levels.1 for levels[1]."""
    key, equals, value = override.partition("=")
    return re.sub(r"\[(\d+)\]", r".\1", key) + equals + value


def run_command(job: Callable[[], None], conf: Path, about: str | None = None) -> None:
    """Runs the job of a training on this process's arguments.

    Args:
        job: What `hydra.main` returned.
        conf: The folder of the job's configuration.
        about: What `--help` says of it first.
    """
    sys.argv[1:] = arranged(sys.argv[1:])
    arrange_completion(arranged)
    if {"--help", "-h"} & set(sys.argv[1:]):
        print(_help(own_folders(sys.argv[1:], conf), about))
        return
    with stopping_at(RunError):
        _check_model(sys.argv[1:], conf)
    register_sweepers()
    afterwards = "the same command goes on from the last checkpoint"
    run_hydra(job, conf, "config", tuple(GROUPS), afterwards)


def register_sweepers() -> None:
    """Makes our sweepers known to Hydra, for the names that `conf/` has for them."""
    # Hydra 1.3 takes plugins from a package `hydra_plugins` only, which would be a second name of
    # ours at the top of site-packages, looked through by every other Hydra program.
    Plugins.instance().class_name_to_class.update(
        {"hydra_plugins.pyrovp.Grid": Grid, "hydra_plugins.pyrovp.Tuned": Tuned}
    )


def _check_model(arguments: Sequence[str], conf: Path) -> None:
    """Refuses unknown names, and a command without a model."""
    folders = own_folders(arguments, conf)
    chosen = dict(argument.split("=", 1) for argument in arguments if "=" in argument)
    own_config = any(re.match(r"--config-name|-cn", argument) for argument in arguments)
    asking = any(argument in ASKING for argument in arguments)
    if not {"model", "study"} & set(chosen) and not own_config and not asking:
        raise RunError(
            f"no model given; known: {', '.join(choices('model', folders))}\n"
            f"for example: python {sys.argv[0]} +model=dlh"
        )
    check_choices(arguments, tuple(GROUPS), folders)
    if "," in chosen.get("study", ""):
        raise RunError(f"study={chosen['study']}: one study at a time; each is a sweep of its own")
    _check_size(chosen, folders)


def _check_size(chosen: dict[str, str], folders: Sequence[Path]) -> None:
    """Refuses a paper's size of a model that no paper describes."""
    if chosen.get("size") != "paper":
        return
    known = sorted({p.stem for folder in folders for p in (folder / "size/paper").glob("*.yaml")})
    for name in chosen.get("model", "").split(","):
        if re.fullmatch(r"[\w.-]+", name) and name not in known:
            raise RunError(f"{name} has no size=paper; {', '.join(known)} have; use size=small")


def _help(folders: Sequence[Path], about: str | None) -> str:
    groups = {
        f"{group}=NAME": f"{what}: {', '.join(choices(group, folders))}"
        for group, what in GROUPS.items()
    }
    flags = {
        "-m seed=0,1,2": "runs every combination",
        "-m hydra/launcher=slurm": "hands every combination to a cluster, see docs/clusters.md",
    }
    return page(
        "python experiments/run.py +model=NAME [GROUP=NAME ...] [KEY=VALUE ...]",
        about,
        {
            "groups": groups,
            "keys that are used most (model, data and size may set others)": key_rows(
                Settings, KEYS
            ),
            "flags": flags | COMMON,
        },
    )
