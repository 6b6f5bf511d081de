"""Pixels in [0, 1] and in [-1, 1]: the two maps are each other's inverse."""

import torch

from pyrovp.nets import SignedPixels, UnitTanh
from tests.oracles.tiny import close, randn

__all__: list[str] = []


def test_signed_pixels_span_the_range() -> None:
    x = torch.tensor([0.0, 0.25, 0.5, 1.0], dtype=torch.float64)
    assert SignedPixels()(x).tolist() == [-1.0, -0.5, 0.0, 1.0]


def test_unit_tanh_is_a_tanh_of_the_other_range() -> None:
    y = (5 * randn(4, 3)).requires_grad_()
    found, expected = UnitTanh()(y), (1 + y.tanh()) / 2
    close(found, expected)
    close(SignedPixels()(found), y.tanh())
    (gradient,), (wanted,) = (torch.autograd.grad(x.sum(), y) for x in (found, expected))
    close(gradient, wanted)
