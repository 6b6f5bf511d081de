"""The training loop.

    for step in 0, 1, 2, ...:   beta(step);   noise ~ (seed, step);   video ~ data(step)
                                lr(step);     theta <- Adam(clip(grad loss(theta, video)))

Everything a step depends on besides the weights and the optimiser's moments is a function of
the step's number. Logging, validating and checkpointing only look: however often they happen,
and wherever the run is killed and continued, the weights after step N are the same to the bit.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn

from pyrovp.train.checkpoint import Best, Checkpoints
from pyrovp.train.errors import NonFiniteLoss, RunError
from pyrovp.train.log import Log
from pyrovp.train.optimiser import current_rate, set_rate
from pyrovp.train.randomness import seed_noise, undisturbed
from pyrovp.train.window import Window

__all__ = ["Bound", "Cadence", "clip_gradient", "fit", "validate"]

# Far beyond any annealing, so that the losses of two validations are of the same kind.
_ANNEALED = 2**31 - 1


class Bound(Protocol):
    """What an objective returns: a loss to differentiate and what it is made of."""

    @property
    def loss(self) -> Tensor:
        """Scalar."""

    @property
    def parts(self) -> dict[str, Tensor]:
        """Detached scalars by name."""


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
    objective: nn.Module,
    optimizer: torch.optim.Optimizer,
    batches: Callable[[int], Iterator[Tensor]],
    steps: int,
    *,
    seed: int = 0,
    clip: float | None = None,
    rate: Callable[[int], float] | None = None,
    cadence: Cadence = Cadence(),  # noqa: B008
    validation: Iterable[Tensor] | None = None,
    checkpoints: Checkpoints | None = None,
    log: Log | None = None,
) -> int:
    """Trains to `steps` finished steps, going on from the newest checkpoint if there is one.

    Args:
        objective: `objective(video)` returns a `Bound`; `objective.set_step(step)` is called
            before each step.
        optimizer: Of the objective's parameters.
        batches: Given the finished steps, the videos of the steps that follow.
        steps: Finished steps at the end.
        seed: Key of the noise.
        clip: Largest norm of the gradient over all parameters; None leaves it as it is.
        rate: The learning rate of each step, such as `Warmup`; None leaves the optimizer's.
        cadence: How often to log, validate and write a checkpoint.
        validation: Fixed batches that choose the best weights; None for none.
        checkpoints: Where to keep the state; None keeps nothing.
        log: Where to report; None reports nothing.

    Shapes:
        videos: [B, T, C, H, W]

    Returns:
        The finished steps: `steps`, or more where a checkpoint was further already.

    Raises:
        NonFiniteLoss: If the loss or its gradient's norm is not finite; says at which step, with
            the parts, and where the last good checkpoint lies.
        RunError: If the training data end before the last step.
    """
    run = _Run(objective, optimizer, seed, clip, rate, checkpoints, log or Log(bar=False))
    step = run.restore()
    if step >= steps:
        return step
    run.log.begin(step, steps)
    objective.train()
    try:
        for video in batches(step):
            run.step(step, video)
            step += 1
            if run.on_cpu or step % cadence.log == 0:
                run.read()
            if step % cadence.log == 0:
                run.report(step)
            if validation is not None and step % cadence.validate == 0:
                run.validate(step, validation)
            if step == steps or step % cadence.checkpoint == 0 or run.unsaved() > cadence.seconds:
                run.save(step)
            if step == steps:
                return step
    finally:
        run.log.end()
    raise RunError(
        f"the training data ended after {step} of {steps} steps; use a larger data set, a "
        f"smaller train.batch or fewer train.steps"
    )


@torch.no_grad()
def validate(objective: nn.Module, videos: Iterable[Tensor], seed: int = 0) -> float:
    """The mean loss over fixed videos with fixed noise, fully annealed.

    No generator is moved and no weight touched: training goes on as if nothing had been asked.

    Args:
        objective: As for `fit`.
        videos: Batches [B, T, C, H, W].
        seed: Key of the noise.
    """
    device = _device(objective)
    training = objective.training
    total, count = torch.zeros((), device=device), 0
    with undisturbed():
        seed_noise(seed, _ANNEALED, device)
        objective.eval()
        _set_step(objective, _ANNEALED)
        for video in videos:
            total += objective(video.to(device)).loss * len(video)
            count += len(video)
        objective.train(training)
    return float(total / count)


class _Run:
    """A run on its way: what the loop does at a step, and at each look up from it."""

    def __init__(
        self,
        objective: nn.Module,
        optimizer: torch.optim.Optimizer,
        seed: int,
        clip: float | None,
        rate: Callable[[int], float] | None,
        checkpoints: Checkpoints | None,
        log: Log,
    ) -> None:
        self.objective = objective
        self.optimizer = optimizer
        self.seed = seed
        self.clip = clip
        self.rate = rate
        self.checkpoints = checkpoints
        self.log = log
        self.device = _device(objective)
        self.on_cpu = self.device.type == "cpu"
        self._parameters = list(objective.parameters())
        self._window = Window()
        self._best: Best | None = None
        self._frames = 0
        self._seconds = 0.0
        self._clock = self._saved = time.monotonic()

    def restore(self) -> int:
        """Goes back to the newest checkpoint; returns its finished steps."""
        if self.checkpoints is None:
            return 0
        self._best = self.checkpoints.best()
        restored = self.checkpoints.restore(self.objective, self.optimizer)
        if restored is None:
            return 0
        step, progress = restored
        self._window = Window(progress["window"])
        self._seconds = progress["seconds"]
        return step

    def step(self, step: int, video: Tensor) -> None:
        """One update of the weights; nothing is read from the device."""
        seed_noise(self.seed, step, self.device)
        _set_step(self.objective, step)
        if self.rate is not None:
            set_rate(self.optimizer, self.rate(step))
        self.optimizer.zero_grad()
        bound: Bound = self.objective(video.to(self.device, non_blocking=True))
        bound.loss.backward()
        norm = clip_gradient(self._parameters, self.clip)
        self.optimizer.step()
        self._window.append(step + 1, bound.loss, norm, bound.parts)
        self._frames += video.shape[0] * video.shape[1]
        self.log.advance()

    def read(self) -> None:
        """Brings losses and parts to the host and checks them."""
        try:
            self._window.read()
        except NonFiniteLoss as error:
            raise NonFiniteLoss(f"{error}. {self._last_good()}") from None

    def _last_good(self) -> str:
        paths = self.checkpoints.paths() if self.checkpoints is not None else []
        kept = f"The last good checkpoint is {paths[0]}" if paths else "No checkpoint was written"
        return f"{kept}. Try a smaller learning rate, a larger frame std, or gradient clipping."

    def report(self, step: int) -> None:
        """Writes the row of the log interval that ends here."""
        passed = time.monotonic() - self._clock
        self._seconds += passed
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
            loss = validate(self.objective, videos, self.seed)
            _set_step(self.objective, step - 1)  # where the last step had left it
            self.log.write({"step": step, "validation": loss})
            if self.checkpoints is not None and (self._best is None or loss < self._best.loss):
                self._best = Best(step, loss)
                self.checkpoints.save_best(self._best, self.objective)

    def save(self, step: int) -> None:
        """Writes a checkpoint, of finite weights only."""
        self.read()
        if self.checkpoints is None:
            return
        with self._stopwatch_held():
            progress = {"window": self._window.state(), "seconds": self._seconds}
            self.checkpoints.save(step, self.objective, self.optimizer, progress)
        self._saved = time.monotonic()

    def unsaved(self) -> float:
        """Seconds since the last checkpoint."""
        return time.monotonic() - self._saved

    @contextmanager
    def _stopwatch_held(self) -> Iterator[None]:
        start = time.monotonic()
        yield
        self._clock += time.monotonic() - start


def clip_gradient(parameters: Sequence[nn.Parameter], norm: float | None) -> Tensor:
    """Scales the gradient down to a norm over all parameters; returns the norm it had.

    Args:
        parameters: Those without a gradient are passed over.
        norm: The largest norm; None leaves the gradient as it is.
    """
    if norm is not None:
        return nn.utils.clip_grad_norm_(parameters, norm)
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    return nn.utils.get_total_norm(gradients)


def _device(objective: nn.Module) -> torch.device:
    return next(objective.parameters()).device


def _set_step(objective: nn.Module, step: int) -> None:
    cast(Any, objective).set_step(step)


def _beta(objective: nn.Module) -> Any:
    beta = getattr(objective, "beta", None)
    return beta.tolist() if isinstance(beta, Tensor) else beta
