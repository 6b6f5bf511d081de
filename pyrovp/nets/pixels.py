r"""Pixels in [0, 1] for networks that were made for pixels in [-1, 1].

    into an encoder    2 x - 1
    out of a decoder   (1 + tanh y) / 2 = σ(2 y)

A squared error here is a quarter of theirs, so their σ is ours twice over.
"""

import torch
from torch import Tensor, nn

__all__ = ["SignedPixels", "UnitTanh"]


class SignedPixels(nn.Module):
    """Pixels in [0, 1] as an encoder for [-1, 1] wants them: 2 x - 1.

    Shapes:
        x: any
        returns: the same

    Example:
        >>> SignedPixels()(torch.tensor([0.0, 0.5, 1.0]))
        tensor([-1.,  0.,  1.])
    """

    def forward(self, x: Tensor) -> Tensor:
        """The pixels in [-1, 1]."""
        return 2 * x - 1


class UnitTanh(nn.Module):
    """A decoder's last activation where tanh is to give pixels in [0, 1]: (1 + tanh y) / 2.

    Shapes:
        y: any
        returns: the same

    Example:
        >>> UnitTanh()(torch.tensor([-torch.inf, 0.0, torch.inf]))
        tensor([0.0000, 0.5000, 1.0000])
    """

    def forward(self, y: Tensor) -> Tensor:
        """The pixels in [0, 1]."""
        return torch.sigmoid(2 * y)
