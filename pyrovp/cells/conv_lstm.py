"""Convolutional LSTMs, plain and normed: memories that are maps."""

from dataclasses import dataclass
from functools import partial

from torch import nn

from pyrovp.cells.cell import Memory, check_widths
from pyrovp.cells.conv_lstm_cell import GROUPS, ConvLSTMCell
from pyrovp.cells.start import Start, Zeros
from pyrovp.nets.norm import groups
from pyrovp.sizes import Size

__all__ = ["ConvLSTM", "NormedConvLSTM"]


@dataclass(frozen=True)
class ConvLSTM(Memory):
    """A convolutional LSTM without norms: one convolution of [x, h] with one bias.

    Reference:
        Convolutional LSTM Network (Shi et al., 2015), without peepholes.

    Args:
        size: C, channels of the memory.
        resolution: Side of its maps in pixels.
        kernel: Side of the kernels in pixels, an odd number. At one pixel all taps of a kernel but
            the centre see padding only: with 1 the function is the same and the network smaller.
        start: What the memory is before the first step.

    Raises:
        ValueError: For a size or a resolution below 1, or an even kernel.

    Example:
        >>> from pyrovp.sizes import Map
        >>> ConvLSTM(size=8, resolution=4).output
        Map(channels=8, resolution=4)
        >>> ConvLSTM(size=8, resolution=4).cell(Map(3, 4)).dims  # h and c
        (16, 4, 4)
    """

    size: int
    resolution: int
    kernel: int = 3
    start: Start = Zeros()

    def __post_init__(self) -> None:
        _check(self)

    def cell(self, *inputs: Size) -> "ConvLSTMCell":
        """The cell for inputs whose parts have these sizes: maps of its resolution."""
        return ConvLSTMCell(inputs, self.size, self.resolution, self.kernel)


@dataclass(frozen=True)
class NormedConvLSTM(Memory):
    """A convolutional LSTM with group norms, of at most 16 groups, on its gates and memory.

    Reference:
        Improved Conditional VRNNs for Video Prediction (Castrejon, Ballas, Courville, 2019); the
        place of the norms is that of the authors' implementation.

    Args:
        size: C, channels of the memory.
        resolution: Side of its maps in pixels.
        kernel: Side of the kernels in pixels, an odd number; see `ConvLSTM`.
        inputs: Channels of a layer before the cell, a 1x1 convolution and a group norm (of one
            group at one pixel); None: the inputs enter the cell as they are.
        start: What the memory is before the first step.

    Raises:
        ValueError: For a size, a resolution or a width below 1, or an even kernel.

    Example:
        >>> import torch
        >>> from pyrovp.sizes import Map
        >>> cell = NormedConvLSTM(size=8, resolution=4, inputs=16).cell(Map(3, 4))
        >>> memory = cell.step(cell.initial(2, torch.zeros(1)), torch.ones(2, 3, 4, 4))
        >>> cell.read(memory).shape
        torch.Size([2, 8, 4, 4])
    """

    size: int
    resolution: int
    kernel: int = 3
    inputs: int | None = None
    start: Start = Zeros()

    def __post_init__(self) -> None:
        _check(self)
        check_widths("a ConvLSTM", inputs=self.inputs)

    def cell(self, *inputs: Size) -> "ConvLSTMCell":
        """The cell for inputs whose parts have these sizes: maps of its resolution."""
        norm = partial(_norm, self.resolution)
        return ConvLSTMCell(inputs, self.size, self.resolution, self.kernel, self.inputs, norm)


def _norm(resolution: int, channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(groups(channels, GROUPS, resolution), channels)


def _check(memory: ConvLSTM | NormedConvLSTM) -> None:
    check_widths("a ConvLSTM", size=memory.size, resolution=memory.resolution)
    if not isinstance(memory.kernel, int) or memory.kernel < 1 or memory.kernel % 2 == 0:
        raise ValueError(f"a ConvLSTM's kernel is 1, 3, 5, ... pixels, got {memory.kernel!r}")
