r"""HVRNN's frame encoder: residual blocks down to one pixel, a map of features at each size.

A block is pre-activated, with group norms inside and a small weight of its residue:

    a = Conv3(LReLU(x)),   x' = S x + 0.1 GN(Conv3(LReLU(GN(a))))        S = 1, or a 1x1 kernel

of as many hidden channels as the narrower of its two ends, LReLU of slope 0.2 and norms of four
groups. With width w the channels at frames of R pixels are

    R: w    R/2: 2w    R/4: 4w    R/8: 8w    ...    4: 8w    1: as at 4

by two blocks a size (one at R, after a 1x1 convolution from the frame's C channels), of which the
first widens, but at R/8 the second; maximum pooling stands between the sizes. On the map of one
pixel norms have one group, and of the 3x3 kernels only the middle counts.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pyrovp.checks import check_count
from pyrovp.nets.centre import CentreConv2d
from pyrovp.nets.checks import check_frames, halvings
from pyrovp.nets.convolution import channels_last
from pyrovp.nets.norm import map_norm

__all__ = ["ResidualBlock", "ResidualEncoder", "residual_channels"]

SLOPE = 0.2
RESIDUE = 0.1
GROUPS = 4


def residual_channels(resolution: int = 64, width: int = 64) -> dict[int, int]:
    """Channels by resolution, from the frame's to 1.

    Raises:
        ValueError: If the resolution is not 16, 32, 64 or 128.

    Example:
        >>> residual_channels()
        {64: 64, 32: 128, 16: 256, 8: 512, 4: 512, 1: 512}
    """
    channels = {resolution >> i: width << min(i, 3) for i in range(halvings(resolution) + 1)}
    return channels | {1: channels[4]}


class ResidualBlock(nn.Module):
    """A pre-activated residual block with group norms.

    Args:
        inputs: Channels of the map.
        outputs: Channels of the result.
        resolution: Of the map: one pixel is one group.
        kernel: Side of both kernels, an odd number.

    Shapes:
        x: [N, inputs, resolution, resolution]
        returns: [N, outputs, resolution, resolution]
    """

    def __init__(self, inputs: int, outputs: int, resolution: int, kernel: int = 3) -> None:
        super().__init__()
        hidden = min(inputs, outputs)
        self.first = CentreConv2d(inputs, hidden, kernel)
        self.first_norm = map_norm(hidden, GROUPS, resolution)
        self.second = CentreConv2d(hidden, outputs, kernel, bias=False)
        self.second_norm = map_norm(outputs, GROUPS, resolution)
        self.shortcut = nn.Identity() if inputs == outputs else _pointwise(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """The block's map."""
        y = self.first_norm(self.first(F.leaky_relu(x, SLOPE)))
        y = self.second_norm(self.second(F.leaky_relu_(y, SLOPE)))
        return torch.add(self.shortcut(x), y, alpha=RESIDUE)


class ResidualEncoder(nn.Module):
    """Maps of features of single frames, at every size down to one pixel.

    Args:
        channels: Channels C of a frame.
        resolution: Side R of a frame in pixels: 16, 32, 64 or 128.
        width: Channels w at the frame's own resolution.
        kernel: Side of the kernels on the map of one pixel; 1 is the same function with fewer
            parameters than the published 3.

    Attributes:
        features: Channels by resolution.

    Shapes:
        frames: [N, C, R, R]
        returns: resolution r -> [N, features[r], r, r], channels last in memory

    Raises:
        ValueError: For sizes that are not as above; in a call, for frames of another shape.

    Reference:
        Improved Conditional VRNNs for Video Prediction (Castrejon, Ballas, Courville, 2019),
        with the sizes of the authors' implementation, https://arxiv.org/abs/1904.12165.

    Example:
        >>> encoder = ResidualEncoder(channels=3, resolution=16, width=4)
        >>> {r: list(f.shape) for r, f in encoder(torch.zeros(2, 3, 16, 16)).items()}
        {16: [2, 4, 16, 16], 8: [2, 8, 8, 8], 4: [2, 16, 4, 4], 1: [2, 16, 1, 1]}
    """

    def __init__(
        self, channels: int, resolution: int = 64, width: int = 64, kernel: int = 3
    ) -> None:
        super().__init__()
        check_count("channels", channels)
        check_count("width", width)
        self.channels = channels
        self.resolution = resolution
        self.features = residual_channels(resolution, width)
        self.entry = nn.Conv2d(channels, width, 1)
        self.stages = nn.ModuleList()
        a = width
        for r, b in self.features.items():
            middle = a if r == resolution // 8 else b
            ends = [(a, middle), (middle, b)][r == resolution :]
            side = kernel if r == 1 else 3
            self.stages.append(nn.Sequential(*(ResidualBlock(*end, r, side) for end in ends)))
            a = b
        self.to(memory_format=torch.channels_last)

    def forward(self, frames: Tensor, steps: int = 1) -> dict[int, Tensor]:
        """The frames' features; frames do not see each other, so `steps` plays no part."""
        check_frames(frames, self.channels, self.resolution)
        x, features = self.entry(channels_last(frames)), {}
        for r, stage in zip(self.features, self.stages, strict=True):
            if r < self.resolution:
                x = F.max_pool2d(x, x.shape[-1] // r)
            x = features[r] = stage(x)
        return features


def _pointwise(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 1, bias=False)
