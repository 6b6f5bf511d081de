r"""What recurrent cells on vectors share: inputs in parts, time loops, and torch's own kernels.

    u = activation(W [x_1, x_2, ...] + b)       or, without such a layer, [x_1, x_2, ...]
    m_t = update(V u_t + v, m_{t-1})

Everything before `update` is known in advance for a known sequence and computed for all frames at
once; a whole clip without resets goes to torch's sequence kernel.
"""

import abc
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from pyrovp.cells.cell import Cell
from pyrovp.nets.joint import Joint
from pyrovp.sizes import Size

__all__ = ["VectorCell", "draw_uniform", "vector_sizes"]


class VectorCell(Cell, abc.ABC):
    """A cell on vectors, with an optional layer on its inputs.

    Args:
        sizes: Sizes of the input's parts.
        size: D, the size of the memory that others see.
        gates: Number of gates, each of size D.
        inputs: Width of the layer on the inputs; None: there is none.
        activation: Of that layer.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        size: int,
        gates: int,
        inputs: int | None,
        activation: Callable[[Tensor], Tensor],
    ) -> None:
        super().__init__()
        self.size = size
        self.activation = activation
        self.layer = Joint(tuple(sizes), inputs) if inputs else None
        self.gates = Joint((inputs,) if inputs else tuple(sizes), gates * size)
        self.recurrent = nn.Linear(size, gates * size)
        draw_uniform(size, self.gates, self.recurrent)

    @abc.abstractmethod
    def _update(self, inward: Tensor, memory: Tensor) -> Tensor:
        """The memory [..., *dims] after a step whose gates get the share [..., gates D] from u."""

    @abc.abstractmethod
    def _at_once(self, inputs: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        """`run` of inputs [B, T, I] by torch's sequence kernel."""

    def early(self, *inputs: Tensor) -> Tensor:
        """The share of the last parts of the input, ahead of time."""
        return (self.layer or self.gates).early(*inputs)

    def step(self, memory: Tensor, *inputs: Tensor, early: Tensor | None = None) -> Tensor:
        """The memory after one step; see `Cell.step`."""
        return self._update(self._inward(inputs, early), memory)

    def run(
        self, memory: Tensor, *inputs: Tensor, reset: Tensor | None = None, reverse: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Outputs and the last memory; the inputs' products are taken for all frames at once."""
        plain = memory.dim() == 2 and all(part.dim() == 3 for part in inputs)
        if reset is None and not reverse and plain:
            if self.layer is not None:
                inputs = (self.activation(self.layer(*inputs)),)
            joined = inputs[0] if len(inputs) == 1 else torch.cat(inputs, -1)
            return self._at_once(joined, memory)
        steps = list(enumerate(self._inward(inputs, None).unbind(-2)))
        keep = None if reset is None else (1 - reset).unsqueeze(-1).unbind(-2)
        outputs = [memory] * len(steps)
        for t, inward in reversed(steps) if reverse else steps:
            memory = self._update(inward, memory if keep is None else memory * keep[t])
            outputs[t] = self.read(memory)
        return torch.stack(outputs, -2), memory

    def _inward(self, inputs: Sequence[Tensor], early: Tensor | None) -> Tensor:
        if self.layer is None:
            return self.gates(*inputs, early=early)
        return self.gates(self.activation(self.layer(*inputs, early=early)))

    def _weights(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Of the gates, as torch's kernels want them: inward, recurrent, and their biases."""
        weights = self.gates.weights
        inward = weights[0] if len(weights) == 1 else torch.cat(weights, 1)
        return inward, self.recurrent.weight, self.gates.bias, self.recurrent.bias


def draw_uniform(size: int, *layers: nn.Module) -> None:
    """Draws all parameters within 1 / √size, as torch's recurrent cells do."""
    for layer in layers:
        for parameter in layer.parameters():
            nn.init.uniform_(parameter, -(size**-0.5), size**-0.5)


def vector_sizes(kind: str, inputs: Sequence[Size]) -> tuple[int, ...]:
    """The sizes, where all are vectors'.

    Raises:
        ValueError: If there is a map among them, or nothing.
    """
    if not inputs or not all(isinstance(size, int) for size in inputs):
        raise ValueError(
            f"{kind} takes vectors, got inputs of sizes {list(inputs)}; for maps there are "
            "ConvLSTM and NormedConvLSTM"
        )
    return tuple(size for size in inputs if isinstance(size, int))
