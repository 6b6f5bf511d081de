"""Tiny things for comparisons with the oracles: tensors, tolerances, networks for 2 x 2 frames."""

__all__ = ["close", "frame_nets", "randn"]

from collections.abc import Callable

import torch
from torch import Tensor

from tests.oracles.equations import fill, layer_shapes, linear


def close(actual: Tensor, expected: Tensor, rtol: float = 1e-10, atol: float = 1e-10) -> None:
    """The same float64 arithmetic in another order: at most a few hundred roundings."""
    torch.testing.assert_close(actual, expected, rtol=rtol, atol=atol)


def randn(*shape: int, seed: int = 0) -> Tensor:
    """Float64 standard normal numbers of their own seed."""
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def frame_nets(
    features: int, inputs: int
) -> tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]:
    """Tiny networks for frames of 1 x 2 x 2 pixels."""
    w = fill({"e": layer_shapes(4, features), "d": layer_shapes(inputs, 4)}, seed=9, scale=1.5)

    def encode(video: Tensor) -> Tensor:
        return torch.tanh(linear(w["e"], video.flatten(2)))

    def decode(states: Tensor) -> Tensor:
        return linear(w["d"], states).unflatten(-1, (1, 2, 2))

    return encode, decode
