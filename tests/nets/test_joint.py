"""A joint layer is `nn.Linear` on the concatenation, however its parts arrive."""

from itertools import product

import pytest
import torch
from torch import Tensor, nn

from pyrovp.nets.joint import Joint
from tests.oracles.tiny import close, randn

SIZES = (3, 1, 2)


def linear(joint: Joint) -> nn.Linear:
    layer = nn.Linear(sum(joint.sizes), len(joint.bias)).double()
    with torch.no_grad():
        layer.weight.copy_(torch.cat(list(joint.weights), 1))
        layer.bias.copy_(joint.bias)
    return layer


def parts(*leading: int) -> list[Tensor]:
    return [randn(*leading, size, seed=size).requires_grad_() for size in SIZES]


@pytest.mark.parametrize("known_early", [0, 1, 2, 3])
@pytest.mark.parametrize("leading", [(), (4,), (1,), (4, 5), (2, 4, 5)])
def test_equals_linear_on_the_concatenation(leading: tuple[int, ...], known_early: int) -> None:
    joint = Joint(SIZES, 4).double()
    inputs, first = parts(*leading), len(SIZES) - known_early
    early = joint.early(*inputs[first:]) if known_early else None
    actual = joint(*inputs[:first], early=early)
    expected = linear(joint)(torch.cat(inputs, -1))
    assert actual.shape == (*leading, 4)
    close(actual, expected)
    weight = randn(*leading, 4, seed=9)
    for mine, theirs in zip(
        torch.autograd.grad((actual * weight).sum(), inputs),
        torch.autograd.grad((expected * weight).sum(), inputs),
        strict=True,
    ):
        close(mine, theirs)


SHAPES = [(4,), (1,), (3, 4), (3, 1), ()]


@pytest.mark.parametrize(("a", "b", "c"), list(product(SHAPES, repeat=3)))
def test_leading_dimensions_broadcast(
    a: tuple[int, ...], b: tuple[int, ...], c: tuple[int, ...]
) -> None:
    joint = Joint(SIZES, 4).double()
    inputs = [randn(*s, n, seed=n) for s, n in zip((a, b, c), SIZES, strict=True)]
    full = torch.broadcast_shapes(a, b, c)
    expected = linear(joint)(torch.cat([x.expand(*full, x.shape[-1]) for x in inputs], -1))
    close(joint(*inputs), expected)
    close(joint(*inputs[:2], early=joint.early(inputs[2])), expected)


def test_the_bias_counts_once() -> None:
    joint = Joint(SIZES, 4).double()
    zeros = [torch.zeros(2, size, dtype=torch.float64) for size in SIZES]
    close(joint(zeros[0], early=joint.early(*zeros[1:])), joint.bias.expand(2, 4))


def test_parameters_are_counted_and_drawn_as_those_of_linear() -> None:
    joint, layer = Joint((150, 106), 40), nn.Linear(256, 40)
    assert sum(p.numel() for p in joint.parameters()) == sum(p.numel() for p in layer.parameters())
    largest = max(float(p.detach().abs().max()) for p in joint.parameters())
    assert 0.06 < largest <= 1 / 16, "uniform within 1 / sqrt(inputs)"


def test_missing_parts_are_refused() -> None:
    with pytest.raises(ValueError, match=r"parts of sizes \[4, 4\] got 1 of them"):
        Joint((4, 4), 2)(torch.zeros(3, 4))
