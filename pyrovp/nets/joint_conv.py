r"""A convolution on a concatenation of maps, given in parts, some of them early.

    W * [a, b] + bias = W_a * a + W_b * b + bias

A part that is known early (evidence, a context that is held for many frames) is convolved ahead
of the time loop; parts that come together are concatenated, since one convolution is cheaper than
the sum of several wide results.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from pyrovp.nets.centre import CentreConv2d, same_conv2d

__all__ = ["JointConv2d"]


class JointConv2d(CentreConv2d):
    """`CentreConv2d(sum(channels), outputs, kernel)` on maps in parts.

    Args:
        channels: Of each part.
        outputs: Channels of the result.
        kernel: Side of the kernel in pixels, an odd number.
        bias: Whether it has one.

    Shapes:
        parts: [N, channels[i], r, r]
        returns: [N, outputs, r, r]

    Raises:
        ValueError: For an even kernel; in a call, if parts are missing.
    """

    def __init__(
        self, channels: Sequence[int], outputs: int, kernel: int = 3, bias: bool = True
    ) -> None:
        super().__init__(sum(channels), outputs, kernel, bias)
        self.channels = tuple(channels)

    def early(self, *parts: Tensor) -> Tensor:
        """The share of the last parts, with the bias, to be passed to `forward` as `early`."""
        width = sum(self.channels[len(self.channels) - len(parts) :])
        return same_conv2d(_joined(parts), self.weight[:, self.in_channels - width :], self.bias)

    def forward(self, *parts: Tensor, early: Tensor | None = None) -> Tensor:
        """The convolution; the last parts may be in `early` instead."""
        if early is None:
            if len(parts) != len(self.channels):
                raise ValueError(
                    f"a convolution on parts of {list(self.channels)} channels got {len(parts)} "
                    "of them; give all, or what `early` made of the last ones"
                )
            return same_conv2d(_joined(parts), self.weight, self.bias)
        if not parts:
            return early
        width = sum(self.channels[: len(parts)])
        return early + same_conv2d(_joined(parts), self.weight[:, :width])


def _joined(parts: Sequence[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(tuple(parts), 1)
