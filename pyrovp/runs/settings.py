"""The settings of a run: names, types, and what values make sense together.

`Settings` is the schema of a configuration file. `model`, `guide`, `elbo`, `objective` and `data`
say which class or function to call (`_target_`) and with what; the rest are plain values.
"""

import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pyrovp.metrics import ssim_preset
from pyrovp.processes import Processes

__all__ = [
    "EvaluateSettings",
    "OptimiserSettings",
    "Settings",
    "TrainSettings",
    "check_settings",
]


@dataclass
class OptimiserSettings:
    """Adam, its warm-up and the clipping of its gradient.

    Args:
        lr: Learning rate.
        eps: Adam's ε. At 1e-4 it is no safeguard but part of the method: it makes the scale of
            the loss matter.
        clip: Largest norm of the gradient over all parameters; None leaves it as it is.
        betas: Decay of the two moments, each in [0, 1).
        weight_decay: Weight of the squared parameters, as a term of the gradient (Adam's L2, not
            AdamW's).
        amsgrad: Whether the second moment never falls.
        warmup_steps: Steps over which the learning rate rises to `lr`; 0: it starts there.
        warmup_from: Learning rate of step 0, where there is a warm-up.

    Raises:
        ValueError: If a value is out of its range: says which key, and what it may be.
    """

    lr: float = 5e-4
    eps: float = 1e-4
    clip: float | None = None
    betas: list[float] = field(default_factory=lambda: [0.9, 0.999])
    weight_decay: float = 0.0
    amsgrad: bool = False
    warmup_steps: int = 0
    warmup_from: float = 0.0

    def adam(self) -> dict[str, Any]:
        """The part that Adam itself takes."""
        names = ("lr", "eps", "betas", "weight_decay", "amsgrad")
        return {name: getattr(self, name) for name in names}

    def __post_init__(self) -> None:
        _positive("optimiser.lr", self.lr)
        _positive("optimiser.eps", self.eps)
        if self.clip is not None:
            _positive("optimiser.clip", self.clip)
        if len(self.betas) != 2 or not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(
                f"optimiser.betas are two numbers of at least 0 and below 1, as [0.9, 0.999], got "
                f"{list(self.betas)}"
            )
        _not_negative("optimiser.weight_decay", self.weight_decay)
        _at_least("optimiser.warmup_steps", self.warmup_steps, 0)
        _not_negative("optimiser.warmup_from", self.warmup_from)
        if self.warmup_steps > 0 and self.warmup_from > self.lr:
            raise ValueError(
                f"the learning rate warms up from optimiser.warmup_from={self.warmup_from}, which "
                f"lies above optimiser.lr={self.lr}; lower it, or set optimiser.warmup_steps=0"
            )


@dataclass
class TrainSettings:
    """The budget of training, and how closely it is watched.

    Args:
        steps: Updates of the weights.
        batch: Sequences per step.
        log_every, validate_every, checkpoint_every: In steps.
        checkpoint_seconds: A checkpoint is also written when this much time has passed.
        validate_sequences: Clips in a validation; 0 for no validation.
        workers: Processes that prepare batches ahead; 0 prepares them in the main one.
        tensorboard: Whether to write TensorBoard's event files too.
        accumulate: Equal parts that a batch is taken in, one after the other, to save memory.
            With several processes each takes its share of a batch in so many parts.
        precision: Of the networks: "float32", "tf32" (Nvidia's, from Ampere on) or "bf16".
            Distributions, bound and weights stay in float32.
        capture: Whether a step on a GPU is recorded once and then replayed as a whole.
        recompute: Frames whose activations are kept at a time, the others' being made again for
            the gradient, to save memory with long clips; 0 keeps all.
        skip_nonfinite: Steps that may be left out where the loss is not finite, instead of
            stopping.

    Raises:
        ValueError: If a value is out of its range: says which key, and what it may be.
    """

    steps: int = 600
    batch: int = 16
    log_every: int = 20
    validate_every: int = 100
    checkpoint_every: int = 100
    checkpoint_seconds: float = 300.0
    validate_sequences: int = 64
    workers: int = 0
    tensorboard: bool = False
    accumulate: int = 1
    precision: str = "float32"
    capture: bool = True
    recompute: int = 0
    skip_nonfinite: int = 0

    def __post_init__(self) -> None:
        counts = "steps batch log_every validate_every checkpoint_every accumulate".split()
        for name in counts:
            _at_least(f"train.{name}", getattr(self, name), 1)
        for name in ("validate_sequences", "workers", "recompute", "skip_nonfinite"):
            _at_least(f"train.{name}", getattr(self, name), 0)
        _positive("train.checkpoint_seconds", self.checkpoint_seconds)
        if self.precision not in ("float32", "tf32", "bf16"):
            raise ValueError(f"train.precision is float32, tf32 or bf16, got {self.precision!r}")

    @property
    def validates(self) -> bool:
        """Whether there is a validation."""
        return self.validate_sequences > 0 and self.validate_every <= self.steps


@dataclass
class EvaluateSettings:
    """How predictions are made and scored; see `pyrovp.metrics.Protocol`.

    Args:
        context, horizon: Frames given and predicted.
        sequences: Held-out clips.
        samples: Futures per clip; the best is reported where there are several.
        ssim: Preset of the SSIM.
        clip: Whether predictions are clipped to [0, 1] first.
        batch_statistics: Whether BatchNorms use their batch's statistics, as SVG's released code
            does, instead of the running ones.
        checkpoint: The weights that are evaluated: "last", or "best" on validation data.

    Raises:
        ValueError: If a value is out of its range: says which key, and what it may be.
    """

    context: int = 12
    horizon: int = 12
    sequences: int = 64
    samples: int = 1
    ssim: str = "svg"
    clip: bool = True
    batch_statistics: bool = False
    checkpoint: str = "last"

    def __post_init__(self) -> None:
        for name in ("context", "horizon", "sequences", "samples"):
            _at_least(f"evaluate.{name}", getattr(self, name), 1)
        ssim_preset(self.ssim)
        if self.checkpoint not in ("last", "best"):
            raise ValueError(
                f"evaluate.checkpoint is last or best (on validation data), got {self.checkpoint}"
            )


@dataclass
class Settings:
    """A run.

    Args:
        model, guide, data, elbo, objective: What to build, as `_target_` and arguments.
        channels: Channels of the frames, for the model.
        optimiser, train, evaluate: See there.
        seed: Key of the initial weights, the training data and the noise.
        device: "auto" (a GPU where there is one), "cpu", "cuda" or "cuda:1".
        force: Whether to start over although there is a finished or a begun run.
        out: The folder of all runs.
        init_from: Folder of another run whose weights this one starts from; None: fresh ones.
    """

    model: Any
    guide: Any
    data: Any
    elbo: Any
    objective: Any
    channels: int = 1
    optimiser: OptimiserSettings = field(default_factory=OptimiserSettings)
    train: TrainSettings = field(default_factory=TrainSettings)
    evaluate: EvaluateSettings = field(default_factory=EvaluateSettings)
    seed: int = 0
    device: str = "auto"
    force: bool = False
    out: str = "runs"
    init_from: str | None = None


def check_settings(settings: Settings) -> None:
    """Refuses values that make sense alone but not together.

    Raises:
        ValueError: With the keys that disagree.
    """
    _at_least("seed", settings.seed, 0)
    length, context = settings.data.get("length"), settings.evaluate.context
    if isinstance(length, int) and context >= length:
        smaller = f"use evaluate.context={length // 2}, say, or" if length > 1 else "use"
        raise ValueError(
            f"evaluate.context={context} takes in as many frames as a training clip has "
            f"(data.length={length}) or more; {smaller} a larger data.length"
        )
    train, best = settings.train, settings.evaluate.checkpoint == "best"
    if best and not train.validates:
        raise ValueError(
            f"evaluate.checkpoint=best needs a validation, but train.validate_every="
            f"{train.validate_every}, train.validate_sequences={train.validate_sequences} and "
            f"train.steps={train.steps} make none; lower train.validate_every"
        )
    ranks = Processes.present().ranks
    parts = train.accumulate * ranks
    if train.batch % parts:
        among = f"train.accumulate={train.accumulate}" + f", {ranks} processes" * (ranks > 1)
        raise ValueError(
            f"train.batch={train.batch} does not come apart into {parts} equal parts ({among}); "
            f"use a multiple of {parts}"
        )
    if ranks > 1 and re.fullmatch(r"cuda:\d+", settings.device):
        raise ValueError(
            f"device={settings.device} is one GPU, and there are {ranks} processes; "
            f"use device=cuda, and CUDA_VISIBLE_DEVICES to choose among the GPUs"
        )
    if not settings.out:
        raise ValueError("out is empty; give the folder of all runs")
    if Path(settings.out).is_file():
        raise ValueError(f"out={settings.out} is a file; give the folder of all runs")


def _at_least(name: str, value: int, least: int) -> None:
    if value < least:
        raise ValueError(f"{name} must be a whole number of at least {least}, got {value}")


def _not_negative(name: str, value: float) -> None:
    if not (value >= 0 and math.isfinite(value)):
        raise ValueError(f"{name} must be a number of at least 0, got {value}")


def _positive(name: str, value: float) -> None:
    if not (value > 0 and math.isfinite(value)):
        raise ValueError(f"{name} must be a positive number, got {value}")
