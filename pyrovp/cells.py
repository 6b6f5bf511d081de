r"""Recurrent cells: how a memory h takes in what happened.

A cell has `initial`, `step` (one time step) and `scan` (a whole sequence whose inputs are known
in advance); the two agree. Inputs come in parts that are never concatenated, so that a part
known early can be multiplied early, and tensors may gain leading dimensions (`num_particles`):
everything broadcasts.
"""

import abc
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pyrovp.nets.joint import Joint

__all__ = ["GRU", "Cell", "GRUCell", "Memory"]


class Memory(abc.ABC):
    """Describes a level's memory; the hierarchy builds its cell once all sizes are known."""

    size: int

    @abc.abstractmethod
    def cell(self, *inputs: int) -> "Cell":
        """The cell for inputs whose parts have these sizes."""


class Cell(nn.Module, abc.ABC):
    """A recurrent cell on inputs in parts.

    Law: `scan(h, inputs)` returns what repeated `step` returns, and both treat leading dimensions
    as batch.
    """

    size: int

    def initial(self, batch: int, like: Tensor) -> Tensor:
        """The memory before the first step: zeros [B, D] of `like`'s kind."""
        return like.new_zeros(batch, self.size)

    @abc.abstractmethod
    def step(self, h: Tensor, *inputs: Tensor, early: Tensor | None = None) -> Tensor:
        """The memory after one step.

        Args:
            h: Memory so far, [..., D].
            inputs: The parts of the input, [..., I_i]; the last ones may be in `early` instead.
            early: What `early` made of the last parts.
        """

    @abc.abstractmethod
    def early(self, *inputs: Tensor) -> Tensor:
        """The share of the last parts of the input, ahead of time."""

    @abc.abstractmethod
    def scan(
        self, h: Tensor, *inputs: Tensor, reset: Tensor | None = None, reverse: bool = False
    ) -> Tensor:
        """The memories after each step of inputs that are known in advance, [..., B, T, D].

        Args:
            h: Memory before the first step, [..., B, D].
            inputs: The parts of the input, [..., B, T, I_i].
            reset: [..., B, T], 1 where the memory starts again from zero before the step.
            reverse: Whether time runs backwards; results stand at the frames they belong to.
        """


@dataclass(frozen=True)
class GRU(Memory):
    """A GRU, with an optional layer on its inputs.

    Args:
        size: D, the size of the memory.
        inputs: Width E of a layer `activation(W [inputs] + b)` before the GRU (CW-VAE's u);
            None: the inputs enter the GRU as they are.
        activation: Of that layer.
    """

    size: int
    inputs: int | None = None
    activation: Callable[[Tensor], Tensor] = torch.relu

    def __post_init__(self) -> None:
        for name in ("size", "inputs"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"a GRU's {name} is a width of at least 1, got {value}")

    def cell(self, *inputs: int) -> "GRUCell":
        """The cell for inputs whose parts have these sizes."""
        return GRUCell(self, inputs)


class GRUCell(Cell):
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
        h: [..., D]
        inputs: [..., I_i]
    """

    def __init__(self, memory: GRU, sizes: Sequence[int]) -> None:
        super().__init__()
        self.size = memory.size
        self.activation = memory.activation
        width = memory.inputs
        self.layer = Joint(tuple(sizes), width) if width else None
        self.gates = Joint((width,) if width else tuple(sizes), 3 * memory.size)
        self.recurrent = nn.Linear(memory.size, 3 * memory.size)
        bound = memory.size**-0.5
        for parameter in (*self.gates.parameters(), *self.recurrent.parameters()):
            nn.init.uniform_(parameter, -bound, bound)

    def early(self, *inputs: Tensor) -> Tensor:
        """The share of the last parts of the input, ahead of time."""
        return (self.layer or self.gates).early(*inputs)

    def step(self, h: Tensor, *inputs: Tensor, early: Tensor | None = None) -> Tensor:
        """The memory after one step; see `Cell.step`."""
        return self._update(self._inward(inputs, early), h)

    def scan(
        self, h: Tensor, *inputs: Tensor, reset: Tensor | None = None, reverse: bool = False
    ) -> Tensor:
        """The memories after each step; the inputs' products are taken for all frames at once."""
        plain = h.dim() == 2 and all(part.dim() == 3 for part in inputs)
        if reset is None and not reverse and plain:
            return self._scan_at_once(h, inputs)
        steps = list(enumerate(self._inward(inputs, None).unbind(-2)))
        keep = None if reset is None else (1 - reset).unsqueeze(-1).unbind(-2)
        memories = [h] * len(steps)
        for t, inward in reversed(steps) if reverse else steps:
            h = self._update(inward, h if keep is None else h * keep[t])
            memories[t] = h
        return torch.stack(memories, -2)

    def _scan_at_once(self, h: Tensor, inputs: Sequence[Tensor]) -> Tensor:
        """torch's own sequence kernel, which wants [B, T, I] and the inputs in one part."""
        if self.layer is not None:
            inputs = (self.activation(self.layer(*inputs)),)
        weights = (
            torch.cat(self.gates.weights, 1),
            self.recurrent.weight,
            self.gates.bias,
            self.recurrent.bias,
        )
        joined = inputs[0] if len(inputs) == 1 else torch.cat(tuple(inputs), -1)
        # gru(input, h, weights, biases, layers, dropout, training, bidirectional, batch_first)
        memories, _ = torch.gru(
            joined, h.unsqueeze(0), weights, True, 1, 0.0, self.training, False, True
        )
        return memories

    def _inward(self, inputs: Sequence[Tensor], early: Tensor | None) -> Tensor:
        if self.layer is None:
            return self.gates(*inputs, early=early)
        return self.gates(self.activation(self.layer(*inputs, early=early)))

    def _update(self, inward: Tensor, h: Tensor) -> Tensor:
        outward = self.recurrent(h)
        size = self.size
        i_rz, i_n = inward.split((2 * size, size), -1)
        h_rz, h_n = outward.split((2 * size, size), -1)
        r, z = torch.sigmoid(i_rz + h_rz).chunk(2, -1)
        n = torch.tanh(torch.addcmul(i_n, r, h_n))
        # Under autocast the products are of lower precision than the memory, which lerp refuses.
        return torch.lerp(n.to(h.dtype), h, z.to(h.dtype))
