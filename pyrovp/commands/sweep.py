"""Sweeps: many runs from one command.

    -m +model=cwvae,dlh seed=0,1,2      the product of all lists: six members

A member that fails says why, and the others run all the same; the failures are listed at the end.
To Hydra a sweep is a sweeper, which chooses the members, and a launcher, which runs them: in this
process one after the other, or by submitit on a cluster. Here are our sweepers' common part and
the one that takes every combination; `pyrovp.commands.tuned` has the other.
"""

import abc
import math
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from pyrovp.errors import BadSettings, LostProcess, NonFiniteLoss, RunError, Stopped
from pyrovp.train.log import read_rows

__all__ = ["Failure", "Grid", "Members", "Value", "best_validation", "member"]


class Failure(NamedTuple):
    """What a member leaves that failed.

    Args:
        reason: In a sentence.
        lasting: Whether it would fail again: its settings are at fault, and not a full disk.
    """

    reason: str
    lasting: bool = False


Value = float | Failure | None
"""What a member leaves: its best validation loss, None without a validation, or a failure."""


def member(train: Callable[[], float | None]) -> Value:
    """Runs a member of a sweep; what goes wrong is said and becomes its value.

    Args:
        train: The member, which returns its best validation loss.

    Raises:
        Stopped, LostProcess: These end the sweep, not only the member.
    """
    try:
        return train()
    except (Stopped, LostProcess):
        raise
    except RunError as error:
        print(f"error: {error}", file=sys.stderr)
        return Failure(str(error), isinstance(error, NonFiniteLoss | BadSettings))
    except torch.OutOfMemoryError as error:  # a model that is too large remains so
        print(f"error: {error}", file=sys.stderr)
        return Failure(f"{type(error).__name__}: {error}", lasting=True)
    except Exception as error:  # whatever it is, the other members may be sound
        traceback.print_exc()
        return Failure(f"{type(error).__name__}: {error}")


def best_validation(folder: Path) -> float | None:
    """The lowest validation loss of a run; None where none of its validations gave a number.

    Args:
        folder: Of the run.
    """
    rows = read_rows(folder / "metrics.jsonl")
    losses = [row["validation"] for row in rows if "validation" in row]
    return min(filter(math.isfinite, losses), default=None)


class Members(Sweeper, abc.ABC):
    """A sweeper whose members may fail.

    An implementation chooses members, each a list of overrides, and hands them to `launch`.

    Args:
        params: What is gone through, key by key, besides what the command line says.
    """

    hydra_context: HydraContext
    config: DictConfig
    launcher: Launcher

    def __init__(self, params: Mapping[str, Any] | None) -> None:
        self.params = params or {}
        self._members: list[Sequence[str]] = []
        self._failures: list[tuple[Sequence[str], str]] = []

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Hydra's call before `sweep`."""
        self.hydra_context = hydra_context
        self.config = config
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    @abc.abstractmethod
    def sweep(self, arguments: list[str]) -> Any:
        """Runs all members.

        Args:
            arguments: Overrides of the command line.

        Raises:
            RunError: In the end, if members have failed.
        """

    def overrides(self, arguments: Sequence[str]) -> list[Override]:
        """The overrides of a sweep, the configuration's first, as Hydra reads them."""
        given = [f"{key}={value}" for key, value in self.params.items()]
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        return parser.parse_overrides([*given, *arguments])

    def launch(self, batch: Sequence[Sequence[str]], first: int) -> list[Value]:
        """Runs members and notes those that fail.

        Args:
            batch: Overrides of each.
            first: Number of the first in this sweep, from 0.

        Raises:
            RunError: If the launcher itself fails.
        """
        self.validate_batch_is_legal(batch)  # all of them before the first begins
        logs = self.config.hydra.launcher.get("submitit_folder")
        if logs is not None:
            members = "1 member" if len(batch) == 1 else f"{len(batch)} members"
            print(f"{members} handed over; what they print lies in {Path(logs).parent}")
        try:
            returned = self.launcher.launch(batch, initial_job_idx=first)
        except Exception as error:
            raise RunError(
                f"a member of this sweep has ended without a word, or could not be started "
                f"({' '.join(str(error).split())[:500]}). Members that the cluster has taken go "
                f"on; the same command, when they have ended, runs what is missing"
            ) from error
        values = [_value(member) for member in returned]
        self._members += batch
        self._failures += [
            (overrides, value.reason.partition("\n")[0])
            for overrides, value in zip(batch, values, strict=True)
            if isinstance(value, Failure)
        ]
        return values

    def conclude(self) -> None:
        """Lists the failures, by what tells the members apart.

        Raises:
            RunError: If there are any.
        """
        if not self._failures:
            return
        many = len(self._members)
        shared = set[str]().union(*self._members) if many > 1 else set[str]()
        shared = shared.intersection(*self._members)
        listed = [
            f"  {' '.join(text for text in overrides if text not in shared)}: {reason}"
            for overrides, reason in self._failures
        ]
        raise RunError(
            f"{len(listed)} of the {many} members that ran failed; the others are done:\n"
            + "\n".join(listed)
        )


class Grid(Members):
    """Every combination of the values that are listed.

    Args:
        params: See `Members`.
        max_batch_size: Members that are handed to the launcher at a time; None: all of them.
    """

    def __init__(
        self, params: Mapping[str, Any] | None = None, max_batch_size: int | None = None
    ) -> None:
        super().__init__(params)
        self.max_batch_size = max_batch_size

    def sweep(self, arguments: list[str]) -> None:
        """See `Members`."""
        overrides = self.overrides(arguments)
        batches = BasicSweeper.split_arguments(overrides, self.max_batch_size)
        first = 0
        for batch in batches:
            self.launch(batch, first)
            first += len(batch)
        self.conclude()


def _value(returned: JobReturn) -> Value:
    """What a member has left, wherever it ran."""
    try:
        return cast(Value, returned.return_value)
    except Exception as error:  # raised outside of `member`
        return Failure(f"{type(error).__name__}: {error}")
