r"""Convolutions over time: what is said of a frame from the frames around it.

    y^0 = x,  y^k = ELU(BN(W_k * y^{k-1})),  k = 1 ... K,      out = W * y^K + b

with kernels of three frames and zeros beyond both ends of the clip; a result sees K + 1 frames to
either side.
"""

import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["TemporalConvolutions"]


class TemporalConvolutions(nn.Module):
    """Convolutions along a sequence of vectors.

    Args:
        inputs: Size F of the vectors, and of the hidden layers.
        outputs: Size O of the results.
        hidden: K, the number of hidden layers.

    Shapes:
        x: [B, T, F]
        returns: [B, T, O]

    Raises:
        ValueError: For a size below 1, or a negative number of layers.
    """

    def __init__(self, inputs: int, outputs: int, hidden: int = 3) -> None:
        super().__init__()
        whole = all(isinstance(size, int) for size in (inputs, outputs, hidden))
        if not whole or min(inputs, outputs) < 1 or hidden < 0:
            raise ValueError(
                "convolutions over time need inputs and outputs of at least 1 and 0 or more "
                "hidden layers, whole numbers, got "
                f"inputs={inputs!r}, outputs={outputs!r}, hidden={hidden!r}"
            )
        self.convolutions = nn.ModuleList(
            nn.Conv1d(inputs, inputs, kernel_size=3, padding=1, bias=False) for _ in range(hidden)
        )
        self.norms = nn.ModuleList(nn.BatchNorm1d(inputs) for _ in range(hidden))
        self.output = nn.Conv1d(inputs, outputs, kernel_size=3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """The results at every frame."""
        y = x.transpose(1, 2)
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            y = F.elu(norm(convolution(y)))
        return self.output(y).transpose(1, 2)
