"""Frames decoded one by one: an emission without a memory."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pyrovp.emission.base import Emission, Emitted, FrameModel
from pyrovp.emission.likelihood import (
    GaussianLikelihood,
    LearnedStd,
    Likelihood,
    PixelDistribution,
    check_likelihood,
)
from pyrovp.emission.maker import check_maker
from pyrovp.evidence import Features
from pyrovp.nets.lowered import lowered
from pyrovp.nets.remade import apart, at_once, joined, remade
from pyrovp.shapes import common_shape
from pyrovp.sizes import Size, dims
from pyrovp.state import Context

__all__ = ["DecodedFrames", "GaussianFrames"]


@dataclass(frozen=True)
class DecodedFrames(Emission):
    """Independent pixels around what a decoder makes of each frame's context.

    Args:
        decoder: Builds the decoder [N, inputs] -> [N, C, H, W] for a number of inputs.
        likelihood: What the decoded map says of the pixels.

    Raises:
        ValueError: For what is no likelihood, or a decoder that is already built.

    Example:
        >>> from functools import partial
        >>> from pyrovp import BernoulliLikelihood, DCGANDecoder
        >>> decoder = partial(DCGANDecoder, channels=1, resolution=16)
        >>> frames = DecodedFrames(decoder, BernoulliLikelihood()).build(inputs=(8,))
        >>> frames((torch.zeros(2, 5, 8),)).frames.event_shape  # five contexts
        torch.Size([5, 1, 16, 16])
    """

    decoder: Callable[[int], nn.Module]
    likelihood: Likelihood

    def __post_init__(self) -> None:
        check_maker(self.decoder, "partial(DCGANDecoder, channels=1, resolution=32)", 1)
        check_likelihood(self.likelihood)

    def build(
        self,
        inputs: tuple[Size, ...],
        features: int | dict[int, int] | None = None,
        given: int = 0,
    ) -> FrameModel:
        """The decoder with its likelihood; maps are read as vectors."""
        size = sum(math.prod(dims(part)) for part in inputs)
        return _Decoded(self.decoder(size), self.likelihood.build(), inputs)


@dataclass(frozen=True)
class GaussianFrames(Emission):
    """Independent Gaussian pixels around a decoded mean.

    Args:
        decoder: Builds the decoder [N, inputs] -> [N, C, H, W] for a number of inputs.
        std: σ of all pixels (frames are in [0, 1]), fixed or `LearnedStd()`.

    Raises:
        ValueError: If σ is not positive and finite, or for a decoder that is already built.

    Example:
        >>> from functools import partial
        >>> from pyrovp import DCGANDecoder
        >>> emission = GaussianFrames(partial(DCGANDecoder, channels=1, resolution=16), std=0.4)
        >>> emission.build(inputs=(8, 3))((torch.zeros(2, 5, 8), torch.zeros(2, 5, 3))).frames.std
        0.4
    """

    decoder: Callable[[int], nn.Module]
    std: float | LearnedStd

    def __post_init__(self) -> None:
        self._decoded()

    def build(
        self,
        inputs: tuple[Size, ...],
        features: int | dict[int, int] | None = None,
        given: int = 0,
    ) -> FrameModel:
        """The decoder with its σ."""
        return self._decoded().build(inputs, features, given)

    def _decoded(self) -> DecodedFrames:
        return DecodedFrames(self.decoder, GaussianLikelihood(self.std))


class _Decoded(FrameModel):
    def __init__(
        self, decoder: nn.Module, likelihood: PixelDistribution, inputs: tuple[Size, ...]
    ) -> None:
        super().__init__()
        self.decoder = decoder
        self.likelihood = likelihood
        self.events = tuple(len(dims(size)) for size in inputs)

    def forward(
        self, contexts: Context, memory: Any = (), past: Features | None = None
    ) -> Emitted:
        parts = [_flat(part, events) for part, events in zip(contexts, self.events, strict=True)]
        leading = common_shape(*(part.shape[:-1] for part in parts))
        context = torch.cat([part.expand(*leading, -1) for part in parts], -1)
        frames = lowered(self._decoded)(context.flatten(0, -2)).unflatten(0, leading)
        return Emitted(self.likelihood(frames), memory)

    def _decoded(self, context: Tensor) -> Tensor:
        parts = apart(context, at_once(len(context)))
        return joined([remade(self.decoder, part) for part in parts])


def _flat(part: Tensor, events: int) -> Tensor:
    return part if events == 1 else part.flatten(-events)
