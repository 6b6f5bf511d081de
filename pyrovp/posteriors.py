r"""Posterior heads: from a level's view of itself and its evidence to its belief.

OwnHead        q = head([shown, evidence])                   networks of the guide's own
SharedTrunk    q = output([trunk(shown), evidence])          all but the output is the prior's
"""

import abc
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

from pyrovp.heads import Gaussian, GaussianHead, packed
from pyrovp.nets.joint import Joint

__all__ = ["OwnHead", "PosteriorHead", "SharedTrunk"]


class PosteriorHead(abc.ABC):
    """Describes a posterior; the guide builds one for each level.

    The module built has `early(evidence)`, the evidence's share taken for all ticks at once, and
    `forward(*shown, early, trunk)`, the packed belief [..., 2Z]; `trunk` is the prior's head.
    """

    def check(self, shown: tuple[int, ...], prior: GaussianHead) -> None:  # noqa: B027
        """Refuses a level that this posterior does not fit; by default none.

        Args:
            shown: Sizes of what a posterior sees of the level.
            prior: The level's prior head.
        """

    @abc.abstractmethod
    def build(self, state: Gaussian, shown: tuple[int, ...], evidence: int) -> nn.Module:
        """The posterior of a state, from parts and evidence of these sizes."""


@dataclass(frozen=True)
class OwnHead(PosteriorHead):
    """A head like the prior's, with weights of its own, on the evidence too.

    Args:
        hidden: Widths of its hidden layers; None: as the prior's.
    """

    hidden: tuple[int, ...] | None = None

    def build(self, state: Gaussian, shown: tuple[int, ...], evidence: int) -> nn.Module:
        """The head."""
        hidden = state.hidden if self.hidden is None else tuple(self.hidden)
        described = Gaussian(state.size, hidden, state.activation, state.min_std, state.shift)
        return _OwnHead(described.head(*shown, evidence))


class _OwnHead(nn.Module):
    def __init__(self, head: GaussianHead) -> None:
        super().__init__()
        self.head = head

    def early(self, evidence: Tensor) -> Tensor:
        return self.head.early(evidence)

    def forward(self, *inputs: Tensor | nn.Module) -> Tensor:
        *shown, early, _ = inputs
        return self.head(*shown, early=early)


@dataclass(frozen=True)
class SharedTrunk(PosteriorHead):
    """The prior's own hidden layers; only the output layer, which sees the evidence, is new.

    Needs a wiring in which prior and posterior see the same (`Parent`).

    Reference:
        Clockwork Variational Autoencoders (Saxena, Ba, Hafner, 2021), Section 2: "We reuse all
        weights of the generative model for inference except for the output layer". The released
        code does not: its posterior has two hidden layers of its own.
    """

    def check(self, shown: tuple[int, ...], prior: GaussianHead) -> None:
        """Prior and posterior must see the same."""
        if shown != prior.first.sizes:
            raise ValueError(
                f"SharedTrunk reuses the prior's hidden layers, which see parts of sizes "
                f"{prior.first.sizes}, but with this wiring a posterior sees {shown}; "
                "use the wiring Parent(), or OwnHead()"
            )

    def build(self, state: Gaussian, shown: tuple[int, ...], evidence: int) -> nn.Module:
        """The output layer."""
        return _SharedTrunk(state, evidence)


class _SharedTrunk(nn.Module):
    def __init__(self, state: Gaussian, evidence: int) -> None:
        super().__init__()
        self.min_std = state.min_std
        self.output = Joint((state.hidden[-1], evidence), 2 * state.size)

    def early(self, evidence: Tensor) -> Tensor:
        return self.output.early(evidence)

    def forward(self, *inputs: Tensor | nn.Module) -> Tensor:
        *shown, early, prior = inputs
        trunk: Callable[..., Tensor] = prior.trunk  # type: ignore[union-attr,assignment]
        return packed(self.output(trunk(*shown), early=early), self.min_std)
