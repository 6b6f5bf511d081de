"""Several processes on this machine that train together, as torchrun would start them."""

import multiprocessing
import os
import random
import socket
import sys
from collections.abc import Callable, Iterator
from functools import wraps
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, cast

import torch
import torch.distributed as dist
from torch import Tensor

from pyrovp.commands import hydra_job
from pyrovp.commands.hydra_job import stopping_at
from pyrovp.errors import RunError
from pyrovp.processes import Processes
from pyrovp.train import Cadence, Checkpoints, Log, Update, fit
from pyrovp.train.torchrun import joined
from tests.train.toy import ToyObjective, toy_adam

__all__ = ["Together", "joining", "shares", "train_toy"]

ROOT = Path(__file__).resolve().parents[2]

# A server that has imported everything forks a process in milliseconds, and, unlike the tests'
# own process, it has no threads whose locks a fork could take along.
_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(["tests.train.toy", "tests.train.together", "tests.named"])


class Together:
    """Processes that run `work(*args)`.

    Args:
        work: A function of a module, as it goes to another process by name.
        args: Its arguments.
        ranks: How many.
        folder: Where each leaves what it says, as `rank0.txt`, `rank1.txt`, ...
        patience: Seconds after which a silent process is taken for lost.
        torchrun: Whether this process holds the table in which they meet, as torchrun does;
            otherwise process 0 does.
    """

    def __init__(
        self,
        work: Callable[..., object],
        *args: Any,
        folder: Path,
        ranks: int = 2,
        patience: float = 60.0,
        torchrun: bool = True,
    ) -> None:
        self._folder = folder
        store = cast(Any, dist).TCPStore  # exported, though not to mypy
        self._table = store("127.0.0.1", 0, is_master=True, wait_for_workers=False)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = self._table.port if torchrun else free.getsockname()[1]
        environment = {
            "WORLD_SIZE": str(ranks),
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
            "PYROVP_PATIENCE": str(patience),
            "TORCHELASTIC_USE_AGENT_STORE": str(torchrun),
        }
        os.environ["PYTHONPATH"] = str(ROOT)  # all that the server heeds
        self.processes: list[BaseProcess] = []
        for rank in range(ranks):
            own = environment | {"RANK": str(rank), "LOCAL_RANK": str(rank)}
            output = folder / f"rank{rank}.txt"
            process = _SERVER.Process(target=_rank, args=(own, output, work, args))
            process.start()
            self.processes.append(process)

    def wait(self, seconds: float = 60.0) -> list[int | None]:
        """The exit codes; None for one that is still there, and is then killed."""
        for process in self.processes:
            process.join(seconds)
        codes = [process.exitcode for process in self.processes]
        for process in self.processes:
            process.kill()
            process.join()
        return codes

    def said(self) -> str:
        """What all of them have said."""
        return "".join(path.read_text() for path in sorted(self._folder.glob("rank*.txt")))


def _rank(
    environment: dict[str, str], output: Path, work: Callable[..., object], args: tuple[Any, ...]
) -> None:
    os.environ.update(environment)
    torch.set_num_threads(1)
    hydra_job._TRACES = False  # commands that tests ran before have left the variable set
    with output.open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)
    work(*args)


def joining(work: Callable[..., object]) -> Callable[..., None]:
    """Work that is given the processes, once they have joined."""

    @wraps(work)
    def joins(*args: Any) -> None:
        with stopping_at(RunError), joined() as processes, stopping_at(RunError):
            work(processes, *args)

    return joins


@joining
def train_toy(
    processes: Processes,
    folder: Path,
    steps: int,
    pause: float = 0.0,
    videos: Callable[[Processes, int], Iterator[Tensor]] | None = None,
) -> None:
    """Trains the toy in a folder; the main process writes the weights at the end."""
    random.random = lambda: 0.0  # the toy's one draw that is not keyed
    objective = ToyObjective(pause=pause)
    main = processes.main
    folder.mkdir(exist_ok=True)
    fit(
        Update(objective, toy_adam(objective), clip=1.0, processes=processes),
        lambda step: (videos or shares)(processes, step),
        steps,
        cadence=Cadence(5, 10, 7),
        validation=[torch.rand(n, 5, 1, 2, 2, generator=generator(n)) for n in (3, 3, 2)],
        checkpoints=Checkpoints(folder / "checkpoint", "toy", lambda _: None),
        log=Log(folder, bar=False) if main else None,
        processes=processes,
    )
    if main:
        torch.save(objective.state_dict(), folder / "weights.pt")


def shares(processes: Processes, step: int) -> Iterator[Tensor]:
    """This process's two of the four videos of each step."""
    while True:
        video = torch.rand(4, 5, 1, 2, 2, generator=generator(1000 + step))
        yield video.chunk(processes.ranks)[processes.rank]
        step += 1


def generator(seed: int) -> torch.Generator:
    """Of numbers by key."""
    return torch.Generator().manual_seed(seed)
