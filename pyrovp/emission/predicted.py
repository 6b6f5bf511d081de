r"""SVG's emission: a predictor of the next frame's vector, and a decoder with skips.

    d_t = tanh(W LSTM([f_{t-1}, z_t]))          f: the encoder's vector
    x_t = decoder(d_t, maps of frame min(t - 1, n - 1))

A video's first n frames hand their maps to the decoder; from then on the maps are frozen, so that
what was seen need not be remembered. A map of the frame x_t itself would leak it.

Reference:
    Stochastic Video Generation with a Learned Prior (Denton, Fergus, 2018), Section 3.3.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from pyrovp.cells import LSTM, Memory
from pyrovp.emission.base import Emission, Emitted, FrameModel
from pyrovp.emission.likelihood import Likelihood, check_likelihood
from pyrovp.emission.maker import check_maker
from pyrovp.evidence import Features
from pyrovp.nets.lowered import lowered
from pyrovp.nets.remade import apart, at_once, joined, remade
from pyrovp.nets.skip_decoder import SkipDecoder
from pyrovp.sizes import Size
from pyrovp.state import Context

__all__ = ["SkipFrames"]


@dataclass(frozen=True)
class SkipFrames(Emission):
    """Frames of a predictor and a decoder that reads an encoder's maps.

    Args:
        decoder: Builds the decoder.
        likelihood: What the decoded map says of the pixels.
        context: n, the frames whose maps the decoder may read. The paper freezes those of the
            last context frame; the released code those of the one before.
        memory: Describes the predictor.

    Raises:
        ValueError: For a decoder that is already built, what is no likelihood, fewer than one
            frame with maps, or a memory that is a map.

    Example:
        >>> from functools import partial
        >>> from pyrovp import GaussianLikelihood
        >>> from pyrovp.nets import SkipDCGANDecoder
        >>> decoder = partial(SkipDCGANDecoder, channels=1, resolution=16, features=8, width=0.05)
        >>> emission = SkipFrames(decoder, GaussianLikelihood(0.5), context=2)
        >>> emission.build(inputs=(3,), features={8: 13, 4: 26, 1: 8}).feeds_back
        True
    """

    decoder: Callable[[], SkipDecoder]
    likelihood: Likelihood
    context: int
    memory: Memory = LSTM(256, inputs=256, layers=2)

    def __post_init__(self) -> None:
        check_maker(
            self.decoder, "partial(SkipDCGANDecoder, channels=1, resolution=32, features=128)"
        )
        check_likelihood(self.likelihood)
        if not isinstance(self.context, int) or self.context < 1:
            raise ValueError(
                "the decoder reads the maps of a whole number of frames, at least 1, got "
                f"context={self.context!r}"
            )
        if self.memory.resolution is not None:
            raise ValueError(
                f"the predictor's memory is a vector, such as LSTM(256), got {self.memory}"
            )

    def build(
        self,
        inputs: tuple[Size, ...],
        features: int | dict[int, int] | None = None,
        given: int = 0,
    ) -> FrameModel:
        """The predictor and the decoder.

        Raises:
            ValueError: If the encoder does not have the maps that the decoder reads.
        """
        decoder = self.decoder()
        needed = decoder.skips | {1: decoder.inputs}
        if not isinstance(features, dict) or any(features.get(r) != c for r, c in needed.items()):
            raise ValueError(
                f"this decoder reads maps of {needed} channels by resolution, but the encoder "
                f"makes {features}; build both for the same frames and width"
            )
        return _Predicted(self, decoder, inputs, given)


class _Going(NamedTuple):
    """What goes on.

    Args:
        predictor: The predictor's memory.
        last: Number of the frame before the next one.
        frozen: What the decoder made of the last maps it may read; None before it has seen any.
    """

    predictor: Tensor
    last: int
    frozen: dict[int, Tensor] | None


class _Predicted(FrameModel):
    feeds_back = True

    def __init__(
        self, emission: SkipFrames, decoder: SkipDecoder, inputs: tuple[Size, ...], given: int
    ) -> None:
        super().__init__()
        self.given = given
        self.context = emission.context
        self.cell = emission.memory.cell(decoder.inputs, *inputs)
        self.start = emission.memory.start.build(self.cell.dims, decoder.inputs, given)
        self.output = nn.Linear(emission.memory.size, decoder.inputs)
        self.decoder = decoder
        self.likelihood = emission.likelihood.build()

    def initial(self, batch: int, like: Tensor, given: Features | None) -> _Going:
        seen, frozen = None, None
        if isinstance(given, dict):
            seen = given[1].flatten(-3)
            if self.given > self.context:  # the last maps it may read are those of a given frame
                maps = {r: given[r][:, self.context - 1] for r in self.decoder.skips}
                frozen = lowered(self.decoder.shares)(maps)
        return _Going(self.start(seen, batch, like), self.given - 1, frozen)

    def forward(
        self, contexts: Context, memory: Any = (), past: Features | None = None
    ) -> Emitted:
        assert isinstance(past, dict) and isinstance(memory, _Going)
        h, predictor = self.cell.run(memory.predictor, past[1].flatten(-3), *contexts)
        d = torch.tanh(self.output(h))  # [..., B, T, g]
        *lead, steps, _ = d.shape
        shares, which, frozen = self._shares(memory, past, steps)
        # Particles see the same frames.
        copies = d[..., 0, 0].numel() // past[1].shape[0]
        if copies > 1:
            shares = {r: _repeated(share, past[1].shape[0], copies) for r, share in shares.items()}
        frames = lowered(self._decoded)(d.movedim(-2, 0).flatten(0, -2), shares, which)
        frames = frames.unflatten(0, (steps, *lead)).movedim(0, len(lead))
        going = _Going(predictor, memory.last + steps, frozen)
        return Emitted(self.likelihood(frames), going)

    def _decoded(self, d: Tensor, shares: dict[int, Tensor], which: list[int]) -> Tensor:
        """Frames [T B, C, H, W] from vectors [T B, g], and the maps that each step reads."""
        batch = len(d) // len(which)
        size = at_once(len(which), batch)
        parts = [
            remade(self.decoder.decode, part, shares, which[i * size : (i + 1) * size])
            for i, part in enumerate(apart(d, size * batch))
        ]
        return joined(parts)

    def _shares(
        self, memory: _Going, past: dict[int, Tensor], steps: int
    ) -> tuple[dict[int, Tensor], list[int], dict[int, Tensor]]:
        """What the decoder makes of the maps, whose they are at each step, and the last ones."""
        live = min(steps, max(0, self.context - memory.last))
        if not live:
            assert memory.frozen is not None
            return memory.frozen, [0] * steps, memory.frozen
        maps = {
            r: past[r][:, :live].transpose(0, 1).flatten(0, 1)  # time in front
            for r in self.decoder.skips
        }
        shares, batch = lowered(self.decoder.shares)(maps), past[1].shape[0]
        which = [min(i, live - 1) for i in range(steps)]
        return shares, which, {r: share[-batch:] for r, share in shares.items()}


def _repeated(share: Tensor, batch: int, copies: int) -> Tensor:
    """[S B, ...] -> [S copies B, ...]."""
    sources = share.unflatten(0, (-1, 1, batch))
    return sources.expand(-1, copies, *sources.shape[2:]).flatten(0, 2)
