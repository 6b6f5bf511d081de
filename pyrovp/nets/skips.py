r"""Layers of a decoder that read an encoder's maps, held over many frames.

A decoder with skips reads [d_t, skip] at each size: its own map, and the encoder's map of a source
frame, often one frame for many steps. A convolution is linear,

    K [d_t, skip] + b = K_d d_t + b + K_s skip

so that the skip's share is computed once per source frame and added to every step that uses it;
nothing is concatenated, and no skip is repeated. Where the decoder enlarges d by nearest
neighbours before a 3x3 convolution w, both are one transposed convolution of stride 2,

    w * up(d) = d *' v,        v[c, o, t, t'] = sum_{u, u'} M[t, u] M[t', u'] w[o, c, u, u']
    M = [[0, 0, 1], [0, 1, 1], [1, 1, 0], [1, 0, 0]]

(kernel 4, padding 1) with 16 products where there were 36. Each layer keeps the one kernel K of
the plain layer as its parameter.
"""

import abc
from collections.abc import Sequence
from itertools import groupby
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pyrovp.nets.tiles import tiled_transposed_conv2d

__all__ = ["Halves", "SkipLayer", "SkipTransposedConv2d", "SkipUpConv2d", "add_held"]

FEW = 4
"""Channels of a frame rather than of a map: the transposed convolution goes by tiles."""


class Halves(NamedTuple):
    """A kernel's parts, views of it: for the decoder's own map, and for the skip."""

    own: Tensor
    skip: Tensor


class SkipLayer(nn.Module, abc.ABC):
    """Doubles the size of a map [T B, D, r, r], given skips [S B, K, 2r, 2r] or [S B, K, r, r].

    Law: `layer(d, layer.share(skips), which)` is the plain layer on the concatenation of d and,
    for step t, the skip of source frame which[t].
    """

    @property
    @abc.abstractmethod
    def halves(self) -> Halves:
        """The kernel's parts."""

    @abc.abstractmethod
    def share(self, skip: Tensor) -> Tensor:
        """What the skips of the source frames add to the layer's output, [S B, O, 2r, 2r]."""

    @abc.abstractmethod
    def forward(self, d: Tensor, share: Tensor, which: Sequence[int]) -> Tensor:
        """The layer's output, [T B, O, 2r, 2r], for T = len(which) steps."""


class SkipTransposedConv2d(SkipLayer):
    """`nn.ConvTranspose2d(inputs + skip, outputs, 4, stride=2, padding=1)` on [d, skip].

    Args:
        inputs: Channels of the decoder's own map.
        skip: Channels of the encoder's map, of the same resolution.
        outputs: Channels of the result, of twice the resolution.
    """

    def __init__(self, inputs: int, skip: int, outputs: int) -> None:
        super().__init__()
        self.sizes = (inputs, skip)
        plain = nn.ConvTranspose2d(inputs + skip, outputs, 4, stride=2, padding=1)
        self.weight, self.bias = plain.weight, plain.bias

    @property
    def halves(self) -> Halves:
        """The kernel's parts, [inputs, outputs, 4, 4] and [skip, outputs, 4, 4]."""
        return Halves(*self.weight.split(self.sizes, 0))

    def share(self, skip: Tensor) -> Tensor:
        """What the skips of the source frames add to the layer's output."""
        return _doubled(skip, self.halves.skip, None)

    def forward(self, d: Tensor, share: Tensor, which: Sequence[int]) -> Tensor:
        """The transposed convolution of [d, skip]."""
        return add_held(_doubled(d, self.halves.own, self.bias), share, which)


class SkipUpConv2d(SkipLayer):
    """`nn.Conv2d(inputs + skip, outputs, 3, padding=1)` on [up(d), skip].

    Args:
        inputs: Channels of the decoder's own map.
        skip: Channels of the encoder's map, of twice the resolution.
        outputs: Channels of the result, of twice the resolution.
    """

    spread: Tensor

    def __init__(self, inputs: int, skip: int, outputs: int) -> None:
        super().__init__()
        self.sizes = (inputs, skip)
        plain = nn.Conv2d(inputs + skip, outputs, 3, padding=1)
        self.weight, self.bias = plain.weight, plain.bias
        m = torch.tensor([[0.0, 0, 1], [0, 1, 1], [1, 1, 0], [1, 0, 0]])
        self.register_buffer("spread", torch.kron(m, m), persistent=False)  # [4 4, 3 3]

    @property
    def halves(self) -> Halves:
        """The kernel's parts, [outputs, inputs, 3, 3] and [outputs, skip, 3, 3]."""
        return Halves(*self.weight.split(self.sizes, 1))

    def share(self, skip: Tensor) -> Tensor:
        """What the skips of the source frames add to the layer's output."""
        return F.conv2d(skip, self.halves.skip, padding=1)

    def forward(self, d: Tensor, share: Tensor, which: Sequence[int]) -> Tensor:
        """The convolution of [up(d), skip]."""
        taps = self.halves.own.transpose(0, 1).flatten(2)  # [D, O, 9]
        kernel = F.linear(taps, self.spread).unflatten(2, (4, 4))
        return add_held(_doubled(d, kernel, self.bias), share, which)


def add_held(y: Tensor, share: Tensor, which: Sequence[int]) -> Tensor:
    """Adds to the maps of each step, in place, the share of the source frame that it uses.

    Args:
        y: Maps of T steps, time in front.
        share: Maps of S source frames, time in front.
        which: For each step, its source frame, counted from 0.

    Shapes:
        y: [T B, C, r, r]
        share: [S B, C, r, r]
        returns: [T B, C, r, r]
    """
    return _AddHeld.apply(y, share, tuple(which))


class _AddHeld(torch.autograd.Function):
    """Autograd's own slices would copy the gradient of all steps once for every run of them."""

    @staticmethod
    def forward(ctx: Any, y: Tensor, share: Tensor, which: tuple[int, ...]) -> Tensor:
        ctx.which, ctx.shape = which, share.shape
        ctx.mark_dirty(y)
        steps = y.unflatten(0, (len(which), -1))  # [T, B, C, r, r], a view
        sources = share.unflatten(0, (-1, steps.shape[1]))
        for source, run in _runs(which):
            steps[run] += sources[source]
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor | None, None]:
        if not ctx.needs_input_grad[1]:
            return grad, None, None
        steps = grad.unflatten(0, (len(ctx.which), -1))
        parts: dict[int, Tensor] = {}
        for source, run in _runs(ctx.which):
            part = steps[run].sum(0)
            parts[source] = parts[source] + part if source in parts else part
        unused = torch.zeros_like(steps[0])
        frames = ctx.shape[0] // steps.shape[1]
        return grad, torch.cat([parts.get(s, unused) for s in range(frames)]), None


def _runs(which: tuple[int, ...]) -> list[tuple[int, slice]]:
    """Source frames, and the steps in a row that use each."""
    runs, start = [], 0
    for source, steps in groupby(which):
        stop = start + len(list(steps))
        runs.append((source, slice(start, stop)))
        start = stop
    return runs


def _doubled(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """The transposed convolution of kernel 4 that doubles a map's size."""
    if weight.shape[1] <= FEW:
        return tiled_transposed_conv2d(x, weight, bias, stride=2, padding=1)
    return F.conv_transpose2d(x, weight, bias, stride=2, padding=1)
