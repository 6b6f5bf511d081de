r"""Starts: the memory before the first step.

    Zeros           m_0 = 0
    Learned         m_0 = a parameter
    FromContext     m_0 = GN(W_2 LReLU(GN(W_1 * [f_1, ..., f_n])))

f_i are the features of the given frames, W_1 a convolution of all of them, W_2 a 1x1 convolution;
for vectors and maps of one pixel both are matrix products.
"""

import abc
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pyrovp.nets.centre import CentreConv2d
from pyrovp.nets.norm import groups, map_norm
from pyrovp.sizes import Map, Size, dims

__all__ = ["FromContext", "Learned", "Start", "Zeros"]

SLOPE = 0.2


class Start(abc.ABC):
    """Describes what a memory starts from."""

    @abc.abstractmethod
    def build(self, memory: Sequence[int], features: Size | None, frames: int) -> nn.Module:
        """The network of the start.

        Its `forward(context, batch, like)` makes the memory [B, *memory], of the kind of the
        tensor `like`, from the features [B, frames, *dims(features)] of the given frames.

        Args:
            memory: Dimensions of the memory.
            features: Size of a frame's features; None: there are none.
            frames: Number of given frames.

        Raises:
            ValueError: If the start needs frames or features that are not there.
        """


@dataclass(frozen=True)
class Zeros(Start):
    """An empty memory.

    Example:
        >>> Zeros().build((3,), features=None, frames=0)(None, batch=1, like=torch.ones(1))
        tensor([[0., 0., 0.]])
    """

    def build(self, memory: Sequence[int], features: Size | None, frames: int) -> nn.Module:
        """Without parameters; looks at no frame."""
        return _Zeros(memory)


class _Zeros(nn.Module):
    def __init__(self, memory: Sequence[int]) -> None:
        super().__init__()
        self.dims = tuple(memory)

    def forward(self, context: Tensor | None, batch: int, like: Tensor) -> Tensor:
        return like.new_zeros(batch, *self.dims)


@dataclass(frozen=True)
class Learned(Start):
    """A memory that is a parameter, the same for all sequences; zero before training.

    Example:
        >>> [p.shape for p in Learned().build((3,), features=None, frames=0).parameters()]
        [torch.Size([3])]
    """

    def build(self, memory: Sequence[int], features: Size | None, frames: int) -> nn.Module:
        """The parameter; looks at no frame."""
        return _Learned(memory)


class _Learned(nn.Module):
    def __init__(self, memory: Sequence[int]) -> None:
        super().__init__()
        self.memory = nn.Parameter(torch.zeros(*memory))

    def forward(self, context: Tensor | None, batch: int, like: Tensor) -> Tensor:
        return self.memory.expand(batch, *self.memory.shape)


@dataclass(frozen=True)
class FromContext(Start):
    """A small network on the features of the given frames.

    The hidden layer is as wide as the memory, in groups of at most 4; the result is normalised in
    one group at one pixel, and at most 16 elsewhere.

    Reference:
        Improved Conditional VRNNs for Video Prediction (Castrejon, Ballas, Courville, 2019),
        Section 4.2, "Initial State"; the layers are those of the authors' implementation.

    Args:
        kernel: Side of the first convolution's kernel, an odd number of pixels.

    Raises:
        ValueError: For an even kernel.

    Example:
        >>> start = FromContext().build((8,), features=5, frames=2)
        >>> start(torch.ones(4, 2, 5), batch=4, like=torch.ones(1)).shape
        torch.Size([4, 8])
    """

    kernel: int = 1

    def __post_init__(self) -> None:
        if not isinstance(self.kernel, int) or self.kernel < 1 or self.kernel % 2 == 0:
            raise ValueError(f"a start's kernel is 1, 3, 5, ... pixels, got {self.kernel!r}")

    def build(self, memory: Sequence[int], features: Size | None, frames: int) -> nn.Module:
        """The network, for features of the memory's place."""
        place = tuple(memory[1:]) or (1, 1)
        if features is None or frames < 1:
            what = "no features of frames" if features is None else f"{frames} given frames"
            raise ValueError(
                f"a start from the context needs at least one given frame and its features, but "
                f"there are {what}; use Zeros() or Learned()"
            )
        if (dims(features)[1:] or (1, 1)) != place:
            raise ValueError(
                f"a memory of dimensions {list(memory)} starts from features of the same place, "
                f"got {features}; take the encoder's map at {place[0]} pixels, or use Zeros()"
            )
        channels = features.channels if isinstance(features, Map) else features
        return _FromContext(tuple(memory), frames * channels, self.kernel)


class _FromContext(nn.Module):
    def __init__(self, memory: tuple[int, ...], inputs: int, kernel: int) -> None:
        super().__init__()
        self.dims = memory
        width, resolution = memory[0], 1 if len(memory) == 1 else memory[-1]
        self.first = CentreConv2d(inputs, width, kernel)
        self.first_norm = nn.GroupNorm(groups(width, 4, resolution), width)
        self.second = CentreConv2d(width, width, 1)
        self.second_norm = map_norm(width, 16, resolution)

    def forward(self, context: Tensor, batch: int, like: Tensor) -> Tensor:
        x = torch.cat(context.unbind(1), 1)  # [B, frames, C, ...] -> [B, frames C, ...]
        if x.shape[1] != self.first.in_channels:
            raise ValueError(
                f"this start reads {self.first.in_channels} channels, those of all given frames "
                f"together, but {context.shape[1]} frames of {context.shape[2]} channels came; "
                "give as many frames as it was built for"
            )
        if x.dim() == 2:
            x = x[:, :, None, None]
        x = F.leaky_relu_(self.first_norm(self.first(x)), SLOPE)
        return self.second_norm(self.second(x)).reshape(batch, *self.dims)
