r"""Heads: from what a level knows to its belief about its state.

On vectors, dense layers:

    p    = act(W_k ... act(W_1 inputs))
    mean = W_m p + b_m
    std  = softplus(W_s (p + shift) + b_s) + min_std

On maps, a 1x1 convolution and a group norm, at the level's resolution:

    [mean, r] = GN(W [h, up(c), ...]),   std = sqrt(softplus(r))
"""

import abc
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pyrovp.checks import check_count, check_layers
from pyrovp.memo import memo
from pyrovp.nets.folding import fold, unfold
from pyrovp.nets.gathered import linear
from pyrovp.nets.joint import Joint
from pyrovp.nets.joint_map import JointMap
from pyrovp.nets.norm import map_norm
from pyrovp.sizes import Map, Size, dims

__all__ = [
    "Gaussian",
    "GaussianHead",
    "GaussianMap",
    "Head",
    "Latent",
    "half_log_variance",
    "packed",
    "root_softplus",
]


class Latent(abc.ABC):
    """Describes a level's stochastic state; the hierarchy builds its head.

    Attributes:
        size: Z, its length, or the channels of a map.
    """

    size: int

    @property
    @abc.abstractmethod
    def output(self) -> Size:
        """The size of the state."""

    @abc.abstractmethod
    def head(self, *inputs: Size) -> "Head":
        """The head on inputs of these sizes."""

    @property
    def event_dim(self) -> int:
        """Dimensions of a state: 1, or 3 for maps."""
        return len(dims(self.output))

    @property
    def packed(self) -> tuple[int, ...]:
        """Dimensions of a packed belief: [2Z], or [2C, r, r]."""
        first, *rest = dims(self.output)
        return (2 * first, *rest)


class Head(nn.Module, abc.ABC):
    """Packed parameters of a diagonal Gaussian, from inputs given in parts.

    Attributes:
        sizes: Of the parts.

    Shapes:
        inputs: [..., *dims(size)] each
        returns: [..., 2Z] or [..., 2C, r, r]: mean and std
    """

    sizes: tuple[Size, ...]

    @abc.abstractmethod
    def forward(self, *inputs: Tensor, early: Tensor | None = None) -> Tensor:
        """The belief's parameters; `early` stands for the last part."""

    @abc.abstractmethod
    def early(self, value: Tensor) -> Tensor:
        """The share of the last part, ahead of time."""


@dataclass(frozen=True)
class Gaussian(Latent):
    """A vector with a diagonal Gaussian, and the head that predicts it.

    Args:
        size: Z, the size of the state.
        hidden: Widths of the head's hidden layers; none makes it linear.
        activation: After each hidden layer; a function or a module.
        min_std: Lower bound of the standard deviation. It keeps the KL of a confident posterior
            finite; 1e-4 is what CW-VAE's published figures were made with.
        shift: Added to the input of the std layer (0.54 in CW-VAE's implementation).
        std: From the std layer's output to the standard deviation above its lower bound.

    Raises:
        ValueError: For a size or a width that is no whole number from 1 on, or a shift
            without a hidden layer.

    Example:
        >>> Gaussian(size=2, hidden=(16,)).head(3, 5)(torch.ones(4, 3), torch.ones(4, 5)).shape
        torch.Size([4, 4])
    """

    size: int
    hidden: tuple[int, ...] = (200,)
    activation: Callable[[Tensor], Tensor] = F.elu
    min_std: float = 1e-4
    shift: float = 0.0
    std: Callable[[Tensor], Tensor] = F.softplus

    def __post_init__(self) -> None:
        check_count("a state's size", self.size)
        check_layers("a head's hidden layers", self.hidden)
        object.__setattr__(self, "hidden", tuple(self.hidden))
        if self.shift and not self.hidden:
            raise ValueError("the shift goes to a hidden layer's output, and there is none")
        if self.min_std < 0:
            raise ValueError(f"min_std is a lower bound of a std and >= 0, got {self.min_std}")

    @property
    def output(self) -> Size:
        """Z."""
        return self.size

    def head(self, *inputs: Size) -> "GaussianHead":
        """The head on inputs of these sizes; maps are read as vectors."""
        return GaussianHead(self, tuple(math.prod(dims(size)) for size in inputs), inputs)


class GaussianHead(Head):
    """Dense layers from parts to a belief.

    Args:
        state: The state's description.
        inputs: Features of the parts.
        sizes: Their sizes, where some are maps.

    Example:
        >>> head = GaussianHead(Gaussian(size=2, hidden=(16,)), inputs=(3, 5))
        >>> head(torch.ones(4, 3), early=head.early(torch.ones(4, 5))).shape  # mean and std
        torch.Size([4, 4])
    """

    def __init__(
        self, state: Gaussian, inputs: tuple[int, ...], sizes: Sequence[Size] | None = None
    ) -> None:
        super().__init__()
        self.state = state
        self.sizes = tuple(inputs if sizes is None else sizes)
        self.events = tuple(len(dims(size)) for size in self.sizes)
        widths = (*state.hidden, 2 * state.size)
        self.first = Joint(inputs, widths[0])
        self.hidden = nn.ModuleList(
            nn.Linear(a, b) for a, b in zip(state.hidden, state.hidden[1:], strict=False)
        )
        self.output = nn.Linear(state.hidden[-1], 2 * state.size) if state.hidden else None

    def early(self, value: Tensor) -> Tensor:
        """The share of the last part in the first layer, ahead of time: [..., H] -> [..., E]."""
        return self.first.early(_flat(value, self.events[-1]))

    def forward(self, *inputs: Tensor, early: Tensor | None = None) -> Tensor:
        """The belief's parameters; `early` stands for the last part."""
        state, p = self.state, self.trunk(*inputs, early=early)
        if self.output is not None:
            p = linear(p, self.output.weight, memo(self._bias)())
        return packed(p, state.min_std, state.std)

    def trunk(self, *inputs: Tensor, early: Tensor | None = None) -> Tensor:
        """The hidden layers' output p, [..., E]."""
        activation = self.state.activation
        parts = map(_flat, inputs, self.events)
        p = self.first(*parts, early=early)
        if self.output is None:
            return p
        p = activation(p)
        for layer in self.hidden:
            assert isinstance(layer, nn.Linear)
            p = activation(linear(p, layer.weight, layer.bias))
        return p

    def _bias(self) -> Tensor:
        """The output bias with the shift folded in: W_s (p + shift) = W_s p + shift · W_s 1."""
        assert self.output is not None
        if not self.state.shift:
            return self.output.bias
        folded = self.output.weight[self.state.size :].sum(1) * self.state.shift
        return self.output.bias + F.pad(folded, (self.state.size, 0))


@dataclass(frozen=True)
class GaussianMap(Latent):
    """A map with a diagonal Gaussian, and the head that predicts it.

    The group norm starts at weight 0, so that all beliefs start alike.

    Reference:
        Improved Conditional VRNNs for Video Prediction (Castrejon, Ballas, Courville, 2019), as
        implemented by its authors.

    Args:
        size: C, its channels.
        resolution: r, its side in pixels of the map.
        min_std: Lower bound of the standard deviation.
        std: From r to the standard deviation above its lower bound.

    Raises:
        ValueError: For a size or a resolution below 1, or a negative lower bound.

    Example:
        >>> head = GaussianMap(size=2, resolution=8).head(Map(16, 8), Map(4, 1))
        >>> head(torch.ones(3, 16, 8, 8), torch.ones(3, 4, 1, 1)).shape  # mean and std
        torch.Size([3, 4, 8, 8])
    """

    size: int
    resolution: int
    min_std: float = 0.0
    std: Callable[[Tensor], Tensor] | None = None

    def __post_init__(self) -> None:
        for name in ("size", "resolution"):
            check_count(f"a map's {name}", getattr(self, name))
        if self.min_std < 0:
            raise ValueError(f"min_std is a lower bound of a std and >= 0, got {self.min_std}")

    @property
    def output(self) -> Size:
        """C channels of r by r pixels."""
        return Map(self.size, self.resolution)

    def head(self, *inputs: Size) -> "Head":
        """The head on maps of this resolution, or of one to be enlarged to it."""
        return _MapHead(self, inputs)


class _MapHead(Head):
    def __init__(self, state: GaussianMap, inputs: Sequence[Size]) -> None:
        super().__init__()
        self.state = state
        self.sizes = tuple(inputs)
        self.joint = JointMap(inputs, 2 * state.size, state.resolution)
        self.norm = map_norm(2 * state.size, 16, state.resolution)
        nn.init.zeros_(self.norm.weight)
        nn.init.normal_(self.norm.bias, std=1e-3)

    def early(self, value: Tensor) -> Tensor:
        return self.joint.early(value)

    def forward(self, *inputs: Tensor, early: Tensor | None = None) -> Tensor:
        raw = self.joint(*inputs, early=early)
        std = self.state.std or root_softplus
        return unfold(packed(self.norm(fold(raw)), self.state.min_std, std, 1), raw.shape[:-3])


def packed(
    raw: Tensor,
    min_std: float,
    std: Callable[[Tensor], Tensor] = F.softplus,
    dim: int = -1,
) -> Tensor:
    """Packed parameters [mean, std(raw) + min_std] of a head's output.

    Args:
        raw: The output, [..., 2Z].
        min_std: Lower bound of the standard deviation.
        std: From the second half to the standard deviation above its lower bound.
        dim: The dimension of the two halves.

    Example:
        >>> packed(torch.zeros(2), min_std=0.1)  # softplus(0) = log 2
        tensor([0.0000, 0.7931])
    """
    mean, spread = raw.chunk(2, dim)
    spread = std(spread)
    return torch.cat((mean, spread + min_std if min_std else spread), dim)


def root_softplus(r: Tensor) -> Tensor:
    """std [...] where the variance is softplus(r), r [...]; HVRNN's.

    Example:
        >>> root_softplus(torch.zeros(())) ** 2
        tensor(0.6931)
    """
    # The floor is below what float32 resolves beside any variance that a network would choose;
    # it keeps the root's gradient finite where softplus underflows.
    return F.softplus(r).clamp_min(1e-20).sqrt()


def half_log_variance(r: Tensor) -> Tensor:
    """std [...] where r [...] is the log-variance; SVG's.

    Example:
        >>> half_log_variance(torch.tensor(4.0).log())
        tensor(2.)
    """
    return (0.5 * r).exp()


def _flat(value: Tensor, events: int) -> Tensor:
    return value if events == 1 else value.flatten(-events)
