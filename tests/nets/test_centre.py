"""Same-size convolutions against the stock layer, on one pixel and on more."""

import pytest
import torch
import torch.nn.functional as F

from pyrovp.nets.centre import CentreConv2d, centre_tap, same_conv2d

__all__: list[str] = []


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 2), (4, 3)])
def test_equals_the_stock_layer(
    height: int, width: int, kernel: int, bias: bool, layout: torch.memory_format
) -> None:
    layer = CentreConv2d(3, 5, kernel, bias).double()
    layer.to(memory_format=layout)
    x = torch.randn(2, 3, height, width, dtype=torch.float64, requires_grad=True)
    inputs = [x, *layer.parameters()]
    stock = F.conv2d(x, layer.weight, layer.bias, padding=kernel // 2)
    value = layer(x)
    torch.testing.assert_close(value, stock, rtol=0, atol=1e-12)
    direction = torch.randn_like(stock)
    ours = torch.autograd.grad(value, inputs, direction)
    for a, b in zip(ours, torch.autograd.grad(stock, inputs, direction), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-12)


def test_one_pixel_is_a_product_with_the_middle() -> None:
    weight = torch.arange(18.0).view(1, 2, 3, 3)
    assert centre_tap(weight).tolist() == [[4.0, 13.0]]
    assert same_conv2d(torch.ones(1, 2, 1, 1), weight).tolist() == [[[[17.0]]]]


def test_gradients_have_the_kernels_layout() -> None:
    layer = CentreConv2d(4, 6)
    layer.to(memory_format=torch.channels_last)
    y = layer(torch.randn(2, 4, 1, 1))
    assert y.stride() == (6, 1, 6, 6)
    assert torch.autograd.grad(y.sum(), layer.weight)[0].stride() == layer.weight.stride()


def test_refuses_even_kernels() -> None:
    with pytest.raises(ValueError, match="kernel=4, use 3 or 5"):
        CentreConv2d(2, 2, kernel=4)
