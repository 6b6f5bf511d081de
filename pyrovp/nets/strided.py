r"""VTA's frame encoder and decoder: strided convolutions of one width.

With f channels in every layer, BatchNorm and ELU after every layer but the decoder's last, and no
bias but there:

    encoder   kernels 4, stride 2, down to 4 x 4 pixels; then one kernel 4 to a vector of size f
    decoder   the mirror: one transposed kernel 4 to 4 x 4 pixels; then kernels 4, stride 2

Three strided layers at 32 by 32 pixels, four at 64 by 64. The BatchNorms' statistics are pooled
over all frames of a call, whatever their time.
"""

import torch
from torch import Tensor, nn

from pyrovp.checks import check_count
from pyrovp.nets.checks import (
    check_frames,
    check_module,
    check_output,
    check_vectors,
    halvings,
)
from pyrovp.nets.convolution import channels_last
from pyrovp.nets.normed import Normed
from pyrovp.nets.tiles import TiledTransposedConv2d
from pyrovp.nets.whole_map import MapToPixel, PixelToMap

__all__ = ["StridedDecoder", "StridedEncoder"]


class StridedEncoder(nn.Module):
    """Features of single frames.

    Args:
        channels: Channels C of a frame.
        resolution: Side R of a frame in pixels: 16, 32, 64 or 128.
        features: Size f of the result, and channels of every layer.
        input: What the frames go through first, by default nothing; `SignedPixels()`, say.

    Attributes:
        features: Size of the result.

    Shapes:
        x: [N, C, R, R]
        returns: [N, features]

    Raises:
        ValueError: For sizes that are not as above; in a call, for frames of another shape.
        TypeError: If `input` is not a module.

    Reference:
        Variational Temporal Abstraction (Kim, Ahn, Bengio, 2019), with the sizes of the authors'
        implementation, https://arxiv.org/abs/1910.00775.

    Example:
        >>> StridedEncoder(channels=3)(torch.zeros(5, 3, 32, 32)).shape
        torch.Size([5, 128])
    """

    def __init__(
        self,
        channels: int,
        resolution: int = 32,
        features: int = 128,
        input: nn.Module | None = None,
    ) -> None:
        super().__init__()
        check_count("channels", channels)
        check_count("features", features)
        check_module("input", input)
        self.channels = channels
        self.resolution = resolution
        self.features = features
        self.input = nn.Identity() if input is None else input
        layers: list[nn.Module] = [
            nn.Conv2d(features if i else channels, features, 4, stride=2, padding=1, bias=False)
            for i in range(halvings(resolution))
        ]
        layers.append(MapToPixel(features, features, side=4, bias=False))
        self.layers = nn.ModuleList(_normed(layer, features) for layer in layers)
        self.to(memory_format=torch.channels_last)

    def forward(self, x: Tensor) -> Tensor:
        """The frames' features."""
        check_frames(x, self.channels, self.resolution)
        x = channels_last(self.input(x))
        for layer in self.layers:
            x = layer(x)
        return x.flatten(1)


class StridedDecoder(nn.Module):
    """Frames from features.

    Args:
        inputs: Size f of the features, and channels of every layer.
        channels: Channels C of a frame.
        resolution: Side R of a frame in pixels: 16, 32, 64 or 128.
        output: Activation of the last layer, by default tanh; `UnitTanh()` gives pixels in [0, 1].

    Attributes:
        inputs: Size of the features.

    Shapes:
        z: [N, inputs]
        returns: [N, C, R, R], channels first in memory

    Raises:
        ValueError: For sizes that are not as above; in a call, for features of another shape.
        TypeError: If `output` is not a module.

    Reference:
        Variational Temporal Abstraction (Kim, Ahn, Bengio, 2019), with the sizes of the authors'
        implementation, https://arxiv.org/abs/1910.00775.

    Example:
        >>> StridedDecoder(inputs=128, channels=3)(torch.zeros(5, 128)).shape
        torch.Size([5, 3, 32, 32])
    """

    def __init__(
        self, inputs: int, channels: int, resolution: int = 32, output: nn.Module | None = None
    ) -> None:
        super().__init__()
        check_count("inputs", inputs)
        check_count("channels", channels)
        check_output(output)
        self.inputs = inputs
        layers: list[nn.Module] = [PixelToMap(inputs, inputs, side=4, bias=False)]
        layers += [
            nn.ConvTranspose2d(inputs, inputs, 4, stride=2, padding=1, bias=False)
            for _ in range(halvings(resolution) - 1)
        ]
        self.layers = nn.ModuleList(_normed(layer, inputs) for layer in layers)
        self.image = TiledTransposedConv2d(inputs, channels, kernel=4, stride=2, padding=1)
        self.output = nn.Tanh() if output is None else output
        self.to(memory_format=torch.channels_last)

    def forward(self, z: Tensor) -> Tensor:
        """The frames."""
        check_vectors(z, self.inputs)
        x = z
        for layer in self.layers:
            x = layer(x)
        return self.output(self.image(x))


def _normed(layer: nn.Module, channels: int) -> Normed:
    return Normed(layer, channels, nn.ELU(inplace=True), "pooled")
