"""Kernels as large as the map against the stock layers."""

import pytest
import torch
import torch.nn.functional as F

from pyrovp.nets.whole_map import MapToPixel, PixelToMap
from tests.nets.stacks import assert_same

__all__: list[str] = []


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("side", [1, 4])
def test_map_to_pixel(side: int, bias: bool, layout: torch.memory_format) -> None:
    layer = MapToPixel(3, 5, side, bias).double().to(memory_format=layout)
    x = torch.randn(2, 3, side, side, dtype=torch.float64, requires_grad=True)
    stock = F.conv2d(x, layer.weight, layer.bias)
    assert_same([layer(x)], [stock], [x], [(p, p) for p in layer.parameters()])


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("side", [1, 4])
def test_pixel_to_map(side: int, bias: bool, layout: torch.memory_format) -> None:
    layer = PixelToMap(3, 5, side, bias).double().to(memory_format=layout)
    x = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    pixel = x[:, :, None, None]
    stock = F.conv_transpose2d(pixel, layer.weight, layer.bias)
    for given in (x, pixel):
        value = layer(given)
        assert value.is_contiguous(memory_format=torch.channels_last)
        assert_same([value], [stock], [x], [(p, p) for p in layer.parameters()])
