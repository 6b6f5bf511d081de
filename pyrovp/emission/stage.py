r"""One size of a decoder that goes upwards, and the way up to it.

y = up(x)                           from the size below; at one pixel y = x
m = cell([y, z_1, z_2, ...])        with a memory, or
m = LReLU(GN(Conv([y, z, ...])))    without
up(x) = LReLU(GN(transposed convolution of x)),   kernel 4: 1 -> 4 pixels, then each doubles
"""

from collections.abc import Mapping

import torch.nn.functional as F
from torch import Tensor, nn

from pyrovp.cells import Cell, Memory
from pyrovp.nets.folding import fold, unfold
from pyrovp.nets.joint_conv import JointConv2d
from pyrovp.nets.norm import groups, map_norm
from pyrovp.nets.whole_map import PixelToMap
from pyrovp.shapes import common_shape
from pyrovp.sizes import Map, Size
from pyrovp.state import Context

__all__ = ["GROUPS", "SLOPE", "Stage", "resolution_of"]

GROUPS = 4
SLOPE = 0.2


class Stage(nn.Module):
    """One size of a decoder, on any number of frames at once.

    Args:
        below: Channels of the map from the stage before; of the first one's, at one pixel.
        size: Of the stage's own map.
        contexts: Sizes of what the hierarchy hands down at this resolution, by their places among
            all that it hands down; at one pixel vectors will do.
        memory: Describes the cell; None: there is a convolution in its place.
        kernel: Side of that convolution's kernel, an odd number.

    Shapes:
        x: [..., B, T, below, r', r'] of the resolution r' below
        contexts: [..., B, T, C_i, r, r], all that the hierarchy hands down
        memory: [..., B, *cell.dims]
        returns: [..., B, T, C, r, r], and the memory
    """

    def __init__(
        self,
        below: int,
        size: Map,
        contexts: Mapping[int, Size],
        memory: Memory | None,
        kernel: int = 3,
    ) -> None:
        super().__init__()
        self.places = tuple(contexts)
        self.up = None if size.resolution == 1 else _up(below, size)
        parts = (Map(below, 1) if self.up is None else size, *contexts.values())
        self.vectors = tuple(isinstance(part, int) for part in parts)
        self.cell: Cell | None = None
        if memory is not None:
            self.cell = memory.cell(*parts)
            return
        channels = [part.channels if isinstance(part, Map) else part for part in parts]
        self.convolution = JointConv2d(channels, size.channels, kernel)
        self.norm = map_norm(size.channels, GROUPS, size.resolution)

    def forward(
        self, x: Tensor, contexts: Context, memory: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """The stage's map, and its memory after the last frame."""
        if self.up is not None:
            x = unfold(self.up(fold(x)), x.shape[:-3])
        parts = (x, *(contexts[place] for place in self.places))
        if self.cell is None:
            return self._mixed(parts), None
        assert memory is not None
        return self.cell.run(memory, *parts)

    def _mixed(self, parts: tuple[Tensor, ...]) -> Tensor:
        pairs = zip(parts, self.vectors, strict=True)
        maps = [x[..., None, None] if vector else x for x, vector in pairs]
        lead = common_shape(*(x.shape[:-3] for x in maps))
        y = self.convolution(*(fold(x.expand(*lead, *x.shape[-3:])) for x in maps))
        return unfold(F.leaky_relu_(self.norm(y), SLOPE), lead)


def resolution_of(size: Size) -> int:
    """Side of a map in pixels; a vector counts as one pixel."""
    return size.resolution if isinstance(size, Map) else 1


def _up(below: int, size: Map) -> nn.Module:
    layer = (
        PixelToMap(below, size.channels, 4)
        if size.resolution == 4
        else nn.ConvTranspose2d(below, size.channels, 4, stride=2, padding=1)
    )
    norm = nn.GroupNorm(groups(size.channels, GROUPS), size.channels)
    return nn.Sequential(layer, norm, nn.LeakyReLU(SLOPE, inplace=True))
