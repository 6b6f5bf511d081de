"""The gated recurrent unit."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pyrovp.cells.cell import Memory, check_widths
from pyrovp.cells.start import Start, Zeros
from pyrovp.cells.vector import VectorCell, vector_sizes
from pyrovp.nets.gathered import linear
from pyrovp.sizes import Size

__all__ = ["GRU", "GRUCell"]


@dataclass(frozen=True)
class GRU(Memory):
    """A GRU, with an optional layer on its inputs.

    Args:
        size: D, the size of the memory.
        inputs: Width E of a layer `activation(W [inputs] + b)` before the GRU (CW-VAE's u);
            None: the inputs enter the GRU as they are.
        activation: Of that layer.
        start: What the memory is before the first step.

    Raises:
        ValueError: For a size or a width below 1.

    Example:
        >>> cell = GRU(size=8, inputs=16).cell(3, 2)  # its input comes in two parts
        >>> memory = cell.initial(batch=4, like=torch.zeros(1))
        >>> cell.step(memory, torch.ones(4, 3), torch.ones(4, 2)).shape
        torch.Size([4, 8])
    """

    size: int
    inputs: int | None = None
    activation: Callable[[Tensor], Tensor] = torch.relu
    start: Start = Zeros()

    def __post_init__(self) -> None:
        check_widths("a GRU", size=self.size, inputs=self.inputs)

    def cell(self, *inputs: Size) -> "GRUCell":
        """The cell for inputs whose parts have these sizes."""
        return GRUCell(self, vector_sizes("a GRU", inputs))


class GRUCell(VectorCell):
    r"""A GRU on inputs in parts.

        r = σ(W_ir x + b_ir + W_hr h + b_hr)        z = σ(W_iz x + b_iz + W_hz h + b_hz)
        n = tanh(W_in x + b_in + r (W_hn h + b_hn)) h' = (1 - z) n + z h

    Reference:
        Learning Phrase Representations using RNN Encoder-Decoder (Cho et al., 2014), with the
        reset gate after the product, as in `torch.nn.GRUCell`.

    Args:
        memory: Its description.
        sizes: Sizes of the input's parts.

    Shapes:
        memory: h, [..., D]
        inputs: [..., I_i]

    Example:
        >>> cell = GRUCell(GRU(size=8), sizes=(3,))
        >>> cell.scan(torch.zeros(4, 8), torch.zeros(4, 10, 3)).shape  # ten steps at once
        torch.Size([4, 10, 8])
    """

    def __init__(self, memory: GRU, sizes: Sequence[int]) -> None:
        super().__init__(sizes, memory.size, 3, memory.inputs, memory.activation)
        self.dims = (memory.size,)

    def read(self, memory: Tensor) -> Tensor:
        """The memory itself."""
        return memory

    def _at_once(self, inputs: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        # gru(input, h, weights, biases, layers, dropout, training, bidirectional, batch_first)
        outputs, last = torch.gru(
            inputs, memory.unsqueeze(0), self._weights(), True, 1, 0.0, self.training, False, True
        )
        return outputs, last.squeeze(0)

    def _update(self, inward: Tensor, memory: Tensor) -> Tensor:
        h = memory
        outward = linear(h, self.recurrent.weight, self.recurrent.bias)
        if _fuses(inward, h):
            return torch.ops.aten._thnn_fused_gru_cell(inward, outward, h)[0]
        size = self.size
        i_rz, i_n = inward.split((2 * size, size), -1)
        h_rz, h_n = outward.split((2 * size, size), -1)
        r, z = torch.sigmoid(i_rz + h_rz).chunk(2, -1)
        n = torch.tanh(torch.addcmul(i_n, r, h_n))
        # Under autocast the products are of lower precision than the memory, which lerp refuses.
        return torch.lerp(n.to(h.dtype), h, z.to(h.dtype))


def _fuses(gates: Tensor, memory: Tensor) -> bool:
    """Whether there is one kernel for what follows the products: `nn.GRUCell`'s on a GPU.

    That class takes the products itself, so that none could be taken early.
    """
    return (
        memory.device.type in ("cuda", "meta")
        and memory.dim() == gates.dim() == 2
        and memory.dtype == gates.dtype
    )
