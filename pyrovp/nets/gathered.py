r"""Linear layers that are used at every tick: the gradient of their weights is taken once.

    y_t = x_t Wᵀ + b      dW = Σ_t g_tᵀ x_t = [g_1; g_2; ...]ᵀ [x_1; x_2; ...],     db = Σ_t g_t

Autograd takes each term by itself and adds it to the sum of those before: two kernels a tick for
W, two for b, and matrices as large as W to and fro. Here a tick only leaves its x_t and g_t; when
the last one has, all terms are one product. It takes an evaluation of a bound (`memoised`) to know
which ticks belong together, and inputs that are matrices [B, I], as a tick's are.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from pyrovp.memo import opened

__all__ = ["linear"]


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x Wᵀ + b, like `F.linear`.

    Args:
        x: [..., I].
        weight: [O, I].
        bias: [O], or one for each row, [B, O], where x is [B, I].
    """
    own = bias is not None and bias.dim() == 2
    table = opened()
    if table is None or not _gathers(x, weight):
        return _product(x, weight, bias, own)
    key = (linear, id(weight), None if own else id(bias))
    found = table.get(key)
    if found is None:
        found = table[key] = (_Ticks(weight, None if own else bias), weight, bias)
    ticks = found[0]
    return _Tick.apply(x, ticks.weight, bias if own else ticks.bias, own, ticks.left)


def _product(x: Tensor, weight: Tensor, bias: Tensor | None, own: bool) -> Tensor:
    if bias is not None and own:
        return torch.addmm(bias, x, weight.t())
    return F.linear(x, weight, bias)


def _gathers(x: Tensor, weight: Tensor) -> bool:
    """Whether the weight's gradient can wait; under autocast types differ from tick to sum."""
    return (
        torch.is_grad_enabled()
        and x.dim() == 2
        and weight.requires_grad
        and not torch.is_autocast_enabled(x.device.type)
    )


class _Left:
    """x_t and g_t of the ticks that a differentiation has come to."""

    def __init__(self) -> None:
        self._pairs: list[tuple[Tensor, Tensor]] = []
        self._differentiation = -1

    def append(self, x: Tensor, g: Tensor) -> None:
        """One more tick; what an earlier differentiation had no use for is dropped."""
        now = torch._C._current_graph_task_id()
        if now != self._differentiation:
            self._differentiation, self._pairs = now, []
        self._pairs.append((x, g))

    def take(self) -> tuple[Tensor, Tensor] | None:
        """All of them, one below the other; None: there are none."""
        pairs, self._pairs = self._pairs, []
        if not pairs:
            return None
        inputs, gradients = zip(*pairs, strict=True)
        return torch.cat(inputs), torch.cat(gradients)


class _Ticks:
    """The ticks of a layer within one evaluation.

    Args:
        weight, bias: The layer's.

    Attributes:
        weight, bias: The same numbers; through them a tick depends on the sum below.
        left: What they leave.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        self.left = _Left()
        self.weight, self.bias = _Sum.apply(weight, bias, self.left)


class _Tick(torch.autograd.Function):
    """A tick, whose gradient with respect to what it shares with others is left to `_Sum`."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, own: bool, left: _Left
    ) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.left, ctx.own = left, own
        return _product(x, weight, bias, own)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, None, Tensor | None, None, None]:
        x, weight = ctx.saved_tensors
        ctx.left.append(x, g)
        to_x = g @ weight if ctx.needs_input_grad[0] else None
        return to_x, None, g if ctx.own else None, None, None


class _Sum(torch.autograd.Function):
    """Passes weight and bias on; differentiated after all ticks that got them, at once."""

    @staticmethod
    def forward(
        ctx: Any, weight: Tensor, bias: Tensor | None, left: _Left
    ) -> tuple[Tensor, Tensor | None]:
        ctx.left = left
        ctx.set_materialize_grads(False)  # the ticks give none
        return weight.view_as(weight), None if bias is None else bias.view_as(bias)

    @staticmethod
    def backward(
        ctx: Any, to_weight: Tensor | None, to_bias: Tensor | None
    ) -> tuple[Tensor | None, Tensor | None, None]:
        # The ticks give nothing here; where a gradient is differentiated again, their own
        # gradients, which use the weight, do.
        left = ctx.left.take()
        if left is not None:
            x, g = left
            to_weight = _added(to_weight, g.t() @ x)
            if ctx.needs_input_grad[1]:
                to_bias = _added(to_bias, g.sum(0))
        return to_weight, to_bias, None


def _added(total: Tensor | None, more: Tensor) -> Tensor:
    return more if total is None else total + more
