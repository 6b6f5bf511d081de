"""Transposed convolutions by tiles against the stock layer: values, gradients, precision."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from pyrovp.nets.tiles import TiledTransposedConv2d, tile_kernel
from tests.nets.stacks import assert_same

__all__: list[str] = []

# Kernel, stride and padding.
LAYERS = [(4, 2, 1), (3, 1, 1), (6, 2, 0), (5, 2, 2), (3, 1, 0), (2, 2, 0), (3, 2, 1), (5, 3, 2)]


@pytest.mark.parametrize(("height", "width"), [(1, 1), (4, 8), (6, 4), (5, 6)])
@pytest.mark.parametrize("channels", [1, 3, 5])
@pytest.mark.parametrize(("kernel", "stride", "padding"), LAYERS)
def test_equals_the_stock_layer(
    kernel: int, stride: int, padding: int, channels: int, height: int, width: int
) -> None:
    if min(height, width) == 1 and kernel <= 2 * padding:
        pytest.skip("nothing is left of the frame")
    layer = TiledTransposedConv2d(4, channels, kernel, stride, padding).double()
    x = torch.randn(2, 4, height, width, dtype=torch.float64, requires_grad=True)
    stock = F.conv_transpose2d(x, layer.weight, layer.bias, stride=stride, padding=padding)
    value = layer(x)
    assert value.is_contiguous()
    assert_same([value], [stock], [x], [(p, p) for p in layer.parameters()])


@pytest.mark.parametrize(("kernel", "stride", "steps"), [(4, 2, 1), (6, 2, 2), (3, 1, 4)])
def test_tile_kernel_is_its_definition(kernel: int, stride: int, steps: int) -> None:
    weight = torch.randn(2, 3, kernel, kernel)
    reach, tile = (kernel - 1) // stride, stride * steps
    found = tile_kernel(weight, stride, steps).view(3, tile, tile, 2, reach + steps, -1)
    for r in range(tile):
        for u in range(reach + steps):
            tap = r + stride * (reach - u)
            expected = weight[:, :, tap, tap] if 0 <= tap < kernel else torch.zeros(2, 3)
            assert torch.equal(found[:, r, r, :, u, u].T, expected)


@pytest.mark.parametrize(("kernel", "stride"), [(4, 2), (3, 1)])
def test_derivatives_of_both_orders(kernel: int, stride: int) -> None:
    layer = TiledTransposedConv2d(2, 1, kernel, stride, padding=1).double()
    x = torch.randn(1, 2, 2, 2, dtype=torch.float64, requires_grad=True)
    weight = torch.randn_like(layer.weight, requires_grad=True)
    bias = torch.randn(1, dtype=torch.float64, requires_grad=True)

    def function(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        y = torch.func.functional_call(layer, {"weight": weight, "bias": bias}, (x,))
        # Fewer outputs keep the numerical Jacobian small; the square needs a second derivative.
        return F.avg_pool2d(y * y, 2)

    assert gradcheck(function, (x, weight, bias))
    assert gradgradcheck(function, (x, weight, bias))


def test_under_autocast() -> None:
    layer = TiledTransposedConv2d(4, 1, kernel=4, stride=2, padding=1)
    x = torch.randn(2, 4, 6, 6, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        y = layer(x)
    assert y.dtype is torch.float32
    y.square().mean().backward()
    assert layer.weight.grad is not None and layer.weight.grad.dtype is torch.float32
    exact = F.conv_transpose2d(x, layer.weight, layer.bias, stride=2, padding=1)
    # bfloat16 has 8 bits of precision: a relative error of some 2^-8 for each of few terms.
    torch.testing.assert_close(y, exact, rtol=0.05, atol=0.05)


def test_under_autocast_a_bias_is_not_rounded() -> None:
    layer = TiledTransposedConv2d(4, 1, kernel=4, stride=2, padding=1)
    with torch.autocast("cpu", torch.bfloat16):
        y = layer(torch.zeros(2, 4, 6, 6))
    assert layer.bias is not None
    assert torch.equal(y, layer.bias.expand(y.shape))
    y.sum().backward()
    assert layer.bias.grad is not None and float(layer.bias.grad) == y.numel()
