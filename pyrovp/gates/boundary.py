r"""A boundary gate: a relaxed Bernoulli that cuts a sequence into segments.

    y_t = (log-odds_t + logistic noise) / τ      site elogit_{n}_{t}, in logit space
    m_t = 1[y_t > 0], backwards σ(y_t)           1: a segment begins at frame t

It is drawn at the end of the step before its frame. The temperature τ falls during training. For
fixed noise it moves gradients, not values: the densities of the gate in model and guide share the
term log τ.

Reference:
    Variational Temporal Abstraction (Kim, Ahn, Bengio, 2019), Sections 2.2 and 2.3,
    https://arxiv.org/abs/1910.00775; The Concrete Distribution (Maddison, Mnih, Teh, 2017) for
    the relaxation, whose density stays finite in logit space at low temperatures.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

import pyro
import torch
from torch import Tensor, nn

from pyrovp.distributions import LogitRelaxedBernoulli, straight_through
from pyrovp.gates.gate import Gate
from pyrovp.gates.segment_prior import Counts, SegmentPrior
from pyrovp.lazy import Lazy
from pyrovp.memo import memo
from pyrovp.sites import LOGIT_GATE, site

__all__ = ["Boundary", "BoundaryCell"]


@dataclass(frozen=True)
class Boundary(Gate):
    """Describes a boundary gate.

    Args:
        temperature: τ by training step: a schedule such as `Exponential`, or any function.
        segments: What the model believes of segments in training; None: what it predicts.

    Raises:
        ValueError: If the temperature is no function of a step.

    Example:
        >>> Boundary(temperature=lambda step: 0.5).build(inputs=8).temperature
        tensor(0.5000)
    """

    temperature: Callable[[int], float]
    segments: SegmentPrior | None = None

    def __post_init__(self) -> None:
        if not callable(self.temperature):
            raise ValueError(
                "a boundary's temperature is a schedule, a function of the training step such as "
                f"lambda step: 0.5, got {self.temperature!r}"
            )

    def cell(self, inputs: tuple[int, ...], state: int) -> NoReturn:
        """Refused: a `Hierarchy` decides its gates within a step."""
        raise ValueError(
            "a Boundary is drawn at the end of the step before its frame and steers a state space "
            "of its own, pyrovp.models.vta; give a Hierarchy's levels MixtureGate() or Forced(...)"
        )

    def build(self, inputs: int) -> "BoundaryCell":
        """The gate at work, whose prior sees features of this size."""
        return BoundaryCell(self, inputs)


class BoundaryCell(nn.Module):
    """A boundary gate at work; model and guide share it.

    Args:
        gate: Its description.
        inputs: Size F of the features that predict the next boundary.

    Attributes:
        temperature: τ, a scalar that `set_step` moves in place.

    Example:
        >>> cell = BoundaryCell(Boundary(temperature=lambda step: 0.5), inputs=8)
        >>> cell.log_odds(torch.ones(4, 8), counts=None).shape
        torch.Size([4])
    """

    temperature: Tensor

    def __init__(self, gate: Boundary, inputs: int) -> None:
        super().__init__()
        self.gate = gate
        self.prior = nn.Linear(inputs, 2)
        self.register_buffer("temperature", torch.ones(()), persistent=False)
        self.set_step(0)

    def set_step(self, step: int) -> None:
        """Puts τ where its schedule has it at this training step.

        Raises:
            ValueError: If that is not a positive number.
        """
        value = self.gate.temperature(step)
        if not (math.isfinite(value) and value > 0):
            raise ValueError(
                f"a temperature is a positive number, but the schedule has {value} at step {step}"
            )
        # In place, since a captured step reads this very tensor.
        self.temperature.fill_(value)

    def initial(self, batch: int, like: Tensor) -> Counts | None:
        """The counts before the first frame; None where nothing is counted: the segment prior
        belongs to training."""
        segments = self.gate.segments
        return segments.initial(batch, like) if segments is not None and self.training else None

    def count(self, counts: Counts | None, m: Tensor) -> Counts | None:
        """The counts after a frame with the gate m [..., B]."""
        segments = self.gate.segments
        return None if counts is None or segments is None else segments.count(counts, m)

    def log_odds(self, features: Tensor, counts: Counts | None) -> Tensor:
        """The prior's log-odds [..., B] of a boundary at the next frame.

        Args:
            features: Of this frame, [..., B, F].
            counts: After this frame.
        """
        begin, stay = self.prior(features).unbind(-1)
        segments, log_odds = self.gate.segments, begin - stay
        return log_odds if counts is None or segments is None else segments.limit(counts, log_odds)

    def draw(self, level: int, t: int, log_odds: Tensor | Lazy) -> Tensor:
        """m at frame t, exactly 0 or 1 with the gradient of its soft value, [..., B].

        Args:
            level: The gated level, from 1.
            t: The frame.
            log_odds: Of a boundary there, the prior's or a posterior's, [..., B]; or how to
                compute them.
        """
        relaxed = LogitRelaxedBernoulli(self.temperature, log_odds)
        return memo(straight_through)(pyro.sample(site(LOGIT_GATE, level, t), relaxed))
