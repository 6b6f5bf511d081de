r"""Strided convolutions of small maps, and the memory layout of every convolution.

Maps are stored channels last (N, H, W, C in memory, [N, C, H, W] in shape): the layout in which
convolutions of few pixels and many channels run fastest, on CPUs and GPUs alike.

A convolution whose output is a map of few pixels is a matrix product with its patches:

    y[n, o, p, q] = sum_{c, u, v} W[o, c, u, v] x[n, c, 2p + u, 2q + v]
                  = (patches W')[(n, p, q), o]      patches [N P Q, k k C],  W' [k k C, O]

The patches of the 4-by-4 kernels overlap, so that they hold up to four times the values of the
map; for a 2-by-2 output this is paid back by the product, for larger ones it is not.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["PatchConv2d", "channels_last"]


def channels_last(x: Tensor) -> Tensor:
    """The same map, channels last in memory.

    With one channel the two layouts coincide and `contiguous` does nothing: the strides then
    still say "channels first", and the convolution's output, 32 times larger, follows them. So
    that map is viewed anew.

    Shapes:
        x: [N, C, H, W]
        returns: [N, C, H, W]
    """
    if x.shape[1] != 1:
        return x.contiguous(memory_format=torch.channels_last)
    n, _, height, width = x.shape
    return x.contiguous().view(n, height, width, 1).permute(0, 3, 1, 2)


class PatchConv2d(nn.Conv2d):
    """`nn.Conv2d` without padding, as one matrix product with the patches of the map.

    The same function and the same parameters.

    Args:
        inputs: Channels of the map.
        outputs: Channels of the result.
        kernel: Side of the kernel in pixels.
        stride: Pixels from one patch to the next.

    Shapes:
        x: [N, inputs, H, W]
        returns: [N, outputs, (H - kernel) // stride + 1, (W - kernel) // stride + 1]
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int) -> None:
        super().__init__(inputs, outputs, kernel, stride)

    def forward(self, x: Tensor) -> Tensor:
        """The convolution."""
        patches = _Patches.apply(x, self.kernel_size[0], self.stride[0])  # [N, P, Q, k k C]
        weight = self.weight.permute(0, 2, 3, 1).flatten(1)  # [O, k k C], a view
        return F.linear(patches, weight, self.bias).permute(0, 3, 1, 2)


class _Patches(torch.autograd.Function):
    """The patches of a map, [N, C, H, W] -> [N, P, Q, k k C], and the sum of patches into one.

    Autograd's own sum would fill and add a whole map for every patch.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, kernel: int, stride: int) -> Tensor:
        ctx.shape, ctx.kernel, ctx.stride = x.shape, kernel, stride
        pixels = x.permute(0, 2, 3, 1)  # a view
        patches = pixels.unfold(1, kernel, stride).unfold(2, kernel, stride)  # [N, P, Q, C, k, k]
        return patches.permute(0, 1, 2, 4, 5, 3).flatten(3)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        n, channels, height, width = ctx.shape
        kernel, stride = ctx.kernel, ctx.stride
        pixels = grad.new_zeros(n, height, width, channels)
        rows, columns = grad.shape[1:3]
        patches = grad.reshape(n, rows, columns, kernel, kernel, channels)
        for p in range(rows):
            for q in range(columns):
                i, j = stride * p, stride * q
                pixels[:, i : i + kernel, j : j + kernel] += patches[:, p, q]
        return pixels.permute(0, 3, 1, 2), None, None
