r"""A linear layer on a concatenation, given in parts.

    W [a, b, ...] + bias = W_a a + W_b b + ... + bias

Written this way a part that is known early (evidence, a context that is held for many frames)
is multiplied once, ahead of the time loop, and parts may have different leading dimensions.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from pyrovp.nets.gathered import linear

__all__ = ["Joint"]


class Joint(nn.Module):
    """`nn.Linear(sum(sizes), outputs)` on parts that are never concatenated.

    Initialised like that layer and with as many parameters.

    Args:
        sizes: Features of each part.
        outputs: Features of the result.

    Shapes:
        parts: [..., sizes[i]], leading dimensions broadcast
        returns: [..., outputs]

    Example:
        >>> layer = Joint([20, 1024], 200)
        >>> early = layer.early(torch.zeros(8, 100, 1024))    # all ticks at once
        >>> layer(torch.zeros(8, 20), early=early[:, 0]).shape
        torch.Size([8, 200])
    """

    def __init__(self, sizes: Sequence[int], outputs: int) -> None:
        super().__init__()
        self.sizes = tuple(sizes)
        bound = 1 / math.sqrt(sum(sizes))
        self.names = tuple(f"weight_{i}" for i in range(len(self.sizes)))
        for name, size in zip(self.names, self.sizes, strict=True):
            weight = torch.empty(outputs, size).uniform_(-bound, bound)
            self.register_parameter(name, nn.Parameter(weight))
        self.bias = nn.Parameter(torch.empty(outputs).uniform_(-bound, bound))

    @property
    def weights(self) -> list[Tensor]:
        """The parts' weights [outputs, sizes[i]]."""
        return [getattr(self, name) for name in self.names]

    def early(self, *parts: Tensor) -> Tensor:
        """The share of the last parts, with the bias, to be passed to `forward` as `early`."""
        first = len(self.sizes) - len(parts)
        return self._sum(None, parts, self.weights[first:])

    def forward(self, *parts: Tensor, early: Tensor | None = None) -> Tensor:
        """The layer's output.

        Args:
            parts: The first parts, all of them unless the last ones are in `early`.
            early: What `early` made of the last parts.

        Raises:
            ValueError: If parts are missing and there is no `early`.
        """
        if early is None and len(parts) != len(self.sizes):
            raise ValueError(
                f"a layer on parts of sizes {list(self.sizes)} got {len(parts)} of them; a "
                "posterior that shares the prior's trunk needs a wiring that shows both the same"
            )
        return self._sum(early, parts, self.weights)

    def _sum(self, total: Tensor | None, parts: Sequence[Tensor], weights: Any) -> Tensor:
        for value, weight in zip(parts, weights, strict=False):
            if total is None:
                total = linear(value, weight, self.bias)
            elif value.dim() == 2 and total.dim() == 2 and len(value) == len(total):
                total = linear(value, weight, total)
            else:
                total = total + linear(value, weight)
        assert total is not None
        return total
