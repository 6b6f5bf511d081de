"""Layers of many ticks: their weights' gradients are those of `F.linear`, by one product."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from pyrovp.memo import memoised
from pyrovp.nets.gathered import linear


def leaves(*shapes: tuple[int, ...]) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    made = [torch.randn(shape, dtype=torch.float64, generator=generator) for shape in shapes]
    return [leaf.requires_grad_() for leaf in made]


def recurrence(
    layer: Any, ticks: int, h: Tensor, weight: Tensor, bias: Tensor, own: Tensor
) -> Tensor:
    """A loss through a layer that is used at every tick, with each kind of bias."""
    total = h.new_zeros(())
    for _ in range(ticks):
        h = torch.tanh(layer(h, weight, bias) + layer(h, weight))
        h = torch.tanh(layer(h, weight, own))
        total = total + h.square().sum()
    return total + layer(h[None], weight, bias).sum()  # not a matrix


def stock(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    return F.linear(x, weight) + (0 if bias is None else bias)


@pytest.mark.parametrize("inside", [False, True])
def test_values_and_gradients(inside: bool) -> None:
    parts = leaves((2, 3), (3, 3), (3,), (2, 3))
    expected = recurrence(stock, 4, *parts)
    with memoised(inside):
        found = recurrence(linear, 4, *parts)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    wanted = torch.autograd.grad(expected, parts)
    for _ in range(2):  # the second time nothing of the first is left
        made = torch.autograd.grad(found, parts, retain_graph=True)
        torch.testing.assert_close(made, wanted, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("frozen", [1, 2])
def test_some_of_the_gradients(frozen: int) -> None:
    """One after the other, from one graph: those of the weight last."""
    parts = leaves((2, 3), (3, 3), (3,), (2, 3))
    parts[frozen].requires_grad_(False)
    expected = recurrence(stock, 3, *parts)
    with memoised():
        found = recurrence(linear, 3, *parts)
    for leaf in [part for part in (parts[3], parts[0], parts[2], parts[1]) if part.requires_grad]:
        (made,) = torch.autograd.grad(found, leaf, retain_graph=True)
        (wanted,) = torch.autograd.grad(expected, leaf, retain_graph=True)
        torch.testing.assert_close(made, wanted, rtol=1e-10, atol=1e-12)


def test_the_gradient_of_a_gradient() -> None:
    """Of the squared norm of all gradients, with respect to everything."""
    parts = leaves((2, 3), (3, 3), (3,), (2, 3))

    def curvature(layer: Any) -> Sequence[Tensor]:
        with memoised():
            loss = recurrence(layer, 3, *parts)
            first = torch.autograd.grad(loss, parts, create_graph=True)
            norm = torch.stack([g.square().sum() for g in first]).sum()
            return torch.autograd.grad(norm, parts)

    torch.testing.assert_close(curvature(linear), curvature(stock), rtol=1e-10, atol=1e-12)


class Calls(TorchDispatchMode):
    """Counts operations."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: Counter[str] = Counter()

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        self.seen[func._schema.name] += 1
        return func(*args, **(kwargs or {}))


def products(layer: Any, ticks: int) -> int:
    """Matrix products of the gradient."""
    h, weight, bias = leaves((2, 3), (3, 3), (3,))
    with memoised():
        for _ in range(ticks):
            h = torch.tanh(layer(h, weight, bias))
    with Calls() as calls:
        h.sum().backward()
    return calls.seen["aten::mm"]


def test_one_product_for_all_ticks() -> None:
    assert [products(F.linear, ticks) for ticks in (3, 9)] == [6, 18]
    assert [products(linear, ticks) for ticks in (3, 9)] == [4, 10]
