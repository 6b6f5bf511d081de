"""The training loop.

    for step in 0, 1, 2, ...:   beta(step);   noise ~ (seed, step);   video ~ data(step)
                                lr(step);     theta <- Adam(clip(grad loss(theta, video)))

Everything a step depends on besides the weights and the optimiser's moments is a function of
the step's number. Logging, validating and checkpointing only look: however often they happen,
and wherever the run is killed and continued, the weights after step N are the same to the bit.
"""

import math
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn

from pyrovp.errors import NonFiniteLoss, RunError, Stopped
from pyrovp.processes import Processes
from pyrovp.randomness import seed_noise, undisturbed
from pyrovp.train.checkpoint import Best, Checkpoints
from pyrovp.train.log import Log
from pyrovp.train.optimiser import current_rate, set_rate
from pyrovp.train.stopping import asked_to_stop
from pyrovp.train.update import Outcome
from pyrovp.train.window import Window

__all__ = ["Cadence", "Step", "fit", "validate"]

# Far beyond any annealing, so that the losses of two validations are of the same kind.
_ANNEALED = 2**31 - 1


class Step(Protocol):
    """An update of the weights, such as `Update`, or what stands in for one."""

    @property
    def objective(self) -> nn.Module:
        """Whose weights they are; `set_step(step)` is called before each step."""

    @property
    def optimizer(self) -> torch.optim.Optimizer:
        """With its moments."""

    def __call__(self, video: Tensor) -> Outcome:
        """Takes one step; nothing is read from the device."""


@dataclass(frozen=True)
class Cadence:
    """How often the loop looks up from its work; none of it changes the result.

    Args:
        log: Steps from one row of the log to the next.
        validate: Steps from one validation to the next.
        checkpoint: Steps from one checkpoint to the next.
        seconds: A checkpoint is also written when this much time has passed.
    """

    log: int = 50
    validate: int = 200
    checkpoint: int = 200
    seconds: float = 600.0


def fit(
    update: Step,
    batches: Callable[[int], Iterator[Tensor]],
    steps: int,
    *,
    seed: int = 0,
    rate: Callable[[int], float] | None = None,
    cadence: Cadence = Cadence(),  # noqa: B008
    validation: Iterable[Tensor] | None = None,
    checkpoints: Checkpoints | None = None,
    log: Log | None = None,
    processes: Processes = Processes(),  # noqa: B008
    skip: int = 0,
) -> int:
    """Trains to `steps` finished steps, going on from the newest checkpoint if there is one.

    Where the process is asked to end (SIGTERM), it saves first.

    Args:
        update: Takes one step.
        batches: Given the finished steps, the videos of the steps that follow: this process's
            share of each.
        steps: Finished steps at the end.
        seed: Key of the noise.
        rate: The learning rate of each step, such as `Warmup`; None leaves the optimizer's.
        cadence: How often to log, validate and write a checkpoint.
        validation: Fixed batches that choose the best weights; None for none.
        checkpoints: Where to keep the state; None keeps nothing.
        log: Where to report; None reports nothing.
        processes: That train together.
        skip: How many steps may be left out because their loss is not finite: training then goes
            back to the last checkpoint and takes the way again without them.

    Shapes:
        videos: [B, T, C, H, W]

    Returns:
        The finished steps: `steps`, or more where a checkpoint was further already.

    Raises:
        NonFiniteLoss: If the loss or its gradient's norm is not finite; says at which step, with
            the parts, and where the last good checkpoint lies.
        Stopped: If the process was asked to end; all is saved.
        RunError: If the training data end before the last step, a checkpoint cannot be written,
            or another process is lost.
    """
    run = _Run(update, seed, rate, cadence, validation, checkpoints, log, processes, skip)
    step = run.restore()
    if step >= steps:
        return step
    processes.spread(update.objective)
    update.objective.train()
    with asked_to_stop() as asked:
        while step < steps:
            run.log.begin(step, steps)
            try:
                step = run.train(step, steps, batches(step), asked)
            except NonFiniteLoss as error:
                step = run.go_back(error)
            except RuntimeError as error:
                if not asked():
                    raise
                # Such as a process that loads data, ended by the same signal while it began. The
                # step may be half done: nothing is saved.
                raise Stopped(
                    "stopped by SIGTERM in the middle of a step; the same command, without "
                    "force=true, goes on from the last checkpoint"
                ) from error
            finally:
                run.log.end()
    return step


@torch.no_grad()
def validate(
    objective: nn.Module,
    videos: Iterable[Tensor],
    seed: int = 0,
    processes: Processes = Processes(),  # noqa: B008
) -> float:
    """The mean loss over fixed videos with fixed noise, fully annealed.

    No generator is moved and no weight touched: training goes on as if nothing had been asked.

    Args:
        objective: As for `fit`.
        videos: Batches [B, T, C, H, W].
        seed: Key of the noise.
        processes: That share the batches.
    """
    device = _device(objective)
    training = objective.training
    total, count = torch.zeros((), device=device), 0
    with undisturbed():
        seed_noise(seed, _ANNEALED, device, processes.rank)
        objective.eval()
        _set_step(objective, _ANNEALED)
        for video in islice(videos, processes.rank, None, processes.ranks):
            total += objective(video.to(device)).loss * len(video)
            count += len(video)
        objective.train(training)
    if processes.ranks > 1:
        both = processes.sum(torch.stack([total.cpu(), torch.tensor(float(count))]))
        return float(both[0] / both[1])
    return float(total / count)


class _Run:
    """A run on its way: what the loop does at a step, and at each look up from it."""

    def __init__(
        self,
        update: Step,
        seed: int,
        rate: Callable[[int], float] | None,
        cadence: Cadence,
        validation: Iterable[Tensor] | None,
        checkpoints: Checkpoints | None,
        log: Log | None,
        processes: Processes,
        skip: int,
    ) -> None:
        self.update = update
        self.objective, self.optimizer = update.objective, update.optimizer
        self.seed = seed
        self.rate = rate
        self.cadence = cadence
        self.validation = validation
        self.checkpoints = checkpoints
        self.log = log or Log(bar=False)
        self.processes = processes
        self.device = _device(self.objective)
        self.on_cpu = self.device.type == "cpu"
        self._window = Window()
        self._best: Best | None = None
        self._left_out: set[int] = set()  # steps, from 1
        self._may_skip = skip
        self._frames = 0
        self._seconds = 0.0
        self._clock = self._saved = time.monotonic()

    def restore(self) -> int:
        """Goes back to the newest checkpoint; returns its finished steps."""
        if self.checkpoints is None:
            return 0
        with self.processes.main_first():  # which puts damaged ones aside
            self._best = self.checkpoints.best()
            restored = self.checkpoints.restore(self.objective, self.optimizer)
        step, progress = (0, None) if restored is None else restored
        self.processes.agree(
            step,
            "the processes of this run do not find the same checkpoints; its folder has to lie "
            "where all of them see it (out=...)",
        )
        if progress is None:
            if self._may_skip:
                self.save(0)  # there must be something to go back to
            return 0
        self._window = Window(progress["window"])
        self._seconds = progress["seconds"]
        self._left_out |= set(progress.get("left_out", ()))  # earlier versions left none out
        return step

    def train(
        self, step: int, steps: int, videos: Iterator[Tensor], asked: Callable[[], bool]
    ) -> int:
        """Takes the steps from `step` on; returns how many are finished in the end."""
        self._frames, self._clock = 0, time.monotonic()
        for video in videos:
            if step + 1 not in self._left_out:
                self.step(step, video)
            self.log.advance()
            step += 1
            cadence = self.cadence
            if self.on_cpu or step % cadence.log == 0:
                self.read()
            if step % cadence.log == 0:
                self.report(step)
            if self.validation is not None and step % cadence.validate == 0:
                self.validate(step, self.validation)
            stop, overdue = self.processes.any(asked(), self._unsaved() > cadence.seconds)
            if step == steps or step % cadence.checkpoint == 0 or overdue or stop:
                self.save(step)
            if step == steps:
                return step
            if stop:
                raise Stopped(
                    f"stopped by SIGTERM after step {step}; the same command, without "
                    f"force=true, goes on from there"
                )
        raise RunError(
            f"the training data ended after {step} of {steps} steps; use a larger data set, a "
            f"smaller train.batch or fewer train.steps"
        )

    def step(self, step: int, video: Tensor) -> None:
        """One update of the weights; nothing is read from the device."""
        seed_noise(self.seed, step, self.device, self.processes.rank)
        _set_step(self.objective, step)
        if self.rate is not None:
            set_rate(self.optimizer, self.rate(step))
        outcome = self.update(video.to(self.device, non_blocking=True))
        self._window.append(step + 1, outcome.loss, outcome.norm, outcome.parts)
        self._frames += video.shape[0] * video.shape[1] * self.processes.ranks

    def read(self) -> None:
        """Brings losses and parts to the host and checks them."""
        try:
            self._window.read(self.processes.mean)
        except NonFiniteLoss as error:
            raise NonFiniteLoss(f"{error}. {self._last_good()}", error.step) from None

    def _last_good(self) -> str:
        paths = self.checkpoints.paths() if self.checkpoints is not None else []
        kept = f"The last good checkpoint is {paths[0]}" if paths else "No checkpoint was written"
        return (
            f"{kept}. Try a smaller learning rate, a larger frame std, or gradient clipping; "
            f"train.skip_nonfinite={len(self._left_out) + 1} would leave out this step"
        )

    def go_back(self, error: NonFiniteLoss) -> int:
        """Returns to the last checkpoint, to go on without the step that failed.

        Raises:
            NonFiniteLoss: If no more steps may be left out.
        """
        if self.checkpoints is None or len(self._left_out) >= self._may_skip:
            raise error
        self._left_out.add(error.step)
        if self.processes.main:
            self.log.say(
                f"the loss is not finite at step {error.step}: back to the last checkpoint, to go "
                f"on without that step ({len(self._left_out)} of {self._may_skip} that may be "
                f"left out)"
            )
        self._window = Window()
        return self.restore()

    def report(self, step: int) -> None:
        """Writes the row of the log interval that ends here."""
        passed = time.monotonic() - self._clock
        self._seconds += passed
        if self._window:  # else all of its steps are left out
            means = self._window.means()
            self.log.write({
                "step": step,
                "loss": means.pop("loss"),
                "gradient_norm": means.pop("gradient_norm"),
                "parts": means,
                "beta": _beta(self.objective),
                "lr": current_rate(self.optimizer),
                "frames_per_second": self._frames / passed,
                "seconds": self._seconds,
            })  # fmt: skip
        self._frames, self._clock = 0, time.monotonic()

    def validate(self, step: int, videos: Iterable[Tensor]) -> None:
        """Keeps the weights if no earlier validation was better."""
        with self._stopwatch_held():
            loss = validate(self.objective, videos, self.seed, self.processes)
            _set_step(self.objective, step - 1)  # where the last step had left it
            self.log.write({"step": step, "validation": loss})
            better = self._best is None or loss < self._best.loss
            if self.checkpoints is not None and math.isfinite(loss) and better:
                self._best = Best(step, loss)
                if self.processes.main:
                    self.checkpoints.save_best(self._best, self.objective)

    def save(self, step: int) -> None:
        """Writes a checkpoint, of finite weights only."""
        self.read()
        if self.checkpoints is None:
            return
        with self._stopwatch_held():
            progress = {
                "window": self._window.state(),
                "seconds": self._seconds,
                "left_out": sorted(self._left_out),
            }
            if self.processes.main:
                self.checkpoints.save(step, self.objective, self.optimizer, progress)
        self._saved = time.monotonic()

    def _unsaved(self) -> float:
        """Seconds since the last checkpoint."""
        return time.monotonic() - self._saved

    @contextmanager
    def _stopwatch_held(self) -> Iterator[None]:
        start = time.monotonic()
        yield
        self._clock += time.monotonic() - start


def _device(objective: nn.Module) -> torch.device:
    return next(objective.parameters()).device


def _set_step(objective: nn.Module, step: int) -> None:
    cast(Any, objective).set_step(step)


def _beta(objective: nn.Module) -> Any:
    beta = getattr(objective, "beta", None)
    return beta.tolist() if isinstance(beta, Tensor) else beta
