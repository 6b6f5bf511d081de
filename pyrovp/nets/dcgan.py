r"""The convolutional frame encoder and decoder of the Dreamer family (DCGAN-like).

At 64 by 64 pixels, LeakyReLU of slope 0.2 after every layer but the dense ones and the last:

    encoder   kernels 4, stride 2    32 -> 64 -> 128 -> 256 channels
              valid padding          64 -> 31 -> 14 -> 6 -> 2 pixels, 2 x 2 x 256 = 1024 features
              same padding           64 -> 32 -> 16 -> 8 -> 4 pixels, 4 x 4 x 256 = 4096 features
    decoder   dense, linear, to 1024 channels of one pixel; then transposed, stride 2:
              kernels 5, 5, 6, 6     128 -> 64 -> 32 -> C channels
                                     1 -> 5 -> 13 -> 30 -> 64 pixels

At other resolutions the layers next to the latent state stay: 32 pixels drop the encoder's first
layer and the decoder's third, 128 pixels have one more of half the channels.

Parameters are those of the stock layers, in their shapes and their order of features (channel,
row, column); how they are computed is the business of `convolution` and `transposed`.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pyrovp.checks import check_count
from pyrovp.nets.checks import check_frames, check_output, check_vectors, halvings, scaled
from pyrovp.nets.convolution import PatchConv2d, channels_last
from pyrovp.nets.transposed import PhasedTransposedConv2d, TransposedConv2d, dense_to_map

__all__ = ["DCGANDecoder", "DCGANEncoder", "decoder_layout", "encoder_channels"]

SLOPE = 0.2


def encoder_channels(resolution: int = 64, width: float = 1.0) -> list[int]:
    """Output channels of the encoder's convolutions, the one nearest to the image first.

    Args:
        resolution: Side of a frame in pixels: 16, 32, 64 or 128.
        width: Multiplier of the channels.

    Raises:
        ValueError: For another resolution, or a width that is not positive.

    Example:
        >>> encoder_channels(64), encoder_channels(32), encoder_channels(64, width=0.25)
        ([32, 64, 128, 256], [64, 128, 256], [8, 16, 32, 64])
    """
    return [scaled(256 >> i, width) for i in reversed(range(halvings(resolution)))]


def decoder_layout(
    channels: int, resolution: int = 64, width: float = 1.0
) -> list[tuple[int, int, int]]:
    """Input channels, output channels and kernel side of the decoder's transposed convolutions.

    Args:
        channels: Channels of a frame.
        resolution: Side of a frame in pixels: 16, 32, 64 or 128.
        width: Multiplier of all channels but a frame's.

    Raises:
        ValueError: For another resolution, or a width that is not positive.

    Example:
        >>> decoder_layout(channels=3)
        [(1024, 128, 5), (128, 64, 5), (64, 32, 6), (32, 3, 6)]
    """
    depth = halvings(resolution)
    hidden = [scaled(128 >> i, width) for i in range(depth - 1)]
    sizes = [scaled(1024, width), *hidden, channels]
    kernels = [5] * (depth - 2) + [6, 6]
    return list(zip(sizes, sizes[1:], kernels, strict=False))


class DCGANEncoder(nn.Module):
    """Features of single frames.

    Args:
        channels: Channels C of a frame.
        resolution: Side R of a frame in pixels: 16, 32, 64 or 128.
        width: Multiplier of the convolutions' channels.
        padding: `"valid"`, no padding, as in CW-VAE; or `"same"`, one pixel, as in DLH.
        outputs: If given, a linear layer to this many features comes last.

    Attributes:
        features: Size of the result: `outputs`, or else that of the flattened last map, which at
            width 1 is 1024 (valid) or 4096 (same).

    Shapes:
        x: [N, C, R, R]
        returns: [N, features]

    Raises:
        ValueError: For sizes that are not as above; in a call, for frames of another shape.

    Reference:
        Clockwork Variational Autoencoders (Saxena, Ba, Hafner, 2021), appendix D,
        https://arxiv.org/abs/2102.09532.

    Example:
        >>> encoder = DCGANEncoder(channels=1)
        >>> encoder.features, encoder(torch.zeros(5, 1, 64, 64)).shape
        (1024, torch.Size([5, 1024]))
    """

    def __init__(
        self,
        channels: int,
        resolution: int = 64,
        width: float = 1.0,
        padding: Literal["valid", "same"] = "valid",
        outputs: int | None = None,
    ) -> None:
        super().__init__()
        check_count("channels", channels)
        if padding not in ("valid", "same"):
            raise ValueError(f"padding must be 'valid' or 'same', got {padding!r}")
        sizes = [channels, *encoder_channels(resolution, width)]
        self.channels = channels
        self.resolution = resolution
        side = resolution
        self.convolutions = nn.ModuleList()
        for a, b in zip(sizes, sizes[1:], strict=False):
            side = (side - 4) // 2 + 1 if padding == "valid" else side // 2
            # A product with patches pays for the last map only, and only without padding.
            small = padding == "valid" and side == 2
            self.convolutions.append(
                PatchConv2d(a, b, kernel=4, stride=2)
                if small
                else nn.Conv2d(a, b, 4, stride=2, padding=0 if padding == "valid" else 1)
            )
        self.features = sizes[-1] * side * side
        self.dense: nn.Linear | None = None
        if outputs is not None:
            check_count("outputs", outputs)
            self.dense = nn.Linear(self.features, outputs)
            self.features = outputs
        self.to(memory_format=torch.channels_last)

    def forward(self, x: Tensor) -> Tensor:
        """The frames' features."""
        check_frames(x, self.channels, self.resolution)
        x = channels_last(x)
        *first, last = self.convolutions
        for convolution in first:
            x = F.leaky_relu_(convolution(x), SLOPE)
        # Not in place: this map is a view of a product's result, and in-place changes of views
        # are copied by autograd.
        x = F.leaky_relu(last(x), SLOPE).flatten(1)
        return x if self.dense is None else self.dense(x)


class DCGANDecoder(nn.Module):
    """Single frames from latent features.

    Args:
        inputs: Size of the features.
        channels: Channels C of a frame.
        resolution: Side R of a frame in pixels: 16, 32, 64 or 128.
        width: Multiplier of the dense layer's features and of the convolutions' channels.
        output: What is applied to the last map, as a module; tanh, CW-VAE's choice, unless given.
            `nn.Identity()` leaves the map as it is.

    Attributes:
        inputs: Size of the features.

    Shapes:
        z: [N, inputs]
        returns: [N, C, R, R], channels first in memory

    Raises:
        ValueError: For sizes that are not as above; in a call, for features of another shape.
        TypeError: If `output` is not a module.

    Reference:
        Clockwork Variational Autoencoders (Saxena, Ba, Hafner, 2021), appendix D,
        https://arxiv.org/abs/2102.09532.

    Example:
        >>> decoder = DCGANDecoder(inputs=220, channels=1)
        >>> decoder(torch.zeros(5, 220)).shape
        torch.Size([5, 1, 64, 64])
    """

    def __init__(
        self,
        inputs: int,
        channels: int,
        resolution: int = 64,
        width: float = 1.0,
        output: nn.Module | None = None,
    ) -> None:
        super().__init__()
        check_count("inputs", inputs)
        check_count("channels", channels)
        check_output(output)
        first, *middle, last = decoder_layout(channels, resolution, width)
        self.inputs = inputs
        self.dense = nn.Linear(inputs, first[0])
        self.convolutions = nn.ModuleList(
            [
                nn.ConvTranspose2d(*first),
                *(TransposedConv2d(a, b, kernel, stride=2) for a, b, kernel in middle),
                PhasedTransposedConv2d(last[0], last[1]),
            ]
        )
        self.output = nn.Tanh() if output is None else output
        self.to(memory_format=torch.channels_last)

    def forward(self, z: Tensor) -> Tensor:
        """The frames."""
        check_vectors(z, self.inputs)
        first, *middle, last = self.convolutions
        assert isinstance(first, nn.ConvTranspose2d)
        x = F.leaky_relu(dense_to_map(z, self.dense, first), SLOPE)
        for convolution in middle:
            x = F.leaky_relu_(convolution(x), SLOPE)
        return self.output(last(x))
