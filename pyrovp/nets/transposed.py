r"""Transposed convolutions of a frame decoder, each by the products that cost least.

    y[o, Y, X] = b[o] + sum_{c, i, j} W[c, o, Y - 2i, X - 2j] x[c, i, j]        stride 2

Three facts, none of which changes the function or its parameters:

- On a single pixel (i = j = 0) this is a matrix product, y = b + W' x with W' [k k O, C]. The
  dense layer before it, x = A z + a, is linear too: W' (A z + a) = (W' A) z + W' a, and either
  order of the products may be the cheaper one.
- Output pixels Y = 2s m + r with the same r (a phase) read the same taps of the kernel. With all
  phases as channels it is a plain convolution of stride s and a reshuffle of its output:

      y[o, 2s m + r, .] = sum_{c, u} W[c, o, r + 4 - 2u] x[c, s m - 2 + u, .]       u = 0 ... s + 1

  Each pixel of the large map is then written once, instead of k k / 4 times, and there are
  4 s s times as many channels to fill a processor's vectors with.
- The gradient of the bias is a sum of its own; the libraries' kernels that compute it along with
  the gradient of W are much slower than both apart.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pyrovp.nets.convolution import channels_last

__all__ = ["PhasedTransposedConv2d", "TransposedConv2d", "dense_to_map", "phase_kernel"]


def dense_to_map(z: Tensor, dense: nn.Linear, expand: nn.ConvTranspose2d) -> Tensor:
    """`expand(dense(z)[:, :, None, None])`, by the cheaper order of the two matrix products.

    Args:
        z: Input of the dense layer, [N, I].
        dense: From I to F features.
        expand: From a map of one pixel and F channels to one of O channels and k by k pixels.

    Shapes:
        returns: [N, O, k, k]
    """
    (n, inputs), features = z.shape, dense.out_features
    channels, (height, width) = expand.out_channels, expand.kernel_size
    assert expand.bias is not None
    kernel = expand.weight.permute(0, 2, 3, 1).flatten(1)  # [F, k k O], a view
    outputs = kernel.shape[1]
    bias = expand.bias.repeat(height * width)
    if inputs * outputs * (features + n) < n * features * (inputs + outputs):
        # [A, a], so that one product gives W' A and W' a.
        affine = torch.cat((dense.weight, dense.bias[:, None]), 1).t() @ kernel  # [I + 1, k k O]
        y = torch.addmm(affine[-1] + bias, z, affine[:-1])
    else:
        y = torch.addmm(bias, dense(z), kernel)
    return y.view(n, height, width, channels).permute(0, 3, 1, 2)


class TransposedConv2d(nn.ConvTranspose2d):
    """`nn.ConvTranspose2d` without padding; its bias is added, and summed, apart.

    Args:
        inputs: Channels of the map.
        outputs: Channels of the result.
        kernel: Side of the kernel in pixels.
        stride: Output pixels to an input pixel.

    Shapes:
        x: [N, inputs, H, W]
        returns: [N, outputs, stride (H - 1) + kernel, stride (W - 1) + kernel]
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int) -> None:
        super().__init__(inputs, outputs, kernel, stride)

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """The transposed convolution; `output_size` is not needed without output padding."""
        assert self.bias is not None
        y = F.conv_transpose2d(x, self.weight, stride=self.stride)
        return y.add_(self.bias[:, None, None])


class PhasedTransposedConv2d(nn.ConvTranspose2d):
    """`nn.ConvTranspose2d` with kernel 6 and stride 2, for few output channels.

    Forward it is a convolution into all phases of the output. Backward the kernel's own gradients
    are plain convolutions already, and are taken as they are.

    Args:
        inputs: Channels of the map.
        outputs: Channels of the result, usually those of a frame.

    Shapes:
        x: [N, inputs, H, W]
        returns: [N, outputs, 2H + 4, 2W + 4], channels first in memory, as videos are
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, kernel_size=6, stride=2)

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """The transposed convolution; `output_size` is not needed without output padding."""
        assert self.bias is not None
        device = x.device.type
        if not torch.is_autocast_enabled(device):
            return _Phased.apply(x, self.weight, self.bias)
        # Autocast does not reach into a Function's backward pass. The bias is added in float32:
        # its rounding would shift all pixels of all frames one way, and their sum with them.
        dtype = torch.get_autocast_dtype(device)
        y = _Phased.apply(x.to(dtype), self.weight.to(dtype), None).float()
        return y.add_(self.bias[:, None, None])


class _Phased(torch.autograd.Function):
    """The transposed convolution by phases, with the gradients of the stock one."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.bias = bias is not None
        n, channels = x.shape[0], weight.shape[1]
        # One channel has too few phases of stride 1 to fill a vector: take those of stride 2.
        stride = 2 if channels == 1 and x.shape[2] % 2 == 0 and x.shape[3] % 2 == 0 else 1
        phases = 2 * stride
        y = F.conv2d(
            channels_last(x),
            channels_last(phase_kernel(weight, stride)),
            None if bias is None else bias.repeat_interleave(phases * phases),
            stride=stride,
            padding=2,
        )
        height, width = y.shape[2:]
        y = y.view(n, channels, phases, phases, height, width).permute(0, 1, 4, 2, 5, 3)
        return y.reshape(n, channels, height * phases, width * phases)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        to_x, to_weight, _ = torch.ops.aten.convolution_backward(
            channels_last(grad),
            channels_last(x),
            channels_last(weight),
            None,
            [2, 2],
            [0, 0],
            [1, 1],
            True,
            [0, 0],
            1,
            [ctx.needs_input_grad[0], ctx.needs_input_grad[1], False],
        )
        return to_x, to_weight, grad.sum((0, 2, 3)) if ctx.bias else None


def phase_kernel(weight: Tensor, stride: int) -> Tensor:
    """The kernel of the convolution into all phases of a transposed one (kernel 6, stride 2).

    V[(o, r, r'), c, u, u'] = W[c, o, r + 4 - 2u, r' + 4 - 2u'], zero outside of W.

    Args:
        weight: W, [C, O, 6, 6].
        stride: s, input pixels to an output tile of 2s by 2s pixels.

    Shapes:
        returns: [O (2s) (2s), C, s + 2, s + 2]
    """
    # With v = s + 1 - u the tap is (r + 2v) - (2s - 2): window r of the padded kernel, every
    # second value of it, read backwards.
    pad, size = 2 * stride - 2, 2 * stride + 3
    taps = F.pad(weight, (pad, pad, pad, pad))
    for dim in (2, 3):
        taps = taps.unfold(dim, size, 1)[..., ::2].flip(-1)  # [C, O, r, r', u, u'] in the end
    return taps.permute(1, 2, 3, 0, 4, 5).flatten(0, 2)
