r"""Convolutions whose kernel is as large as the map: matrix products.

    y[n, o]       = b[o] + sum_{c, u, v} W[o, c, u, v] x[n, c, u, v]       map to pixel
    y[n, o, u, v] = b[o] + sum_c         W[c, o, u, v] x[n, c]             pixel to map

With maps channels last both are one product, of views.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["MapToPixel", "PixelToMap"]


class MapToPixel(nn.Conv2d):
    """`nn.Conv2d` without padding, on maps of the kernel's size.

    Args:
        inputs: Channels of the map.
        outputs: Channels of the result.
        side: Of the map and of the kernel, in pixels.
        bias: Whether it has one.

    Shapes:
        x: [N, inputs, side, side]
        returns: [N, outputs, 1, 1], channels last in memory

    Example:
        >>> MapToPixel(512, 128, side=4)(torch.zeros(7, 512, 4, 4)).shape
        torch.Size([7, 128, 1, 1])
    """

    def __init__(self, inputs: int, outputs: int, side: int, bias: bool = True) -> None:
        super().__init__(inputs, outputs, side, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """The convolution."""
        kernel = self.weight.permute(0, 2, 3, 1).flatten(1)  # [O, k k C]
        y = F.linear(x.permute(0, 2, 3, 1).flatten(1), kernel, self.bias)
        return y[:, None, None].permute(0, 3, 1, 2)


class PixelToMap(nn.ConvTranspose2d):
    """`nn.ConvTranspose2d` without padding, on maps of one pixel.

    Args:
        inputs: Channels of the pixel.
        outputs: Channels of the result.
        side: Of the result and of the kernel, in pixels.
        bias: Whether it has one.

    Shapes:
        x: [N, inputs] or [N, inputs, 1, 1]
        returns: [N, outputs, side, side], channels last in memory

    Example:
        >>> PixelToMap(128, 512, side=4)(torch.zeros(7, 128)).shape
        torch.Size([7, 512, 4, 4])
    """

    def __init__(self, inputs: int, outputs: int, side: int, bias: bool = True) -> None:
        super().__init__(inputs, outputs, side, bias=bias)

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """The transposed convolution; `output_size` is not needed."""
        (side, _), pixels = self.kernel_size, x.flatten(1)
        kernel = self.weight.permute(0, 2, 3, 1).flatten(1)  # [C, k k O]
        if self.bias is None:
            y = pixels @ kernel
        else:
            y = torch.addmm(self.bias.repeat(side * side), pixels, kernel)
        return y.view(-1, side, side, self.out_channels).permute(0, 3, 1, 2)
