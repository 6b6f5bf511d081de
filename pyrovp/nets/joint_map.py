r"""A 1x1 convolution on a concatenation of maps, given in parts and at their own resolutions.

    W [h, up(a), up(b), ...] + bias = W_h h + up(W_a a) + up(W_b b) + ... + bias

A 1x1 convolution commutes with nearest-neighbour upsampling, so a small map is multiplied while
it is small, and nothing is concatenated.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pyrovp.nets.folding import fold, unfold
from pyrovp.sizes import Map, Size

__all__ = ["JointMap"]


class JointMap(nn.Module):
    """`nn.Conv2d(sum of channels, outputs, 1)` on parts that are never concatenated.

    Initialised like that layer and with as many parameters.

    Args:
        sizes: Of each part; a vector counts as a map of one pixel.
        outputs: Channels of the result.
        resolution: Side of the result; those of the parts divide it.

    Shapes:
        parts: [..., C_i, r_i, r_i] (vectors [..., C_i]), leading dimensions broadcast
        returns: [..., outputs, resolution, resolution]

    Raises:
        ValueError: If a part does not fit into the resolution a whole number of times; in a
            call, if parts are missing.

    Example:
        >>> layer = JointMap([Map(16, 8), Map(32, 1)], outputs=32, resolution=8)
        >>> layer(torch.zeros(5, 16, 8, 8), torch.zeros(5, 32, 1, 1)).shape
        torch.Size([5, 32, 8, 8])
    """

    def __init__(self, sizes: Sequence[Size], outputs: int, resolution: int) -> None:
        super().__init__()
        self.sizes = tuple(Map(size, 1) if isinstance(size, int) else size for size in sizes)
        self.vectors = tuple(isinstance(size, int) for size in sizes)
        self.resolution = resolution
        for size in self.sizes:
            if resolution % size.resolution:
                raise ValueError(
                    f"a map of {size.resolution} pixels cannot be brought to {resolution}: the "
                    "levels above see the frames at the same resolution or at a divisor of it"
                )
        bound = 1 / math.sqrt(sum(size.channels for size in self.sizes))
        self.names = tuple(f"weight_{i}" for i in range(len(self.sizes)))
        for name, size in zip(self.names, self.sizes, strict=True):
            weight = torch.empty(outputs, size.channels).uniform_(-bound, bound)
            self.register_parameter(name, nn.Parameter(weight))
        self.bias = nn.Parameter(torch.empty(outputs).uniform_(-bound, bound))

    def early(self, part: Tensor) -> Tensor:
        """The share of the last part, with the bias, to be passed to `forward` as `early`."""
        return self._share(part, len(self.sizes) - 1, self.bias)

    def forward(self, *parts: Tensor, early: Tensor | None = None) -> Tensor:
        """The layer's output; `early` stands for the last part."""
        if len(parts) + (early is not None) != len(self.sizes):
            raise ValueError(
                f"a layer on {len(self.sizes)} maps got {len(parts)} of them"
                f"{'' if early is None else ' and the last one early'}; give all, or what `early` "
                "made of the last one"
            )
        total = early
        for i, part in enumerate(parts):
            share = self._share(part, i, self.bias if total is None else None)
            total = share if total is None else total + share
        assert total is not None
        return total

    def _share(self, part: Tensor, i: int, bias: Tensor | None) -> Tensor:
        part = part[..., None, None] if self.vectors[i] else part
        weight: Tensor = getattr(self, self.names[i])
        lead = part.shape[:-3]
        x = fold(part).permute(0, 2, 3, 1)  # pixels in rows: a view of what is channels last
        y = F.linear(x, weight, bias).permute(0, 3, 1, 2)
        scale = self.resolution // part.shape[-1]
        if scale > 1:
            y = F.interpolate(y, scale_factor=scale) if part.shape[-1] > 1 else _spread(y, scale)
        return unfold(y, lead)


def _spread(y: Tensor, side: int) -> Tensor:
    """A map of one pixel as a constant one, without a copy."""
    return y.expand(-1, -1, side, side)
