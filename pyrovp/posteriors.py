r"""Posterior heads: from a level's view of itself and its evidence to its belief.

OwnHead        q = head([shown, evidence])                   networks of the guide's own
SharedTrunk    q = output([trunk(shown), evidence])          all but the output is the prior's
Twin           q = head([cell(evidence), shown])             a memory of the guide's own
"""

import abc
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, cast

from torch import Tensor, nn

from pyrovp.heads import Gaussian, GaussianHead, Head, packed
from pyrovp.levels import Level
from pyrovp.nets.joint import Joint
from pyrovp.sizes import Size

__all__ = ["OwnHead", "PosteriorHead", "SharedTrunk", "Twin"]


class PosteriorHead(abc.ABC):
    """Describes a posterior; the guide builds one for each level.

    The module built has `early(evidence, given)`, the evidence's share taken for all ticks at
    once, and `forward(*shown, early, trunk)`, the packed belief [..., 2Z]; `trunk` is the prior's
    head. `given` are the level's features of the frames that condition the model.

    Attributes:
        memory: Whether evidence passes through a memory of the guide's own: "forward" in time.
    """

    memory: ClassVar[Literal["none", "forward"]] = "none"

    def check(self, shown: tuple[Size, ...], prior: Head) -> None:  # noqa: B027
        """Refuses a level that this posterior does not fit; by default none.

        Args:
            shown: Sizes of what a posterior sees of the level.
            prior: The level's prior head.

        Raises:
            ValueError: If there is no fit.
        """

    @abc.abstractmethod
    def build(
        self, level: Level, shown: tuple[Size, ...], evidence: Size, given: int
    ) -> nn.Module:
        """The posterior of a level's state.

        Args:
            level: The level.
            shown: Sizes of what it shows of itself.
            evidence: Size of the frames' features at this level.
            given: Number of frames that condition the model.

        Raises:
            ValueError: If its own options do not suit the level's state.
        """


@dataclass(frozen=True)
class OwnHead(PosteriorHead):
    """A head like the prior's, with weights of its own, on the evidence too.

    Args:
        hidden: Widths of its hidden layers, for heads of dense layers; None: as the prior's.

    Example:
        >>> import torch
        >>> from pyrovp import GRU
        >>> level = Level(memory=GRU(8), state=Gaussian(2))
        >>> posterior = OwnHead().build(level, shown=(3,), evidence=5, given=0)
        >>> early = posterior.early(torch.ones(4, 5))
        >>> posterior(torch.ones(4, 3), early, None).shape  # mean and std
        torch.Size([4, 4])
    """

    hidden: tuple[int, ...] | None = None

    def build(
        self, level: Level, shown: tuple[Size, ...], evidence: Size, given: int
    ) -> nn.Module:
        """The head."""
        state = level.state
        if self.hidden is not None:
            if not isinstance(state, Gaussian):
                raise ValueError(f"OwnHead(hidden=...) is for dense heads, but a state is {state}")
            state = replace(state, hidden=tuple(self.hidden))
        return _OwnHead(state.head(*shown, evidence))


class _OwnHead(nn.Module):
    def __init__(self, head: Head) -> None:
        super().__init__()
        self.head = head

    def early(self, evidence: Tensor, given: Tensor | None = None) -> Tensor:
        return self.head.early(evidence)

    def forward(self, *inputs: Tensor | nn.Module) -> Tensor:
        *shown, early, _ = inputs
        return self.head(*shown, early=early)


@dataclass(frozen=True)
class Twin(PosteriorHead):
    """The prior once more, with networks of its own, and the frame itself for the frame before.

    Its memory takes in nothing but evidence, so it is known for all ticks before any state is
    drawn.

    Reference:
        Improved Conditional VRNNs for Video Prediction (Castrejon, Ballas, Courville, 2019),
        Section 4.2; Stochastic Video Generation with a Learned Prior (Denton, Fergus, 2018).

    Example:
        >>> import torch
        >>> from pyrovp import GRU
        >>> level = Level(memory=GRU(8), state=Gaussian(2))
        >>> posterior = Twin().build(level, shown=(3,), evidence=5, given=0)
        >>> posterior.early(torch.ones(4, 10, 5)).shape  # its memory at all ten frames
        torch.Size([4, 10, 8])
    """

    memory = "forward"

    def build(
        self, level: Level, shown: tuple[Size, ...], evidence: Size, given: int
    ) -> nn.Module:
        """Cell, start and head."""
        return _Twin(level, shown, evidence, given)


class _Twin(nn.Module):
    def __init__(self, level: Level, shown: tuple[Size, ...], evidence: Size, given: int) -> None:
        super().__init__()
        self.cell = level.memory.cell(evidence)
        self.start = level.memory.start.build(self.cell.dims, evidence, given)
        self.head = level.state.head(level.memory.output, *shown)

    def early(self, evidence: Tensor, given: Tensor | None = None) -> Tensor:
        return self.cell.scan(self.start(given, len(evidence), evidence), evidence)

    def forward(self, *inputs: Tensor | nn.Module) -> Tensor:
        *shown, h, _ = cast(tuple[Tensor, ...], inputs)
        return self.head(h, *shown)


@dataclass(frozen=True)
class SharedTrunk(PosteriorHead):
    """The prior's own hidden layers; only the output layer, which sees the evidence, is new.

    Needs a wiring in which prior and posterior see the same (`Parent`).

    Reference:
        Clockwork Variational Autoencoders (Saxena, Ba, Hafner, 2021), Section 2: "We reuse all
        weights of the generative model for inference except for the output layer". The released
        code does not: its posterior has two hidden layers of its own.

    Example:
        >>> from pyrovp import GRU
        >>> level = Level(memory=GRU(8), state=Gaussian(2, hidden=(16,)))
        >>> posterior = SharedTrunk().build(level, shown=(8,), evidence=5, given=0)
        >>> sum(p.numel() for p in posterior.parameters())  # an output layer: (16 + 5) · 4 + 4
        88
    """

    def check(self, shown: tuple[Size, ...], prior: Head) -> None:
        """Prior and posterior must see the same, through hidden layers."""
        if not isinstance(prior, GaussianHead) or not prior.state.hidden:
            raise ValueError(
                "SharedTrunk reuses the hidden layers of a level's prior, and this one has none; "
                "use OwnHead() or Twin() for this level"
            )
        if shown != prior.sizes:
            raise ValueError(
                f"SharedTrunk reuses the prior's hidden layers, which see parts of sizes "
                f"{prior.sizes}, but with this wiring a posterior sees {shown}; "
                "use the wiring Parent(), or OwnHead()"
            )

    def build(
        self, level: Level, shown: tuple[Size, ...], evidence: Size, given: int
    ) -> nn.Module:
        """The output layer."""
        assert isinstance(level.state, Gaussian) and isinstance(evidence, int)
        return _SharedTrunk(level.state, evidence)


class _SharedTrunk(nn.Module):
    def __init__(self, state: Gaussian, evidence: int) -> None:
        super().__init__()
        self.state = state
        self.output = Joint((state.hidden[-1], evidence), 2 * state.size)

    def early(self, evidence: Tensor, given: Tensor | None = None) -> Tensor:
        return self.output.early(evidence)

    def forward(self, *inputs: Tensor | nn.Module) -> Tensor:
        *shown, early, prior = inputs
        trunk: Callable[..., Tensor] = prior.trunk  # type: ignore[union-attr,assignment]
        return packed(self.output(trunk(*shown), early=early), self.state.min_std, self.state.std)
