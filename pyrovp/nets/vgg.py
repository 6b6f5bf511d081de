r"""SVG's VGG: as its DCGAN, with groups of 3x3 convolutions.

At 64 by 64 pixels, BatchNorm and LeakyReLU of slope 0.2 after every convolution but the last of
each network; a group's output is the skip at its size:

    encoder   groups of 2, 2, 3, 3     C -> 64 -> 128 -> 256 -> 512 channels
              maximum pooling between  64 -> 32 -> 16 -> 8 -> 4 pixels
              one kernel 4, no padding 512 -> g, BatchNorm and tanh
    decoder   transposed, kernel 4     g -> 512, from 1 to 4 pixels
              [up(d), skip], groups    1024 -> 512 -> 512 -> 256, 512 -> 256 -> 256 -> 128,
                                       256 -> 128 -> 64, 128 -> 64
              transposed, kernel 3     64 -> C, then sigmoid

At other resolutions the groups next to the vector stay: 32 pixels drop the 64 channels, 16 pixels
the 128 as well, and 128 pixels have the group of 512 channels twice.
"""

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pyrovp.checks import check_count
from pyrovp.nets.batch_norm import Statistics
from pyrovp.nets.checks import check_frames, check_output
from pyrovp.nets.convolution import channels_last
from pyrovp.nets.dcgan_skips import stage_channels
from pyrovp.nets.normed import Normed, NormedChain
from pyrovp.nets.skip_decoder import SkipDecoder
from pyrovp.nets.skips import SkipUpConv2d
from pyrovp.nets.tiles import TiledTransposedConv2d
from pyrovp.nets.whole_map import MapToPixel, PixelToMap

__all__ = ["VGGDecoder", "VGGEncoder", "group_sizes"]


def group_sizes(stages: int) -> list[int]:
    """Convolutions in each of the encoder's groups, the one nearest to the image first.

    Example:
        >>> group_sizes(2), group_sizes(4), group_sizes(5)
        ([3, 3], [2, 2, 3, 3], [2, 2, 3, 3, 3])
    """
    return [2, 2, 3, 3, 3][:stages] if stages > 4 else [2, 2, 3, 3][-stages:]


class VGGEncoder(nn.Module):
    """A vector for each frame, and the maps on the way to it.

    Args:
        channels: Channels C of a frame.
        resolution: Side R of a frame in pixels: 16, 32, 64 or 128.
        features: Size g of the vector.
        width: Multiplier of the maps' channels.
        statistics: Of the BatchNorms in training: of `"each"` step, as the authors', or
            `"pooled"` over time.

    Attributes:
        features: Channels by resolution: R, ..., 8, and 1 for the vector.

    Shapes:
        frames: [T B, C, R, R], time in front
        returns: resolution r -> [T B, features[r], r, r], channels last in memory

    Raises:
        ValueError: For sizes that are not as above; in a call, for frames of another shape.

    Reference:
        Stochastic Video Generation with a Learned Prior (Denton, Fergus, 2018), with the
        sizes of the authors' implementation, https://arxiv.org/abs/1802.07687.

    Example:
        >>> VGGEncoder(channels=3).features
        {64: 64, 32: 128, 16: 256, 8: 512, 1: 128}
    """

    def __init__(
        self,
        channels: int,
        resolution: int = 64,
        features: int = 128,
        width: float = 1.0,
        statistics: Statistics = "each",
    ) -> None:
        super().__init__()
        check_count("channels", channels)
        check_count("features", features)
        sizes = stage_channels(resolution, width)
        self.channels = channels
        self.resolution = resolution
        self.features = {resolution >> i: size for i, size in enumerate(sizes)} | {1: features}
        self.groups = nn.ModuleList(
            NormedChain(*_convolutions([a, *[b] * n], statistics))
            for a, b, n in zip([channels, *sizes], sizes, group_sizes(len(sizes)), strict=False)
        )
        last = MapToPixel(sizes[-1], features, side=4)
        self.groups.append(Normed(last, features, nn.Tanh(), statistics))
        self.to(memory_format=torch.channels_last)

    def forward(self, frames: Tensor, steps: int = 1) -> dict[int, Tensor]:
        """The features of the frames of so many time steps."""
        check_frames(frames, self.channels, self.resolution)
        x, features = channels_last(frames), {}
        for r, group in zip(self.features, self.groups, strict=True):
            x = x if r == self.resolution else F.max_pool2d(x, 2)
            x = features[r] = group(x, steps=steps)
        return features


class VGGDecoder(SkipDecoder):
    """Frames from vectors and from the maps of `VGGEncoder`; see `SkipDecoder`.

    Args:
        channels: Channels C of a frame.
        resolution: Side R of a frame in pixels: 16, 32, 64 or 128.
        features: Size g of the vector.
        width: Multiplier of the maps' channels.
        statistics: Of the BatchNorms in training: of `"each"` step, as the authors', or
            `"pooled"` over time.
        output: Activation of the last layer, by default the sigmoid.

    Attributes:
        inputs: Size of the vector.
        skips: Channels of the maps that it reads, by resolution.

    Raises:
        ValueError: For sizes that are not as above; in a call, for what does not fit.
        TypeError: If `output` is not a module.

    Reference:
        Stochastic Video Generation with a Learned Prior (Denton, Fergus, 2018), with the
        sizes of the authors' implementation, https://arxiv.org/abs/1802.07687.

    Example:
        >>> encoder = VGGEncoder(channels=3, resolution=16, width=0.1)
        >>> decoder = VGGDecoder(channels=3, resolution=16, width=0.1)
        >>> skips = encoder(torch.zeros(2 * 4, 3, 16, 16), steps=2)
        >>> decoder(torch.zeros(5 * 4, 128), skips, which=[0, 1, 1, 1, 1]).shape
        torch.Size([20, 3, 16, 16])
    """

    def __init__(
        self,
        channels: int,
        resolution: int = 64,
        features: int = 128,
        width: float = 1.0,
        statistics: Statistics = "each",
        output: nn.Module | None = None,
    ) -> None:
        check_count("channels", channels)
        check_count("features", features)
        check_output(output)
        sizes = stage_channels(resolution, width)[::-1]
        super().__init__(features, {8 << i: size for i, size in enumerate(sizes)})
        first = PixelToMap(features, sizes[0], side=4)
        self.first = Normed(first, sizes[0], statistics=statistics)
        self.groups = nn.ModuleList()
        for i, (a, n) in enumerate(zip(sizes, group_sizes(len(sizes))[::-1], strict=True)):
            joint = Normed(SkipUpConv2d(a, a, a), a, statistics=statistics)
            chain = [*[a] * (n - 1), *sizes[i + 1 : i + 2]]
            self.groups.append(NormedChain(joint, *_convolutions(chain, statistics)))
        self.image = TiledTransposedConv2d(sizes[-1], channels, kernel=3, padding=1)
        self.output = nn.Sigmoid() if output is None else output
        self.to(memory_format=torch.channels_last)
        for layer in self.joints().values():
            # Their taps are summed before each use, and so lie side by side.
            layer.to(memory_format=torch.contiguous_format)

    def decode(self, d: Tensor, shares: Mapping[int, Tensor], which: Sequence[int]) -> Tensor:
        """The frames, from what `shares` made of the skips."""
        x = self.first(d, steps=len(which))
        for r, group in zip(self.skips, self.groups, strict=True):
            x = group(x, shares[r], which, steps=len(which))
        return self.output(self.image(x))


def _convolutions(chain: Sequence[int], statistics: Statistics) -> list[Normed]:
    """3x3 convolutions from each number of channels to the next."""
    return [
        Normed(nn.Conv2d(a, b, 3, padding=1), b, statistics=statistics)
        for a, b in zip(chain, chain[1:], strict=False)
    ]
