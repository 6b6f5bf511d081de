"""The fast transposed convolutions against the stock layers: values, gradients, precision."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import gradcheck, gradgradcheck

from pyrovp.nets.transposed import (
    PhasedTransposedConv2d,
    TransposedConv2d,
    dense_to_map,
    phase_kernel,
)

__all__: list[str] = []


def assert_same(value: Tensor, expected: Tensor, inputs: list[Tensor]) -> None:
    """Equal values and equal gradients along one random direction, to 1e-10."""
    direction = torch.randn_like(expected)
    torch.testing.assert_close(value, expected, rtol=0, atol=1e-10)
    ours = torch.autograd.grad(value, inputs, direction, retain_graph=True)
    stock = torch.autograd.grad(expected, inputs, direction)
    for a, b in zip(ours, stock, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-10)


@pytest.mark.parametrize(("n", "dense_first"), [(1, True), (200, False)])
@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_dense_to_map(n: int, dense_first: bool, layout: torch.memory_format) -> None:
    dense = nn.Linear(4, 30).double()
    expand = nn.ConvTranspose2d(30, 3, 5).double()
    expand.to(memory_format=layout)
    z = torch.randn(n, 4, dtype=torch.float64, requires_grad=True)
    expected = expand(dense(z)[:, :, None, None])
    calls: list[nn.Module] = []
    dense.register_forward_hook(lambda module, *_: calls.append(module))
    value = dense_to_map(z, dense, expand)
    assert bool(calls) is dense_first
    assert_same(value, expected, [z, *dense.parameters(), *expand.parameters()])


@pytest.mark.parametrize("kernel", [5, 6])
def test_bias_apart(kernel: int) -> None:
    layer = TransposedConv2d(3, 4, kernel, stride=2).double()
    x = torch.randn(2, 3, 5, 4, dtype=torch.float64, requires_grad=True)
    expected = F.conv_transpose2d(x, layer.weight, layer.bias, stride=2)
    assert_same(layer(x), expected, [x, *layer.parameters()])


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize(("height", "width"), [(1, 1), (6, 8), (6, 7), (7, 6)])
def test_phases(channels: int, height: int, width: int) -> None:
    layer = PhasedTransposedConv2d(4, channels).double()
    x = torch.randn(2, 4, height, width, dtype=torch.float64, requires_grad=True)
    expected = F.conv_transpose2d(x, layer.weight, layer.bias, stride=2)
    assert_same(layer(x), expected, [x, *layer.parameters()])
    assert layer(x).is_contiguous()


@pytest.mark.parametrize("stride", [1, 2])
def test_phase_kernel_is_its_definition(stride: int) -> None:
    weight = torch.randn(2, 3, 6, 6)
    kernel = phase_kernel(weight, stride).view(3, 2 * stride, 2 * stride, 2, stride + 2, -1)
    for r in range(2 * stride):
        for u in range(stride + 2):
            tap = r + 4 - 2 * u
            diagonal = kernel[:, r, r, :, u, u].T
            expected = weight[:, :, tap, tap] if 0 <= tap < 6 else torch.zeros(2, 3)
            assert torch.equal(diagonal, expected)


@pytest.mark.parametrize("size", [1, 2])
def test_phases_have_derivatives_of_both_orders(size: int) -> None:
    layer = PhasedTransposedConv2d(2, 1).double()
    x = torch.randn(1, 2, size, size, dtype=torch.float64, requires_grad=True)
    weight = torch.randn_like(layer.weight, requires_grad=True)
    bias = torch.randn(1, dtype=torch.float64, requires_grad=True)

    def function(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        y = torch.func.functional_call(layer, {"weight": weight, "bias": bias}, (x,))
        # Fewer outputs keep the numerical Jacobian small; the square needs a second derivative.
        return F.avg_pool2d(y * y, 2)

    assert gradcheck(function, (x, weight, bias))
    assert gradgradcheck(function, (x, weight, bias))


def test_phases_take_an_expanded_gradient() -> None:
    layer = PhasedTransposedConv2d(2, 3)
    x = torch.randn(2, 2, 4, 4, requires_grad=True)
    layer(x).sum().backward()
    expected = torch.autograd.grad(
        F.conv_transpose2d(x, layer.weight, layer.bias, stride=2).sum(), x
    )[0]
    assert x.grad is not None
    torch.testing.assert_close(x.grad, expected)


def test_phases_under_autocast() -> None:
    layer = PhasedTransposedConv2d(4, 1)
    x = torch.randn(2, 4, 6, 6, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        y = layer(x)
    assert y.dtype is torch.float32
    y.square().mean().backward()
    assert x.grad is not None and layer.weight.grad is not None
    assert layer.weight.grad.dtype is torch.float32
    # bfloat16 has 8 bits of precision: a relative error of some 2^-8 for each of few terms.
    expected = F.conv_transpose2d(x, layer.weight, layer.bias, stride=2)
    torch.testing.assert_close(y, expected, rtol=0.05, atol=0.02)


def test_phases_under_autocast_do_not_round_a_bias() -> None:
    layer = PhasedTransposedConv2d(4, 1)
    with torch.autocast("cpu", torch.bfloat16):
        y = layer(torch.zeros(2, 4, 6, 6))
    assert layer.bias is not None
    assert torch.equal(y, layer.bias.expand(y.shape))
    y.sum().backward()
    assert layer.bias.grad is not None and float(layer.bias.grad) == y.numel()
