r"""The optimiser, and the warm-up of its learning rate.

    lr(step) = start + (lr - start) · step / steps     until step `steps`, then lr

The rate is a function of the step's number and of nothing else, so a run that is continued
takes each step at the rate that an unbroken one does.

On a GPU the rate is a tensor there, so that a step that was captured as a CUDA graph reads the
rate of the day; in a checkpoint it is a number, which fits any device.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["Warmup", "adam", "current_rate", "set_rate"]


@dataclass(frozen=True)
class Warmup:
    """A learning rate that rises in a straight line and then stays.

    Args:
        lr: The rate from step `steps` on.
        start: The rate of step 0, where there is a warm-up.
        steps: Length of the way; 0: there is none.

    Raises:
        ValueError: If a rate is negative or the start lies above the end, or the steps are.

    Reference:
        Accurate, Large Minibatch SGD (Goyal et al., 2017), Section 2.2,
        https://arxiv.org/abs/1706.02677; Improved Conditional VRNNs for Video Prediction
        (Castrejon, Ballas, Courville, 2019), Section 5, for the rates below.

    Example:
        >>> rate = Warmup(lr=1.6e-4, start=2e-5, steps=1400)
        >>> [round(1e6 * rate(step), 3) for step in (0, 700, 1400, 10_000)]
        [20.0, 90.0, 160.0, 160.0]
    """

    lr: float
    start: float = 0.0
    steps: int = 0

    def __post_init__(self) -> None:
        if self.steps < 0:
            raise ValueError(f"a warm-up takes 0 or more steps, got {self.steps}")
        if self.lr < 0 or self.start < 0:
            raise ValueError(f"a rate is not negative, got start {self.start} and lr {self.lr}")
        if self.steps > 0 and self.start > self.lr:
            raise ValueError(f"a warm-up rises, got start {self.start} and lr {self.lr}")

    def __call__(self, step: int) -> float:
        """The rate of a step, counted from 0."""
        if step >= self.steps:
            return self.lr
        return self.start + (self.lr - self.start) * step / self.steps


def adam(
    parameters: Iterable[nn.Parameter],
    *,
    lr: float = 5e-4,
    eps: float = 1e-4,
    betas: Sequence[float] = (0.9, 0.999),
    weight_decay: float = 0.0,
    amsgrad: bool = False,
) -> torch.optim.Adam:
    """Fused Adam, ready for steps that are recorded.

    The weight decay is Adam's own, a term of the gradient (L2), and not AdamW's.

    Args:
        parameters: On a GPU, `CapturedUpdate` may record the steps.
        lr, eps, betas, weight_decay, amsgrad: As torch's. An eps of 1e-4 is no safeguard but part
            of the papers' method: it makes the scale of the loss matter.
    """
    given = list(parameters)
    on_gpu = given[0].device.type == "cuda"
    optimizer = torch.optim.Adam(
        given,
        lr=lr,
        betas=(betas[0], betas[1]),
        eps=eps,
        weight_decay=weight_decay,
        amsgrad=amsgrad,
        fused=True,
    )
    if on_gpu:
        _to_gpu(optimizer)
        optimizer.register_load_state_dict_post_hook(_to_gpu)
        optimizer.register_state_dict_post_hook(_to_any_device)
    return optimizer


def _to_gpu(optimizer: torch.optim.Optimizer) -> None:
    """The settings, which may be those of a checkpoint, as a captured step needs them."""
    for group in optimizer.param_groups:
        group["lr"] = torch.full((), float(group["lr"]), device=group["params"][0].device)
        group["capturable"] = True


def _to_any_device(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """The settings for a checkpoint, as every device takes them."""
    for group in state["param_groups"]:
        group["lr"] = float(group["lr"])
        group["capturable"] = False


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Sets the learning rate of all parameters; one that is a tensor changes in place."""
    for group in optimizer.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)  # a captured step reads this very tensor
        else:
            group["lr"] = rate


def current_rate(optimizer: torch.optim.Optimizer) -> float:
    """The learning rate of the first group of parameters."""
    return float(optimizer.param_groups[0]["lr"])
