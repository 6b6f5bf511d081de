"""Emissions: the distribution of frames, given what the lowest level hands down."""

import abc
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pyrovp.distributions import IsotropicFrames

__all__ = ["Emission", "FrameModel", "GaussianFrames", "LearnedStd"]


class FrameModel(nn.Module, abc.ABC):
    """p(frames | context), for any number of frames at once.

    Shapes:
        context: [..., B, T, I]
        returns: a distribution with batch_shape [..., B] and event_shape [T, C, H, W]
    """

    @abc.abstractmethod
    def forward(self, context: Tensor) -> IsotropicFrames:
        """The distribution of the frames."""


class Emission(abc.ABC):
    """Describes a distribution of frames; the hierarchy builds it for its context's size."""

    @abc.abstractmethod
    def build(self, inputs: int) -> FrameModel:
        """The distribution's network for contexts of this size."""


@dataclass(frozen=True)
class LearnedStd:
    """A standard deviation that is a parameter of the model.

    Args:
        initial: Its value before training, in pixel values.
    """

    initial: float = 0.5

    def __post_init__(self) -> None:
        _check_std(self.initial)


@dataclass(frozen=True)
class GaussianFrames(Emission):
    """Independent Gaussian pixels around a decoded mean.

    Args:
        decoder: Builds the decoder [N, inputs] -> [N, C, H, W] for a number of inputs.
        std: σ of all pixels (frames are in [0, 1]), fixed or `LearnedStd()`.

    Raises:
        ValueError: If σ is not positive and finite.
    """

    decoder: Callable[[int], nn.Module]
    std: float | LearnedStd

    def __post_init__(self) -> None:
        if not isinstance(self.std, LearnedStd):
            _check_std(self.std)

    def build(self, inputs: int) -> FrameModel:
        """The decoder with its σ."""
        return _GaussianFrames(self.decoder(inputs), self.std)


class _GaussianFrames(FrameModel):
    def __init__(self, decoder: nn.Module, std: float | LearnedStd) -> None:
        super().__init__()
        self.decoder = decoder
        self.log_std: nn.Parameter | None = None
        self.fixed_std: float | None = None
        if isinstance(std, LearnedStd):
            self.log_std = nn.Parameter(torch.tensor(math.log(std.initial)))
        else:
            self.fixed_std = float(std)

    @property
    def std(self) -> Tensor | float:
        """σ, a number where it is fixed."""
        if self.log_std is not None:
            return self.log_std.exp()
        assert self.fixed_std is not None
        return self.fixed_std

    def forward(self, context: Tensor) -> IsotropicFrames:
        frames = self.decoder(context.flatten(0, -2))
        return IsotropicFrames(frames.unflatten(0, context.shape[:-1]), self.std)


def _check_std(std: float) -> None:
    if not (isinstance(std, int | float) and math.isfinite(std) and std > 0):
        raise ValueError(
            f"the frames' standard deviation has to be a positive number, got {std!r}; frames lie "
            "in [0, 1], so 0.1 to 1 is usual (LearnedStd(), std=None of pyrovp.models, learns it)"
        )
