r"""Transposed convolutions into few channels, those of a frame, by tiles of output pixels.

    y[o, Y, X] = b[o] + sum_{c, i, j} W[c, o, Y + p - s i, X + p - s j] x[c, i, j]

with kernel k, stride s and padding p. Tiles of T = s t pixels a side begin at p mod s pixels
outside of the frame. Pixel r of tile m, Y = T m - p mod s + r, reads the same taps of the kernel
in every tile, so with a tile's pixels as channels this is a plain convolution of stride t:

    y[o, Y, .] = b[o] + sum_{c, u} W[c, o, r + s (n - u)] x[c, t m - (n - p div s) + u, .]
    n = (k - 1) div s,   u = 0 ... n + t - 1,   W zero outside of its k taps

A processor's vectors hold many channels, and T T times as many fill them better than one or three
do: the stock kernels take two to four times as long. Backward these work on the many channels of
x, and are taken as they are.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pyrovp.nets.convolution import channels_last

__all__ = ["TiledTransposedConv2d", "tile_kernel", "tiled_transposed_conv2d"]

VECTOR = 16
"""Values that a vector of a processor holds: more channels than these in a tile gain nothing."""


class TiledTransposedConv2d(nn.ConvTranspose2d):
    """`nn.ConvTranspose2d` for few output channels; the same function and parameters.

    Args:
        inputs: Channels of the map.
        outputs: Channels of the result, usually those of a frame.
        kernel: Side of the kernel in pixels.
        stride: Output pixels to an input pixel.
        padding: Pixels that are cut off the result on each side.

    Shapes:
        x: [N, inputs, H, W]
        returns: [N, outputs, stride (H - 1) + kernel - 2 padding, alike for W], channels first
            in memory, as videos are

    Example:
        >>> layer = TiledTransposedConv2d(64, 3, kernel=4, stride=2, padding=1)
        >>> layer(torch.zeros(2, 64, 8, 8)).shape
        torch.Size([2, 3, 16, 16])
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int = 1, padding: int = 0
    ) -> None:
        super().__init__(inputs, outputs, kernel, stride, padding)

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """The transposed convolution; `output_size` is not needed without output padding."""
        padding = self.padding[0]
        assert isinstance(padding, int)
        return tiled_transposed_conv2d(x, self.weight, self.bias, self.stride[0], padding)


def tiled_transposed_conv2d(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: int
) -> Tensor:
    """`F.conv_transpose2d(x, weight, bias, stride, padding)` for few output channels."""
    device = x.device.type
    if not torch.is_autocast_enabled(device):
        return _Tiled.apply(x, weight, bias, stride, padding)
    # Autocast does not reach into a Function's backward pass. The bias is added in float32: its
    # rounding would shift all pixels of all frames one way, and their sum with them.
    dtype = torch.get_autocast_dtype(device)
    y = _Tiled.apply(x.to(dtype), weight.to(dtype), None, stride, padding).float()
    return y if bias is None else y.add_(bias[:, None, None])


class _Tiled(torch.autograd.Function):
    """The transposed convolution by tiles, with the gradients of the stock one."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: int
    ) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.padding, ctx.bias = stride, padding, bias is not None
        n, channels, kernel = x.shape[0], weight.shape[1], weight.shape[-1]
        reach, start = (kernel - 1) // stride, padding // stride
        inner = [side + reach - 2 * start for side in x.shape[2:]]  # tiles a side, if t = 1
        steps = _steps(channels, stride, *inner)
        tile = stride * steps
        y = F.conv2d(
            channels_last(x),
            channels_last(tile_kernel(weight, stride, steps)),
            None if bias is None else bias.repeat_interleave(tile * tile),
            stride=steps,
            padding=reach - start,
        )
        rows, columns = y.shape[2:]
        y = y.view(n, channels, tile, tile, rows, columns).permute(0, 1, 4, 2, 5, 3)
        y = y.reshape(n, channels, rows * tile, columns * tile)
        cut = padding % stride
        height, width = ((side - 1) * stride + kernel - 2 * padding for side in x.shape[2:])
        return y[:, :, cut : cut + height, cut : cut + width].contiguous()

    @staticmethod
    def backward(
        ctx: Any, grad: Tensor
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None, None, None]:
        x, weight = ctx.saved_tensors
        to_x, to_weight, _ = torch.ops.aten.convolution_backward(
            channels_last(grad),
            channels_last(x),
            channels_last(weight),
            None,
            [ctx.stride, ctx.stride],
            [ctx.padding, ctx.padding],
            [1, 1],
            True,
            [0, 0],
            1,
            [ctx.needs_input_grad[0], ctx.needs_input_grad[1], False],
        )
        return to_x, to_weight, grad.sum((0, 2, 3)) if ctx.bias else None, None, None


def _steps(channels: int, stride: int, rows: int, columns: int) -> int:
    """t, input pixels to a tile: as many as fill a vector and divide the map."""
    fitting = (t for t in (4, 2) if channels * (stride * t) ** 2 <= VECTOR)
    return next((t for t in fitting if rows % t == 0 and columns % t == 0), 1)


def tile_kernel(weight: Tensor, stride: int, steps: int) -> Tensor:
    """The kernel of the convolution into all pixels of a tile.

    V[(o, r, r'), c, u, u'] = W[c, o, r + s (n - u), r' + s (n - u')], zero outside of W.

    Args:
        weight: W, [C, O, k, k].
        stride: s, of the transposed convolution.
        steps: t, input pixels to a tile.

    Shapes:
        returns: [O T T, C, n + t, n + t], n = (k - 1) div s and T = s t
    """
    kernel = weight.shape[-1]
    reach, tile = (kernel - 1) // stride, stride * steps
    # Window r of the padded kernel holds the taps r - s (t - 1) ... r + s n; every s-th of them,
    # read backwards.
    before, after = tile - stride, tile + stride * reach - kernel
    size = stride * (reach + steps - 1) + 1
    taps = F.pad(weight, (before, after, before, after))
    for dim in (2, 3):
        taps = taps.unfold(dim, size, 1)[..., ::stride].flip(-1)  # [C, O, r, r', u, u'] at last
    return taps.permute(1, 2, 3, 0, 4, 5).flatten(0, 2)
