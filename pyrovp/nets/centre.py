r"""Same-size convolutions that know what a map of one pixel shows them.

A convolution of odd side k, stride 1 and padding (k - 1) / 2 keeps a map's size. On a map of one
pixel all taps but the centre one fall on padding, and what is left is a matrix product:

    y[n, o] = b[o] + sum_c W[o, c, (k - 1) / 2, (k - 1) / 2] x[n, c]

The kernel stays a parameter as a whole, its outer taps with gradient zero, so that the layer is
the stock one in function, state and number of parameters.
"""

import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["CentreConv2d", "centre_tap", "same_conv2d"]


class CentreConv2d(nn.Conv2d):
    """`nn.Conv2d` of stride 1 that keeps a map's size; on one pixel, a matrix product.

    Args:
        inputs: Channels of the map.
        outputs: Channels of the result.
        kernel: Side of the kernel in pixels, an odd number.
        bias: Whether it has one.

    Shapes:
        x: [N, inputs, H, W]
        returns: [N, outputs, H, W]

    Raises:
        ValueError: For an even kernel.

    Example:
        >>> import torch
        >>> CentreConv2d(512, 512)(torch.zeros(7, 512, 1, 1)).shape
        torch.Size([7, 512, 1, 1])
    """

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, bias: bool = True) -> None:
        if kernel % 2 == 0:
            raise ValueError(
                f"a convolution that keeps a map's size has a centre tap, so its kernel is odd; "
                f"got kernel={kernel}, use {kernel - 1} or {kernel + 1}"
            )
        super().__init__(inputs, outputs, kernel, padding=kernel // 2, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """The convolution."""
        return same_conv2d(x, self.weight, self.bias)


def same_conv2d(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """The convolution of odd kernel that keeps the map's size.

    In a loop over time on maps of one pixel, take `centre_tap` before the loop and `F.linear`
    inside: each `same_conv2d` there makes a gradient for the whole kernel.

    Shapes:
        x: [N, C, H, W]
        weight: [O, C, k, k], k odd
        bias: [O]
        returns: [N, O, H, W], of one pixel channels last in memory
    """
    if x.shape[2] == x.shape[3] == 1:
        y = F.linear(x.flatten(1), centre_tap(weight), bias)
        return y[:, None, None].permute(0, 3, 1, 2)
    return F.conv2d(x, weight, bias, padding=weight.shape[-1] // 2)


def centre_tap(weight: Tensor) -> Tensor:
    """The kernel's middle, a view: [O, C, k, k] -> [O, C].

    The rows are dense where the kernel is channels last in memory; gradients come back so.
    """
    k = weight.shape[-1] // 2
    return weight.permute(0, 2, 3, 1)[:, k, k]
