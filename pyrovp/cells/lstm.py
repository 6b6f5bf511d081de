"""The long short-term memory, in one or several layers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pyrovp.cells.cell import Memory, check_widths
from pyrovp.cells.start import Start, Zeros
from pyrovp.cells.vector import VectorCell, draw_uniform, vector_sizes
from pyrovp.nets.gathered import linear
from pyrovp.sizes import Size

__all__ = ["LSTM", "LSTMCell", "identity"]


def identity(x: Tensor) -> Tensor:
    """x: the activation of a linear layer."""
    return x


@dataclass(frozen=True)
class LSTM(Memory):
    """An LSTM, with an optional layer on its inputs.

    Args:
        size: D, the size of every layer's output.
        inputs: Width E of a layer `activation(W [inputs] + b)` before the LSTM; None: the inputs
            enter the LSTM as they are.
        activation: Of that layer; linear unless given.
        layers: Number of LSTMs on top of one another; others see the last one's output.
        start: What the memory is before the first step.

    Raises:
        ValueError: For a size, a width or a number of layers below 1.

    Example:
        >>> cell = LSTM(size=8, layers=2).cell(3)
        >>> memory = cell.step(cell.initial(batch=4, like=torch.zeros(1)), torch.ones(4, 3))
        >>> memory.shape, cell.read(memory).shape  # h and c of both layers; the last h
        (torch.Size([4, 32]), torch.Size([4, 8]))
    """

    size: int
    inputs: int | None = None
    activation: Callable[[Tensor], Tensor] = identity
    layers: int = 1
    start: Start = Zeros()

    def __post_init__(self) -> None:
        check_widths("an LSTM", size=self.size, inputs=self.inputs, layers=self.layers)

    def cell(self, *inputs: Size) -> "LSTMCell":
        """The cell for inputs whose parts have these sizes."""
        return LSTMCell(self, vector_sizes("an LSTM", inputs))


class LSTMCell(VectorCell):
    r"""LSTMs on top of one another, on inputs in parts.

        i, f, o = σ(W_· x + b_· + U_· h + d_·)      g = tanh(W_g x + b_g + U_g h + d_g)
        c' = f c + i g                              h' = o tanh(c')

    The two biases are torch's, whose parameters these are.

    Reference:
        Long Short-Term Memory (Hochreiter, Schmidhuber, 1997), with the forget gate of Gers,
        Schmidhuber, Cummins, 2000, as in `torch.nn.LSTMCell`.

    Args:
        memory: Its description.
        sizes: Sizes of the input's parts.

    Shapes:
        memory: (h, c) of N layers, [..., 2 N D]: all h, then all c
        inputs: [..., I_i]

    Example:
        >>> cell = LSTMCell(LSTM(size=8), sizes=(3,))
        >>> cell.scan(torch.zeros(4, 16), torch.zeros(4, 10, 3)).shape  # ten steps at once
        torch.Size([4, 10, 8])
    """

    def __init__(self, memory: LSTM, sizes: Sequence[int]) -> None:
        super().__init__(sizes, memory.size, 4, memory.inputs, memory.activation)
        size, above = memory.size, range(memory.layers - 1)
        self.layers = memory.layers
        self.dims = (2 * memory.layers * size,)
        self.inward_above = nn.ModuleList(nn.Linear(size, 4 * size) for _ in above)
        self.recurrent_above = nn.ModuleList(nn.Linear(size, 4 * size) for _ in above)
        draw_uniform(size, self.inward_above, self.recurrent_above)

    def read(self, memory: Tensor) -> Tensor:
        """The last layer's h, [..., D]."""
        return memory.narrow(-1, (self.layers - 1) * self.size, self.size)

    def _at_once(self, inputs: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        weights: list[Tensor] = list(self._weights())
        for inward, recurrent in zip(self.inward_above, self.recurrent_above, strict=True):
            for pair in zip(inward.parameters(), recurrent.parameters(), strict=True):
                weights += pair  # both weights, then both biases
        h, c = memory.unflatten(-1, (2, self.layers, self.size)).permute(1, 2, 0, 3).unbind()
        # lstm(input, (h, c), weights, biases, layers, dropout, training, bidirectional,
        # batch_first)
        outputs, h, c = torch.lstm(
            inputs,
            (h.contiguous(), c.contiguous()),
            weights,
            True,
            self.layers,
            0.0,
            self.training,
            False,
            True,
        )
        return outputs, torch.stack((h, c)).permute(2, 0, 1, 3).flatten(1)

    def _update(self, inward: Tensor, memory: Tensor) -> Tensor:
        parts = memory.split(self.size, -1)
        h, c = list(parts[: self.layers]), list(parts[self.layers :])
        for n, recurrent in enumerate((self.recurrent, *self.recurrent_above)):
            if n:
                above = self.inward_above[n - 1]
                assert isinstance(above, nn.Linear)
                inward = linear(h[n - 1], above.weight, above.bias)
            outward = linear(h[n], recurrent.weight, recurrent.bias)
            h[n], c[n] = _layer(inward + outward, c[n])
        return torch.cat((*h, *c), -1)


def _layer(gates: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """h' and c' from the sums of the gates, [..., 4D] in torch's order i, f, g, o."""
    size = c.shape[-1]
    i_f, g, o = gates.split((2 * size, size, size), -1)
    i, f = torch.sigmoid(i_f).chunk(2, -1)
    c = torch.addcmul(f * c, i, torch.tanh(g))
    return torch.sigmoid(o) * torch.tanh(c), c
