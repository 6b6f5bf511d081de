r"""Recurrent cells: how a memory takes in what happened.

    m_t = step(m_{t-1}, x_t),    h_t = read(m_t)

A cell has `initial`, `step` (one time step) and `run` or `scan` (a whole sequence whose inputs
are known in advance); they agree. A memory is one tensor: a vector, or a map with a place, and
`read` is the part of it that others see. Inputs come in parts, so that a part known early can be
multiplied early, and tensors may gain leading dimensions (`num_particles`): everything
broadcasts.
"""

import abc

from torch import Tensor, nn

from pyrovp.cells.start import Start
from pyrovp.checks import check_count
from pyrovp.sizes import Map, Size

__all__ = ["Cell", "Memory", "check_widths"]


class Memory(abc.ABC):
    """Describes a level's memory; the hierarchy builds its cell once all sizes are known.

    Attributes:
        size: D, or channels C of a map.
        resolution: Of the map; None: the memory is a vector.
        start: What the memory is before the first step.
    """

    size: int
    resolution: int | None = None
    start: Start

    @property
    def output(self) -> Size:
        """The size of what `Cell.read` gives."""
        return self.size if self.resolution is None else Map(self.size, self.resolution)

    @abc.abstractmethod
    def cell(self, *inputs: Size) -> "Cell":
        """The cell for inputs whose parts have these sizes.

        Raises:
            ValueError: If a part has another place than the memory.
        """


class Cell(nn.Module, abc.ABC):
    """A recurrent cell on inputs in parts.

    Law: `scan(m, inputs)` returns what `read` gives after each repeated `step`, `run` also the
    memory after the last one, and all treat leading dimensions as batch.

    Attributes:
        dims: Dimensions of the memory m.
    """

    dims: tuple[int, ...]

    def initial(self, batch: int, like: Tensor) -> Tensor:
        """An empty memory: zeros [B, *dims] of `like`'s kind."""
        return like.new_zeros(batch, *self.dims)

    @abc.abstractmethod
    def read(self, memory: Tensor) -> Tensor:
        """What others see of the memory, [..., *dims] -> [..., D] or [..., C, r, r]."""

    @abc.abstractmethod
    def step(self, memory: Tensor, *inputs: Tensor, early: Tensor | None = None) -> Tensor:
        """The memory after one step.

        Args:
            memory: So far, [..., *dims].
            inputs: The parts of the input, [..., I_i] or [..., C_i, r, r]; the last ones may be
                in `early` instead.
            early: What `early` made of the last parts.
        """

    @abc.abstractmethod
    def early(self, *inputs: Tensor) -> Tensor:
        """The share of the last parts of the input, ahead of time."""

    @abc.abstractmethod
    def run(
        self, memory: Tensor, *inputs: Tensor, reset: Tensor | None = None, reverse: bool = False
    ) -> tuple[Tensor, Tensor]:
        """What `read` gives after each step of known inputs, and the memory after the last step.

        Args:
            memory: Before the first step, [..., B, *dims].
            inputs: The parts of the input, [..., B, T, I_i] or [..., B, T, C_i, r, r].
            reset: [..., B, T], 1 where the memory starts again from zero before the step.
            reverse: Whether time runs backwards; outputs stand at the frames they belong to, and
                the last step is that of frame 0.

        Returns:
            Outputs [..., B, T, D] or [..., B, T, C, r, r], and the memory [..., B, *dims].
        """

    def scan(
        self, memory: Tensor, *inputs: Tensor, reset: Tensor | None = None, reverse: bool = False
    ) -> Tensor:
        """The outputs of `run`."""
        return self.run(memory, *inputs, reset=reset, reverse=reverse)[0]


def check_widths(kind: str, **widths: int | None) -> None:
    """Refuses widths that are no whole numbers from 1 on; None stands for what is not there.

    Raises:
        ValueError: If there is one.
    """
    for name, value in widths.items():
        if value is not None:
            check_count(f"{kind}'s {name}", value)
