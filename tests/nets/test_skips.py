"""Layers that read held skips against the plain layer on explicit copies."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import gradcheck, gradgradcheck

from pyrovp.nets.skips import SkipTransposedConv2d, SkipUpConv2d, add_held
from tests.nets.stacks import assert_same

__all__: list[str] = []

Layer = SkipTransposedConv2d | SkipUpConv2d
B, S = 2, 3
WHICH = [[0, 0, 0, 0], [0, 1, 2, 2], [2, 0, 0, 2], [1]]


def copied(skips: Tensor, which: list[int]) -> Tensor:
    """[S B, ...] -> [T B, ...]."""
    return torch.cat([skips.chunk(S)[source] for source in which])


def plain_transposed(layer: Layer, d: Tensor, skip: Tensor) -> Tensor:
    return F.conv_transpose2d(torch.cat([d, skip], 1), layer.weight, layer.bias, 2, 1)


def plain_up(layer: Layer, d: Tensor, skip: Tensor) -> Tensor:
    up = F.interpolate(d, scale_factor=2, mode="nearest")
    return F.conv2d(torch.cat([up, skip], 1), layer.weight, layer.bias, padding=1)


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize("which", WHICH)
@pytest.mark.parametrize("outputs", [1, 3, 5])
@pytest.mark.parametrize(
    ("kind", "plain", "side"),
    [(SkipTransposedConv2d, plain_transposed, 4), (SkipUpConv2d, plain_up, 8)],
)
def test_equals_the_plain_layer_on_copies(
    kind: type[Layer],
    plain: Callable[[Layer, Tensor, Tensor], Tensor],
    side: int,
    outputs: int,
    which: list[int],
    layout: torch.memory_format,
) -> None:
    layer = kind(3, 2, outputs).double().to(memory_format=layout)
    d = torch.randn(len(which) * B, 3, 4, 4, dtype=torch.float64, requires_grad=True)
    skips = torch.randn(S * B, 2, side, side, dtype=torch.float64, requires_grad=True)
    value = layer(d, layer.share(skips), which)
    stock = plain(layer, d, copied(skips, which))
    assert_same([value], [stock], [d, skips], [(p, p) for p in layer.parameters()])


def test_halves_are_views_of_the_one_kernel() -> None:
    for layer, dim in ((SkipTransposedConv2d(3, 2, 5), 0), (SkipUpConv2d(3, 2, 5), 1)):
        own, skip = layer.halves
        assert torch.equal(torch.cat([own, skip], dim), layer.weight)
        assert own.data_ptr() == layer.weight.data_ptr()
        assert [name for name, _ in layer.named_parameters()] == ["weight", "bias"]
        assert list(layer.state_dict()) == ["weight", "bias"]


def test_layers_are_drawn_as_the_plain_ones() -> None:
    for kind, plain, kernel in (
        (SkipTransposedConv2d, nn.ConvTranspose2d, 4),
        (SkipUpConv2d, nn.Conv2d, 3),
    ):
        torch.manual_seed(0)
        layer = kind(6, 2, 5)
        torch.manual_seed(0)
        stock = plain(8, 5, kernel)
        assert torch.equal(layer.weight, stock.weight)
        assert torch.equal(layer.bias, stock.bias)  # type: ignore[arg-type]


@pytest.mark.parametrize("which", WHICH)
def test_a_share_is_added_to_each_step(which: list[int]) -> None:
    share = torch.tensor([1.0, 10.0, 2.0, 20.0, 3.0, 30.0]).view(S * B, 1, 1, 1)
    y = add_held(torch.zeros(len(which) * B, 1, 1, 1), share, which)
    assert y.flatten().tolist() == [n for s in which for n in (s + 1.0, 10.0 * (s + 1))]


def test_added_shares_have_derivatives_of_both_orders() -> None:
    y = torch.randn(4, 1, 1, 2, dtype=torch.float64, requires_grad=True)
    share = torch.randn(3, 1, 1, 2, dtype=torch.float64, requires_grad=True)

    def function(y: Tensor, share: Tensor) -> Tensor:
        return add_held(y.clone(), share, [1, 0, 0, 1]) ** 2

    assert gradcheck(function, (y, share))
    assert gradgradcheck(function, (y, share))


def test_a_share_that_asks_for_no_gradient_gets_none() -> None:
    y = torch.randn(4, 1, 1, 2, requires_grad=True)
    add_held(y.clone(), torch.ones(4, 1, 1, 2), [0, 1]).sum().backward()
    assert torch.equal(y.grad, torch.ones_like(y))  # type: ignore[arg-type]
