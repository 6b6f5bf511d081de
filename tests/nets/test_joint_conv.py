"""A joint convolution is `nn.Conv2d` on the concatenation, however its parts arrive."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from pyrovp.nets.joint_conv import JointConv2d
from tests.oracles.tiny import close, randn

CHANNELS = (3, 1, 2)


@pytest.mark.parametrize("known_early", [0, 1, 2, 3])
@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("r", [1, 4])
@pytest.mark.parametrize("bias", [True, False])
def test_equals_the_convolution_of_all(r: int, kernel: int, known_early: int, bias: bool) -> None:
    layer = JointConv2d(CHANNELS, 4, kernel, bias).double()
    parts: list[Tensor] = [randn(2, c, r, r, seed=c).requires_grad_() for c in CHANNELS]
    late = len(CHANNELS) - known_early
    early = layer.early(*parts[late:]) if known_early else None
    actual = layer(*parts[:late], early=early)
    expected = F.conv2d(torch.cat(parts, 1), layer.weight, layer.bias, padding=kernel // 2)
    close(actual, expected)
    leaves, weight = [*parts, *layer.parameters()], randn(*expected.shape, seed=7)
    for mine, theirs in zip(
        torch.autograd.grad((actual * weight).sum(), leaves),
        torch.autograd.grad((expected * weight).sum(), leaves),
        strict=True,
    ):
        close(mine, theirs)


def test_refuses_missing_parts() -> None:
    layer = JointConv2d(CHANNELS, 4)
    with pytest.raises(ValueError, match=r"\[3, 1, 2\] channels got 2 of them"):
        layer(torch.zeros(2, 3, 4, 4), torch.zeros(2, 1, 4, 4))
