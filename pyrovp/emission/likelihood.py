r"""Likelihoods: what a decoded map says of the pixels.

    Gaussian    log p(x) = -Σ (x - m)² / 2σ² - n log σ√(2π)      squared errors
    Laplace     log p(x) = -Σ |x - m| / b - n log 2b              absolute errors
    Bernoulli   log p(x) = Σ x log σ(l) + (1 - x) log(1 - σ(l))   binary cross-entropy

summed over the n pixels of all frames, in nats. What a network decodes is the mean m, or for
Bernoulli the logit l; `takes_logits` says which, so that a decoder knows whether to end in a
sigmoid.
"""

import abc
import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from pyro.distributions import TorchDistribution
from torch import Tensor, nn

from pyrovp.distributions import BernoulliFrames, IsotropicFrames, LaplaceFrames

__all__ = [
    "BernoulliLikelihood",
    "GaussianLikelihood",
    "LaplaceLikelihood",
    "LearnedStd",
    "Likelihood",
    "PixelDistribution",
    "check_likelihood",
]


class PixelDistribution(nn.Module, abc.ABC):
    """p(frames | decoded map). Law: `.mean` of what it returns is in pixels, ready to be shown.

    Attributes:
        takes_logits: Whether the map holds logits rather than means.

    Shapes:
        location: [..., T, C, H, W]
        returns: a distribution with batch_shape [...] and event_shape [T, C, H, W]
    """

    takes_logits: ClassVar[bool] = False

    @abc.abstractmethod
    def forward(self, location: Tensor) -> TorchDistribution:
        """The distribution of the frames."""


class Likelihood(abc.ABC):
    """Describes p(frames | decoded map); an emission builds it.

    Attributes:
        takes_logits: Whether the map holds logits rather than means.
    """

    takes_logits: ClassVar[bool] = False

    @abc.abstractmethod
    def build(self) -> PixelDistribution:
        """The distribution, with whatever parameters it has of its own."""


@dataclass(frozen=True)
class LearnedStd:
    """A standard deviation that is a parameter of the model.

    Args:
        initial: Its value before training, in pixel values.

    Raises:
        ValueError: If it is not positive and finite.

    Example:
        >>> sum(p.numel() for p in GaussianLikelihood(LearnedStd(0.5)).build().parameters())
        1
    """

    initial: float = 0.5

    def __post_init__(self) -> None:
        _check_std(self.initial)


@dataclass(frozen=True)
class GaussianLikelihood(Likelihood):
    """Gaussian pixels around a decoded mean.

    Args:
        std: σ of all pixels (frames are in [0, 1]), fixed or `LearnedStd()`. With 2**-0.5 the
            log-density is the sum of squares without a factor ½, HVRNN's L2.

    Raises:
        ValueError: If σ is not positive and finite.

    Example:
        >>> frames = GaussianLikelihood(std=2**-0.5).build()(torch.zeros(8, 5, 3, 64, 64))
        >>> frames.batch_shape, frames.event_shape
        (torch.Size([8]), torch.Size([5, 3, 64, 64]))
    """

    std: float | LearnedStd

    def __post_init__(self) -> None:
        if not isinstance(self.std, LearnedStd):
            _check_std(self.std)

    def build(self) -> "PixelDistribution":
        """N(mean, σ²)."""
        return _Gaussian(self.std)


@dataclass(frozen=True)
class LaplaceLikelihood(Likelihood):
    """Laplace pixels around a decoded mean: with scale 1 the sum of absolute errors, L1.

    Args:
        scale: The mean absolute error b of all pixels (frames are in [0, 1]).

    Raises:
        ValueError: If the scale is not positive and finite.

    Example:
        >>> black, white = torch.zeros(1, 1, 1, 1, 2), torch.ones(1, 1, 1, 1, 2)
        >>> LaplaceLikelihood().build()(black).log_prob(white)  # -2 errors of 1, less 2 log 2
        tensor([-3.3863])
    """

    scale: float = 1.0

    def __post_init__(self) -> None:
        _check_positive("scale", self.scale, "1, plain absolute errors, is usual")

    def build(self) -> "PixelDistribution":
        """Laplace(mean, b)."""
        return _Laplace(float(self.scale))


@dataclass(frozen=True)
class BernoulliLikelihood(Likelihood):
    """Bernoulli pixels of decoded logits: the negative binary cross-entropy.

    Targets may be grey, in [0, 1]; the score is then no normalised density.

    Example:
        >>> BernoulliLikelihood().build()(torch.zeros(1, 1, 1, 1, 2)).mean  # of logits 0
        tensor([[[[[0.5000, 0.5000]]]]])
    """

    takes_logits: ClassVar[bool] = True

    def build(self) -> "PixelDistribution":
        """Bernoulli(σ(logit))."""
        return _Bernoulli()


class _Gaussian(PixelDistribution):
    def __init__(self, std: float | LearnedStd) -> None:
        super().__init__()
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

    def forward(self, location: Tensor) -> IsotropicFrames:
        return IsotropicFrames(location, self.std)


class _Laplace(PixelDistribution):
    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, location: Tensor) -> LaplaceFrames:
        return LaplaceFrames(location, self.scale)


class _Bernoulli(PixelDistribution):
    takes_logits: ClassVar[bool] = True

    def forward(self, location: Tensor) -> BernoulliFrames:
        return BernoulliFrames(location)


def check_likelihood(given: object) -> None:
    """Refuses what is no likelihood, such as a name or a class."""
    if not isinstance(given, Likelihood):
        raise ValueError(
            "a likelihood is an object such as LaplaceLikelihood(), BernoulliLikelihood() or "
            f"GaussianLikelihood(std=0.5), got {given!r}"
        )


def _check_std(std: float) -> None:
    hint = "0.1 to 1 is usual (LearnedStd(), std=None of pyrovp.models, learns it)"
    _check_positive("standard deviation", std, hint)


def _check_positive(name: str, value: float, hint: str) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not (number and math.isfinite(value) and value > 0):
        raise ValueError(
            f"the frames' {name} has to be a positive number, got {value!r}; frames lie in "
            f"[0, 1], so {hint}"
        )
