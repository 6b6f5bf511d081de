"""A whole run: build, train, evaluate, draw, and say that it is done.

    settings -> data, model, guide, objective -> weights -> figures and pictures -> done.json

What is built is `Parts`; what is told at the start is `introduction`, what at the end
`write_results`.
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

from omegaconf import OmegaConf
from torch import Tensor

from pyrovp.data import batches
from pyrovp.draw.hierarchy import draw_hierarchy
from pyrovp.errors import RunError, remedy
from pyrovp.evaluation import Results, evaluate
from pyrovp.files import remove_leftovers
from pyrovp.processes import Processes
from pyrovp.runs.introduction import introduction
from pyrovp.runs.parts import Parts, Videos
from pyrovp.runs.run_directory import RunDirectory, built_from
from pyrovp.runs.settings import Settings
from pyrovp.runs.write_results import write_results
from pyrovp.state_space import StateSpace
from pyrovp.train.captured import CapturedUpdate
from pyrovp.train.checkpoint import Checkpoints
from pyrovp.train.log import Log, check_tensorboard
from pyrovp.train.loop import Cadence, fit
from pyrovp.train.optimiser import Warmup, adam
from pyrovp.train.update import Update
from pyrovp.words import counted

__all__ = ["Experiment"]


class Experiment:
    """A run that is built and ready.

    Args:
        settings: What to build and how long to train it.
        model_name, data_name: What the run is called.

    Raises:
        ValueError: If the settings do not make a run; says which one and what to do.
    """

    def __init__(self, settings: Settings, model_name: str, data_name: str) -> None:
        if settings.train.tensorboard:
            check_tensorboard()
        self.settings = settings
        self.processes = Processes.present()
        self.parts = Parts(settings, model_name, data_name, self.processes)
        self.directory = RunDirectory(
            Path(settings.out), model_name, data_name, self.parts.identity(), settings.seed
        )

    def run(self, say: Callable[[str], None] = print) -> None:
        """Trains, evaluates and draws, as far as that is not yet done.

        Args:
            say: Told what happens, in lines.

        Raises:
            RunError: If another process works in the folder, or it cannot be written.
        """
        if not self.processes.main:
            self._assist()
            return
        try:
            with self.directory.lock():
                self._run(say)
        except OSError as error:
            raise RunError(
                f"cannot write {error.filename or self.directory.path} "
                f"({error.strerror or error}); "
                f"{remedy(error, 'choose another folder with out=...')}"
            ) from error

    def _run(self, say: Callable[[str], None]) -> None:
        """All of it, in the process that writes."""
        remove_leftovers(self.directory.path)
        if self.settings.force:
            self.directory.clear()
        if self._together(self._finished(say)):
            return
        checkpoints = Checkpoints(self.directory.checkpoints, self._built_from(), say)
        self._check_weights(checkpoints)
        say(introduction(self.parts, self.directory.path))
        self.directory.write_text("config.yaml", OmegaConf.to_yaml(asdict(self.settings)))
        if self.parts.started_from is not None:
            self.directory.write_json("init_from.json", self.parts.started_from.record())
        model, guide = self.parts.model, self.parts.guide
        if isinstance(getattr(model, "hierarchy", None), StateSpace):
            draw_hierarchy(model, guide, path=self.directory.path / "hierarchy.png")
        trained = self._train(checkpoints)
        step, results = self._evaluate(checkpoints, trained)
        write_results(self.parts, self.directory, results, step, say)
        done = {
            "seed": self.settings.seed,
            "steps": trained,
            "evaluate": asdict(self.settings.evaluate),
        }
        self.directory.write_json("done.json", done | {"splits": self.parts.splits()})

    def _assist(self) -> None:
        """What the other processes do: they train and predict along, and write nothing."""
        if self._together(False):
            return
        checkpoints = Checkpoints(self.directory.checkpoints, self._built_from(), lambda _: None)
        self._evaluate(checkpoints, self._train(checkpoints))

    def _together(self, finished: bool) -> bool:
        """Whether the run is finished, as the main process says, once it is the same run for all.

        Raises:
            RunError: If it is not.
        """
        name = self.directory.path.parent.name
        self.processes.agree(
            name,
            f"the processes of this run have different settings or data: the main one's run is "
            f"{self.processes.first(name)}; give all of them the same command, and the same "
            f"files where they look for data",
        )
        self.processes.see(self.directory.path)
        return self.processes.first(finished)

    def _built_from(self) -> str:
        return built_from(asdict(self.settings))

    def _finished(self, say: Callable[[str], None]) -> bool:
        done, settings = self.directory.done(), self.settings
        if done is None or done["steps"] < settings.train.steps:
            return False
        steps = counted(done["steps"], "step")
        if done["evaluate"] != asdict(settings.evaluate):
            say(f"trained to {steps} already; evaluating with the new settings")
            return False
        splits = self.parts.splits()
        if done.get("splits", splits)["test"] != splits["test"]:  # early runs did not say
            say(f"trained to {steps} already; evaluating on the new test videos")
            return False
        say(
            f"{self.directory.path} is finished: {steps} trained and evaluated. "
            f"Nothing to do; force=true starts over, a train.steps above {done['steps']} goes on"
        )
        return True

    def _check_weights(self, checkpoints: Checkpoints) -> None:
        """A finished run whose weights have been removed is not trained again in silence.

        Raises:
            RunError: For that.
        """
        done = self.directory.done()
        if done is not None and not checkpoints.paths():
            raise RunError(
                f"{self.directory.path} is finished after {counted(done['steps'], 'step')}, but "
                f"its checkpoint is gone, which other settings or more steps would need: put "
                f"{self.directory.checkpoints.name}/ back, or start over with force=true"
            )

    def _train(self, checkpoints: Checkpoints) -> int:
        settings, train, parts = self.settings, self.settings.train, self.parts
        optimiser, processes, held_out = settings.optimiser, self.processes, parts.validation
        cadence = Cadence(
            train.log_every, train.validate_every, train.checkpoint_every, train.checkpoint_seconds
        )
        log = Log(self.directory.path, train.tensorboard) if processes.main else Log(bar=False)
        eager = Update(
            parts.objective,
            adam(parts.objective.parameters(), **optimiser.adam()),
            clip=optimiser.clip,
            processes=processes,
            accumulate=train.accumulate,
            inside=parts.inside,
        )
        captured = train.capture and parts.device.type == "cuda"
        return fit(
            CapturedUpdate(eager, log.say) if captured else eager,
            self._batches,
            train.steps,
            seed=settings.seed,
            rate=Warmup(optimiser.lr, optimiser.warmup_from, optimiser.warmup_steps),
            cadence=cadence,
            validation=None if held_out is None else Videos(held_out, train.batch),
            checkpoints=checkpoints,
            log=log,
            processes=processes,
            skip=train.skip_nonfinite,
        )

    def _batches(self, step: int) -> Iterator[Tensor]:
        train = self.settings.train
        pinned = self.parts.device.type == "cuda"
        made = batches(
            self.parts.training,
            train.batch,
            step,
            train.workers,
            rank=self.processes.rank,
            ranks=self.processes.ranks,
            pin_memory=pinned,
        )
        return (batch["video"] for batch in made)

    def _evaluate(self, checkpoints: Checkpoints, step: int) -> tuple[int, Results]:
        """The step that the chosen weights are from, and what they predict."""
        parts, settings = self.parts, self.settings.evaluate
        if settings.checkpoint == "best":
            step = checkpoints.load_best(parts.objective).step
        return step, evaluate(
            parts.model,
            parts.guide,
            parts.testing,
            parts.training,
            parts.protocol,
            sequences=settings.sequences,
            seed=self.settings.seed,
            batch_norms=settings.batch_statistics,
            processes=self.processes,
        )
