"""What an emission is: the distribution of frames, given what the lowest level hands down."""

import abc
from typing import Any, NamedTuple

from pyro.distributions import TorchDistribution
from torch import Tensor, nn

from pyrovp.evidence import Features
from pyrovp.sizes import Size
from pyrovp.state import Context

__all__ = ["Emission", "Emitted", "FrameModel"]


class Emitted(NamedTuple):
    """Frames and what goes on.

    Args:
        frames: Their distribution, batch_shape [..., B] and event_shape [T, C, H, W].
        memory: The emission's memory after them.
    """

    frames: TorchDistribution
    memory: Any


class FrameModel(nn.Module, abc.ABC):
    """p(frames | contexts), for any number of consecutive frames at once.

    Law: frames in one call, or one by one with the memory handed on, are the same frames.

    Attributes:
        feeds_back: Whether a frame depends on the one before, whose features are then needed.

    Shapes:
        contexts: parts [..., B, T, *dims(size)]
        past: features of the frames before each, [B, T, X] or {r: [B, T, C, r, r]}
    """

    feeds_back: bool = False

    def initial(self, batch: int, like: Tensor, given: Features | None) -> Any:
        """The memory before the first frame, from the features of the given ones; none here."""
        return ()

    @abc.abstractmethod
    def forward(
        self, contexts: Context, memory: Any = (), past: Features | None = None
    ) -> Emitted:
        """The distribution of the frames, and the memory after them."""


class Emission(abc.ABC):
    """Describes a distribution of frames; the hierarchy builds it for its contexts' sizes."""

    @abc.abstractmethod
    def build(
        self,
        inputs: tuple[Size, ...],
        features: int | dict[int, int] | None = None,
        given: int = 0,
    ) -> FrameModel:
        """The network.

        Args:
            inputs: Sizes of the parts that the lowest level hands down.
            features: Of the encoder: their number, or channels by resolution.
            given: Number of frames that condition the model.
        """
