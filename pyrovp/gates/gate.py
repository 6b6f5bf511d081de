"""What a gate is: whether a level changes at a tick, and what staying means."""

import abc
from typing import Any, Literal, TypeVar

import pyro.distributions as dist
from torch import Tensor, nn

from pyrovp.gates.rules import Rule
from pyrovp.lazy import Lazy

__all__ = ["Gate", "GateCell", "Logit"]

Logit = Tensor | Lazy

T = TypeVar("T")


class Gate(abc.ABC):
    """Describes whether a level changes at a tick, and what staying means.

    Attributes:
        rule: How a guide infers the gate; None: the gate decides by itself.
        fresh_static: Whether a level that stays, while the one below changed, gets a new
            posterior and sample; False: it keeps both.
        static_sample: What a level that gets no new posterior does with its sample: keep it, or
            redraw it from the belief it holds.
        block_memory: Whether the level's memory moves on only where it changed; one that reads
            frames takes in every frame.
        detach_static: Whether the static prior's gradient stops at the older belief.
    """

    rule: Rule | None = None
    fresh_static: bool
    static_sample: Literal["copy", "redraw"]
    block_memory: bool
    detach_static: bool

    @abc.abstractmethod
    def cell(self, inputs: tuple[int, ...], state: int) -> "GateCell":
        """The gate's network for a level that knows `inputs` and has a state of this size."""

    def reads(self, known: tuple[T, ...], state: T) -> tuple[T, ...]:
        """What it looks at, of what the level knows and of the level's last state."""
        return known


class GateCell(nn.Module, abc.ABC):
    """A gate at work."""

    size: int

    def initial(self, batch: int, like: Tensor) -> Tensor:
        """The gate's memory before frame 0: zeros [B, G]."""
        return like.new_zeros(batch, self.size)

    @abc.abstractmethod
    def tick(self, g: Any, t: int, known: tuple[Tensor, ...], z: Tensor) -> tuple[Any, Logit]:
        """(memory, logit): the gate's memory and the log-odds of a change [...] at frame t.

        Both may be lazy: a guide that compares KLs has no use for them.

        Args:
            g: Memory so far, of `initial` or of the tick before.
            t: The frame.
            known: What the level knows before the levels above have drawn.
            z: Its last state.
        """

    @abc.abstractmethod
    def prior(self, logit: Logit, open: Tensor | None) -> dist.TorchDistribution:
        """The prior of e; `open`: where the level may change [...], None: everywhere."""

    @abc.abstractmethod
    def infer(
        self, q: Tensor, change: Tensor, static: Tensor, logit: Logit, open: Tensor | None
    ) -> dist.TorchDistribution:
        """The posterior of e; see `Rule.infer`."""
