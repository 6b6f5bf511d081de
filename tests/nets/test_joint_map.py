"""A joint map layer is a 1x1 convolution on the concatenation of enlarged maps."""

from itertools import product

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pyrovp.nets.joint_map import JointMap
from pyrovp.sizes import Map, Size, dims
from tests.oracles.tiny import close, randn

R = 8
# A memory, a parent, a grandparent of one pixel, and a vector.
SIZES: tuple[Size, ...] = (Map(3, 8), Map(2, 4), Map(4, 1), 5)


def parts_of(sizes: tuple[Size, ...], *lead: int) -> list[Tensor]:
    return [randn(*lead, *dims(s), seed=i).requires_grad_() for i, s in enumerate(sizes)]


def enlarged(part: Tensor, size: Size, resolution: int = R) -> Tensor:
    """Each value of a map repeated downwards and to the right."""
    part = part[..., None, None] if isinstance(size, int) else part
    times = resolution // part.shape[-1]
    return part.repeat_interleave(times, -1).repeat_interleave(times, -2)


def convolved(layer: JointMap, parts: list[Tensor], sizes: tuple[Size, ...]) -> Tensor:
    """The layer's formula on one concatenation."""
    resolution = layer.resolution
    maps = [enlarged(part, size, resolution) for part, size in zip(parts, sizes, strict=True)]
    lead = torch.broadcast_shapes(*(x.shape[:-3] for x in maps))
    x = torch.cat([x.expand(*lead, *x.shape[-3:]) for x in maps], -3)
    weight = torch.cat([getattr(layer, name) for name in layer.names], 1)[..., None, None]
    y = F.conv2d(x.reshape(-1, *x.shape[-3:]), weight, layer.bias)
    return y.reshape(*lead, *y.shape[1:])


@pytest.mark.parametrize("known_early", [False, True])
@pytest.mark.parametrize("lead", [(), (2,), (2, 3), (4, 2, 3)])
@pytest.mark.parametrize(
    "sizes",
    [SIZES, SIZES[::-1], SIZES[:1], SIZES[:2], (Map(3, 8), Map(2, 1)), (5,)],
    ids=["all", "turned", "alone", "parent", "one pixel", "vector"],
)
def test_equals_the_convolution_of_all(
    sizes: tuple[Size, ...], lead: tuple[int, ...], known_early: bool
) -> None:
    layer, parts = JointMap(sizes, 6, R).double(), parts_of(sizes, *lead)
    if known_early:
        actual = layer(*parts[:-1], early=layer.early(parts[-1]))
    else:
        actual = layer(*parts)
    expected = convolved(layer, parts, sizes)
    assert actual.shape == (*lead, 6, R, R)
    close(actual, expected)
    leaves, weight = [*parts, *layer.parameters()], randn(*expected.shape, seed=7)
    for mine, theirs in zip(
        torch.autograd.grad((actual * weight).sum(), leaves),
        torch.autograd.grad((expected * weight).sum(), leaves),
        strict=True,
    ):
        close(mine, theirs)


LEADS = [(2, 3), (1, 1), (4, 2, 3), (4, 1, 3)]


@pytest.mark.parametrize("leads", list(product(LEADS, repeat=3)), ids=str)
def test_particles_and_sequences_broadcast(leads: tuple[tuple[int, ...], ...]) -> None:
    """A memory of frames has no particles, a drawn state has."""
    sizes: tuple[Size, ...] = (Map(3, 4), Map(2, 2), 5)
    layer = JointMap(sizes, 6, 4).double()
    parts = [
        randn(*lead, *dims(s), seed=i)
        for i, (lead, s) in enumerate(zip(leads, sizes, strict=True))
    ]
    expected = convolved(layer, parts, sizes)
    close(layer(*parts), expected)
    close(layer(*parts[:2], early=layer.early(parts[2])), expected)


def test_layouts_do_not_matter() -> None:
    layer, parts = JointMap(SIZES[:2], 6, R).double(), parts_of(SIZES[:2], 5)
    dense = [part.contiguous(memory_format=torch.channels_last) for part in parts]
    close(layer(*dense), layer(*parts))
    # Time-major storage of [B, T, C, r, r].
    turned = [part.unflatten(0, (5, 1)).transpose(0, 1) for part in dense]
    close(layer(*turned)[0], layer(*parts))


def test_the_bias_counts_once() -> None:
    layer = JointMap(SIZES, 6, R).double()
    zeros = [torch.zeros_like(part) for part in parts_of(SIZES, 2)]
    expected = layer.bias[:, None, None].expand(2, 6, R, R)
    close(layer(*zeros), expected)
    close(layer(*zeros[:-1], early=layer.early(zeros[-1])), expected)


def test_parameters_are_counted_and_drawn_as_those_of_a_convolution() -> None:
    layer, plain = JointMap([Map(150, 8), Map(100, 1), 6], 40, 8), nn.Conv2d(256, 40, 1)
    assert sum(p.numel() for p in layer.parameters()) == sum(p.numel() for p in plain.parameters())
    largest = max(float(p.detach().abs().max()) for p in layer.parameters())
    assert 0.06 < largest <= 1 / 16, "uniform within 1 / sqrt(inputs)"


@pytest.mark.parametrize(("part", "resolution"), [(3, 8), (8, 4), (5, 12)])
def test_refuses_maps_that_do_not_fit(part: int, resolution: int) -> None:
    with pytest.raises(ValueError, match=f"{part} pixels cannot be brought to {resolution}"):
        JointMap([Map(2, resolution), Map(2, part)], 4, resolution)


def test_refuses_missing_parts() -> None:
    layer, parts = JointMap(SIZES, 6, R).double(), parts_of(SIZES, 2)
    with pytest.raises(ValueError, match="on 4 maps got 2 of them; give all"):
        layer(*parts[:2])
    with pytest.raises(ValueError, match="got 2 of them and the last one early"):
        layer(*parts[:2], early=layer.early(parts[-1]))
    with pytest.raises(ValueError, match="got 4 of them and the last one early"):
        layer(*parts, early=layer.early(parts[-1]))
