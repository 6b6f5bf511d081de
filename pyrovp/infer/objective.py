"""The objective: a bound, normalised as its system's paper does, with what anneals on schedule.

    loss = -Σ_b bound_b / (B · n)

with n by choice the frames that are scored, 1, or the values of one frame.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple, cast

import torch
from pyro.infer import ELBO
from torch import Tensor, nn

from pyrovp.infer.annealing import Linear, Tempered
from pyrovp.infer.elbo import HierarchyELBO
from pyrovp.memo import memoised

__all__ = ["Evaluation", "Objective"]

Schedule = Callable[[int], float]


class Evaluation(NamedTuple):
    """One evaluation of the objective.

    Args:
        loss: What is minimised.
        parts: For the log, detached: `frames` (log-likelihood), `z_1`, `e_2`, ... (KLs without
            β), all nats per sequence; `change_2`, ... (mean of e). Empty for Pyro's own bounds.
    """

    loss: Tensor
    parts: dict[str, Tensor]


class Objective(nn.Module):
    """A bound of model and guide, ready for any torch optimiser.

    Args:
        model, guide: The two programs. `model.scored(T)`, where there is one, is the range of
            the frames of a clip of T that the model scores; without it all are.
        elbo: The bound. With `HierarchyELBO` its β is the objective's; Pyro's own bounds see
            the same β through `Tempered`.
        per: What the loss is a mean over: "sequence"; "frame", sequences and scored frames; or
            "pixel", sequences and the C·H·W values of a frame, the scored frames being summed:
            with σ² = ½ that is SVG's sum of mean squared errors. It belongs to a system: Adam's
            ε makes the scale matter.
        beta: Schedule of β, one for all levels or one for each.

    Shapes:
        video: [B, T, C, H, W]

    Raises:
        ValueError: For another `per`, for a β that is no schedule, or for one that lets Pyro's
            own bounds begin at 0.

    Example:
        >>> from pyrovp import guides, models
        >>> model = models.rssm(state=2, memory=8, hidden=8, resolution=16, width=0.1)
        >>> objective = Objective(model, guides.rssm(model), beta=Linear(0.01, 1.0, steps=100))
        >>> objective.set_step(50)
        >>> loss, parts = objective(torch.rand(2, 3, 1, 16, 16))
        >>> sorted(parts), objective.beta
        (['frames', 'z_1'], tensor(0.5050))
    """

    beta: Tensor
    __call__: Callable[..., Evaluation]  # as `forward`; nn.Module's own says Any

    def __init__(
        self,
        model: nn.Module,
        guide: nn.Module,
        elbo: ELBO | None = None,
        *,
        per: Literal["frame", "sequence", "pixel"] = "frame",
        beta: Schedule | Sequence[Schedule] | None = None,
    ) -> None:
        super().__init__()
        if isinstance(beta, int | float):
            raise ValueError(
                f"beta is a schedule such as Linear(start=0.01, end=1.0, steps=100), got {beta}"
            )
        if per not in ("frame", "sequence", "pixel"):
            raise ValueError(f"the loss is per frame, per sequence or per pixel, got per={per!r}")
        self.model = model
        self.guide = guide
        self.elbo = HierarchyELBO() if elbo is None else elbo
        self.per = per
        self.schedule: Schedule | Sequence[Schedule] = Linear() if beta is None else beta
        shape = (len(self.schedule),) if isinstance(self.schedule, Sequence) else ()
        self.register_buffer("beta", torch.ones(shape), persistent=False)
        self.set_step(0)

    def set_step(self, step: int) -> None:
        """Puts β, and what any part of model and guide anneals, where it is at this step.

        Each submodule that has a method `set_step` is told the step.
        """
        for module in self.modules():
            if module is not self and hasattr(module, "set_step"):
                cast(Any, module).set_step(step)
        schedules = self.schedule if isinstance(self.schedule, Sequence) else [self.schedule]
        values = [schedule(step) for schedule in schedules]
        if not isinstance(self.elbo, HierarchyELBO) and min(values) <= 0:
            raise ValueError(
                f"β is {values} at step {step}, but Pyro's own bounds need it above 0: "
                "let the schedule start at 0.01, say, or use elbo=hierarchy"
            )
        # In place, since a captured step reads this very tensor, and without a copy from the
        # host, which would wait for the GPU.
        for beta, value in zip(self.beta.view(-1), values, strict=True):
            beta.fill_(value)

    def forward(self, video: Tensor) -> Evaluation:
        """The loss of a batch, and its parts."""
        scale = 1.0 / (video.shape[0] * self._terms(video))
        if not isinstance(self.elbo, HierarchyELBO):
            model = Tempered(self.beta)(self.model)
            guide = Tempered(self.beta)(self.guide)
            # Else features, and BatchNorm's statistics, would be taken once by each program.
            with memoised():
                loss = self.elbo.differentiable_loss(model, guide, video)
            return Evaluation(loss * scale, {})
        self.elbo.beta = self.beta
        bound = self.elbo.bound(self.model, self.guide, video)
        parts = {"frames": bound.likelihood.detach().mean()}
        for (kind, level), kl in sorted(bound.kl.items()):
            parts[f"{kind}_{level}" if level else kind] = kl.detach().mean()
        for level, e in bound.gates.items():
            parts[f"change_{level}"] = e.mean()
        return Evaluation(bound.loss * scale, parts)

    def _terms(self, video: Tensor) -> int:
        """What the loss of a sequence is divided by."""
        if self.per == "frame":
            scored = getattr(self.model, "scored", None)
            return video.shape[1] if scored is None else len(scored(video.shape[1]))
        return video.shape[2:].numel() if self.per == "pixel" else 1
