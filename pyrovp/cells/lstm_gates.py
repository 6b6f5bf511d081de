r"""The elementwise part of a convolutional LSTM, in few passes over dense memory.

    c' = σ(f) c + σ(i) tanh(g)            h' = σ(o) tanh(c')          tanh(x) = 2 σ(2x) - 1

Four gates lie side by side in the channels of one map, and a pass over one of them strides: on a
CPU it costs ten times one over as many numbers in a row. So the gates are put one after the other
by one copy, forward and backward, and all passes in between are dense. With tanh as a sigmoid, one
pass makes all four.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

__all__ = ["lstm_memory", "lstm_output"]


def lstm_memory(gates: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """(c', σ(o)) of the four gates before their sigmoids, in the order i, f, o, g.

    Shapes:
        gates: [N, 4C, ...]
        c: [N, C, ...]
        returns: twice [N, C, ...]
    """
    return _Memory.apply(gates, c)


def lstm_output(o: Tensor, c: Tensor) -> Tensor:
    """o tanh(c), [N, C, ...]."""
    return _Output.apply(o, c)


class _Memory(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gates: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        rows = c.movedim(1, -1)
        apart = gates.movedim(1, -1).unflatten(-1, (4, c.shape[1])).movedim(-2, 0)
        # [4, N, ..., C]; under autocast the sums are of lower precision than the memory.
        parts = apart.to(c.dtype, copy=True, memory_format=torch.contiguous_format)
        parts[3].mul_(2)
        i, f, o, s = parts.sigmoid_()
        new = torch.mul(f, rows).sub_(i).addcmul_(i, s, value=2)
        ctx.save_for_backward(parts, rows)
        return new.movedim(-1, 1), o.movedim(-1, 1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, to_c: Tensor, to_o: Tensor) -> tuple[Tensor, Tensor]:
        parts, rows = ctx.saved_tensors
        i, f, _, s = parts
        d = to_c.movedim(1, -1)
        slopes = torch.addcmul(parts, parts, parts, value=-1)  # σ (1 - σ)
        slopes[0].mul_(torch.addcmul(-d, d, s, value=2))
        slopes[1].mul_(d * rows)
        slopes[2].mul_(to_o.movedim(1, -1))
        slopes[3].mul_((d * i).mul_(4))
        joined = slopes.movedim(0, -2).flatten(-2)
        return joined.movedim(-1, 1), (d * f).movedim(-1, 1)


class _Output(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, o: Tensor, c: Tensor) -> Tensor:
        s = torch.mul(c, 2).sigmoid_()
        ctx.save_for_backward(o, s)
        return torch.addcmul(-o, o, s, value=2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, to_h: Tensor) -> tuple[Tensor, Tensor]:
        o, s = ctx.saved_tensors
        slope = torch.addcmul(s, s, s, value=-1).mul_(4)
        return torch.addcmul(-to_h, to_h, s, value=2), slope.mul_(o).mul_(to_h)
