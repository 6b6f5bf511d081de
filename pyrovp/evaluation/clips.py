"""What is measured of whole predicted clips: of each a few numbers, and a figure of all of them.

    look        the numbers of every clip of a batch, features for example; they are kept
    conclude    the figure, of the numbers of all batches

Of several samples of a sequence the first one is looked at: it is a random one, never the best.
"""

import abc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, device

from pyrovp.metrics import FVD, Absent

__all__ = ["ClipMeasure", "Conclusion", "FrechetDistance", "Seen", "growing_lengths"]


@dataclass(frozen=True)
class Seen:
    """A batch of clips, as a measure looks at them; clipped where the protocol says so.

    Args:
        context: The given frames.
        truth: The true future.
        prediction: The first sample.
        states: True states by name, where the data set knows them.

    Shapes:
        context: [B, Tc, C, H, W]
        truth, prediction: [B, horizon, C, H, W]
        states: name -> [B, Tc + horizon, ...]
    """

    context: Tensor
    truth: Tensor
    prediction: Tensor
    states: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Conclusion:
    """The figure of a measure.

    Args:
        facts: Of what JSON can hold.
        sentences: The same in words.
    """

    facts: Mapping[str, Any]
    sentences: Sequence[str] = ()


class ClipMeasure(abc.ABC):
    """A figure of whole clips.

    Law: `look` treats sequences one by one, so it does not matter how they are batched.

    Attributes:
        name: Its key in files.
    """

    name: str

    @abc.abstractmethod
    def look(self, clips: Seen) -> dict[str, Tensor]:
        """What is kept of a batch: name -> [B, ...]."""

    @abc.abstractmethod
    def conclude(self, kept: Mapping[str, Tensor]) -> Conclusion | Absent:
        """The figure.

        Args:
            kept: What `look` returned, of all sequences: name -> [N, ...].
        """

    def to(self, where: device) -> "ClipMeasure":
        """The measure, ready for clips on that device."""
        return self

    def identity(self) -> str:
        """What decides its figure beside the protocol."""
        return self.name


class FrechetDistance(ClipMeasure):
    """FVD of the whole prediction, and as a curve over growing sub-sequences.

    Args:
        fvd: See `pyrovp.metrics.FVD`.
        context: Whether clips begin with the given frames (HVRNN) or at the first predicted one.

    Reference:
        Clockwork Variational Autoencoders (Saxena, Ba, Hafner, 2021), Figure E.1 for the curves.
        Improved Conditional VRNNs for Video Prediction (Castrejon, Ballas, Courville, 2019),
        Section 4.2 for clips with their context.
    """

    name = "fvd"
    better = "lower"

    def __init__(self, fvd: FVD, *, context: bool) -> None:
        self.fvd = fvd
        self.context = context

    def look(self, clips: Seen) -> dict[str, Tensor]:
        real, made = clips.truth, clips.prediction
        given = clips.context.shape[1] if self.context else 0
        if given:
            real, made = (torch.cat((clips.context, future), 1) for future in (real, made))
        lengths = growing_lengths(given, real.shape[1])
        features = {
            "real": self.fvd.growing(real, lengths),
            "made": self.fvd.growing(made, lengths),
        }
        kept = {f"{whose}/{n}": f for whose, by in features.items() for n, f in by.items()}
        return kept | {"given": torch.full((len(real),), given)}

    def conclude(self, kept: Mapping[str, Tensor]) -> Conclusion | Absent:
        given = kept["given"]
        if len(given) < 2:
            return Absent("FVD compares sets: 2 sequences or more are needed, this is one")
        features: dict[str, dict[int, Tensor]] = {"real": {}, "made": {}}
        for name, values in kept.items():
            whose, _, length = name.partition("/")
            if length:
                features[whose][int(length)] = values
        curve = self.fvd.curve(features["real"], features["made"], context=int(given[0]))
        facts = curve[-1].summary() | {"curve": [figure.summary() for figure in curve]}
        return Conclusion(facts, [curve[-1].sentence()])

    def to(self, where: device) -> "FrechetDistance":
        self.fvd.to(where)
        return self

    def identity(self) -> str:
        return f"{self.name}/{self.fvd.name}/{self.fvd.sha256}/{self.context}"


def growing_lengths(given: int, frames: int) -> list[int]:
    """Lengths of sub-sequences: doubled from 16 on, and the whole.

    Args:
        given: Frames at the beginning that are no prediction; every length goes beyond them.
        frames: Of the whole clip.

    Example:
        >>> growing_lengths(0, 100)
        [16, 32, 64, 100]
    """
    lengths = []
    length = 16
    while length < frames:
        if length > given:
            lengths.append(length)
        length *= 2
    return [*lengths, frames]
