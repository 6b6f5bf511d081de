"""The patch product against the stock convolution; the layout."""

import pytest
import torch
import torch.nn.functional as F
from torch.autograd import gradcheck, gradgradcheck

from pyrovp.nets.convolution import PatchConv2d, channels_last

__all__: list[str] = []


@pytest.mark.parametrize("channels", [1, 3])
def test_channels_last_in_memory(channels: int) -> None:
    x = torch.randn(2, channels, 5, 4)
    y = channels_last(x)
    assert torch.equal(x, y)
    assert y.stride() == (5 * 4 * channels, 1, 4 * channels, channels)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_convolution_keeps_the_layout(channels: int) -> None:
    y = F.conv2d(channels_last(torch.randn(2, channels, 8, 8)), torch.randn(6, channels, 4, 4))
    assert y.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(("height", "width"), [(6, 6), (7, 6), (4, 9)])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_patches_equal_the_stock_layer(height: int, width: int, stride: int) -> None:
    layer = PatchConv2d(3, 5, kernel=4, stride=stride).double()
    x = torch.randn(2, 3, height, width, dtype=torch.float64, requires_grad=True)
    inputs = [x, *layer.parameters()]
    stock = F.conv2d(x, layer.weight, layer.bias, stride=stride)
    direction = torch.randn_like(stock)
    torch.testing.assert_close(layer(x), stock, rtol=0, atol=1e-10)
    ours = torch.autograd.grad(layer(x), inputs, direction)
    for value, expected in zip(ours, torch.autograd.grad(stock, inputs, direction), strict=True):
        torch.testing.assert_close(value, expected, rtol=0, atol=1e-10)


def test_patches_have_derivatives_of_both_orders() -> None:
    layer = PatchConv2d(1, 2, kernel=4, stride=2).double()
    x = torch.randn(1, 1, 6, 6, dtype=torch.float64, requires_grad=True)
    assert gradcheck(layer, (x,))
    assert gradgradcheck(layer, (x,))
