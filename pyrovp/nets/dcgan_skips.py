r"""SVG's DCGAN: an encoder to a vector, and a decoder that reads the encoder's maps.

At 64 by 64 pixels, BatchNorm and LeakyReLU of slope 0.2 after every convolution but the last of
each network:

    encoder   kernels 4, stride 2      C -> 64 -> 128 -> 256 -> 512 channels
                                       64 -> 32 -> 16 -> 8 -> 4 pixels: the skips
              one kernel 4, no padding 512 -> g, BatchNorm and tanh
    decoder   transposed, kernel 4     g -> 512, from 1 to 4 pixels
              [d, skip], stride 2      1024 -> 256, 512 -> 128, 256 -> 64, 128 -> C, then sigmoid

At other resolutions the layers next to the vector stay: 32 pixels drop the 64 channels, 16 pixels
the 128 as well, and 128 pixels have 512 channels twice.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from pyrovp.checks import check_count
from pyrovp.nets.batch_norm import Statistics
from pyrovp.nets.checks import check_frames, check_output, halvings, scaled
from pyrovp.nets.convolution import channels_last
from pyrovp.nets.normed import Normed
from pyrovp.nets.skip_decoder import SkipDecoder
from pyrovp.nets.skips import SkipTransposedConv2d
from pyrovp.nets.whole_map import MapToPixel, PixelToMap

__all__ = ["SkipDCGANDecoder", "SkipDCGANEncoder", "stage_channels"]


def stage_channels(resolution: int = 64, width: float = 1.0) -> list[int]:
    """Channels of the encoder's stages, the one nearest to the image first.

    Args:
        resolution: Side of a frame in pixels: 16, 32, 64 or 128.
        width: Multiplier of the channels.

    Raises:
        ValueError: For another resolution, or a width that is not positive.

    Example:
        >>> stage_channels(32), stage_channels(64), stage_channels(128)
        ([128, 256, 512], [64, 128, 256, 512], [64, 128, 256, 512, 512])
    """
    stages = halvings(resolution)
    sizes = [64, 128, 256, 512, 512][:stages] if stages > 4 else [64, 128, 256, 512][-stages:]
    return [scaled(size, width) for size in sizes]


class SkipDCGANEncoder(nn.Module):
    """A vector for each frame, and the maps on the way to it.

    Args:
        channels: Channels C of a frame.
        resolution: Side R of a frame in pixels: 16, 32, 64 or 128.
        features: Size g of the vector.
        width: Multiplier of the maps' channels.
        statistics: Of the BatchNorms in training: of `"each"` step, as the authors', or
            `"pooled"` over time.

    Attributes:
        features: Channels by resolution: R / 2, ..., 4, and 1 for the vector.

    Shapes:
        frames: [T B, C, R, R], time in front
        returns: resolution r -> [T B, features[r], r, r], channels last in memory

    Raises:
        ValueError: For sizes that are not as above; in a call, for frames of another shape.

    Reference:
        Stochastic Video Generation with a Learned Prior (Denton, Fergus, 2018), with the
        sizes of the authors' implementation, https://arxiv.org/abs/1802.07687.

    Example:
        >>> encoder = SkipDCGANEncoder(channels=1)
        >>> encoder.features
        {32: 64, 16: 128, 8: 256, 4: 512, 1: 128}
        >>> encoder(torch.zeros(5 * 2, 1, 64, 64), steps=5)[1].shape
        torch.Size([10, 128, 1, 1])
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
        self.features = {resolution >> i: size for i, size in enumerate(sizes, 1)} | {1: features}
        self.stages = nn.ModuleList(
            Normed(nn.Conv2d(a, b, 4, stride=2, padding=1), b, statistics=statistics)
            for a, b in zip([channels, *sizes], sizes, strict=False)
        )
        last = MapToPixel(sizes[-1], features, side=4)
        self.stages.append(Normed(last, features, nn.Tanh(), statistics))
        self.to(memory_format=torch.channels_last)

    def forward(self, frames: Tensor, steps: int = 1) -> dict[int, Tensor]:
        """The features of the frames of so many time steps."""
        check_frames(frames, self.channels, self.resolution)
        x, features = channels_last(frames), {}
        for r, stage in zip(self.features, self.stages, strict=True):
            x = features[r] = stage(x, steps=steps)
        return features


class SkipDCGANDecoder(SkipDecoder):
    """Frames from vectors and from the maps of `SkipDCGANEncoder`; see `SkipDecoder`.

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
        >>> encoder = SkipDCGANEncoder(channels=3, resolution=16, width=0.1)
        >>> decoder = SkipDCGANDecoder(channels=3, resolution=16, width=0.1)
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
        super().__init__(features, {4 << i: size for i, size in enumerate(sizes)})
        first = PixelToMap(features, sizes[0], side=4)
        self.first = Normed(first, sizes[0], statistics=statistics)
        self.stages = nn.ModuleList(
            Normed(SkipTransposedConv2d(a, a, b), b, statistics=statistics)
            for a, b in zip(sizes, sizes[1:], strict=False)
        )
        self.image = SkipTransposedConv2d(sizes[-1], sizes[-1], channels)
        self.output = nn.Sigmoid() if output is None else output
        self.to(memory_format=torch.channels_last)

    def decode(self, d: Tensor, shares: Mapping[int, Tensor], which: Sequence[int]) -> Tensor:
        """The frames, from what `shares` made of the skips."""
        *inner, last = self.skips
        x = self.first(d, steps=len(which))
        for r, stage in zip(inner, self.stages, strict=True):
            x = stage(x, shares[r], which, steps=len(which))
        return self.output(self.image(x, shares[last], which))
