r"""Values that only a bound reads, computed when it reads them, for all ticks at once.

Under replay a model's prior is not sampled from: its parameters enter the KL and nothing else.
So a prior may hold, instead of a tensor, the network and the inputs that would give it. Whoever
needs one tick's value forces it; a bound stacks the ticks and calls the network once.
"""

import abc
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Size, Tensor

__all__ = ["Deferred", "Lazy", "Row", "Table", "force", "stack", "stack_frames"]


class Lazy(abc.ABC):
    """A tensor to be. Law: `stack_all(values)` equals `torch.stack` of the forced values."""

    @property
    @abc.abstractmethod
    def shape(self) -> Size:
        """The shape that the value will have."""

    @property
    @abc.abstractmethod
    def pending(self) -> bool:
        """Whether the value has not been computed."""

    @abc.abstractmethod
    def value(self) -> Tensor:
        """The value, computed once."""

    @classmethod
    @abc.abstractmethod
    def stack_all(cls, values: Sequence[Any]) -> Tensor | None:
        """All values stacked in front, in one computation; None where that is not possible."""


class Deferred(Lazy):
    """`function(*inputs)`, later.

    Args:
        function: A network that treats leading dimensions as batch.
        inputs: Tensors or tuples of tensors.
        shape: Shape of the result.
        event_dim: How many of its dimensions are not batch.
        events: The same of each input, in tuples like theirs; None: all are vectors.
    """

    def __init__(
        self,
        function: Callable[..., Tensor],
        inputs: tuple[Any, ...],
        shape: Sequence[int],
        event_dim: int = 1,
        events: tuple[Any, ...] | None = None,
    ) -> None:
        self.function = function
        self.inputs = inputs
        self.event_dim = event_dim
        self.events = events
        self._shape = Size(shape)
        self._value: Tensor | None = None
        # Who forces it first may have gradients off (a sampler does); the value has its graph.
        self._graph = torch.is_grad_enabled()

    @property
    def shape(self) -> Size:
        """The shape that the value will have."""
        return self._shape

    @property
    def pending(self) -> bool:
        """Whether the value has not been computed."""
        return self._value is None

    def value(self) -> Tensor:
        """The value, computed once."""
        if self._value is None:
            with torch.set_grad_enabled(self._graph):
                self._value = self.function(*self.inputs)
        return self._value

    @classmethod
    def stack_all(cls, values: "Sequence[Deferred]") -> Tensor | None:
        """One call of the function on the stacked inputs."""
        if any(value.function != values[0].function for value in values):
            return None
        inputs = [value.inputs for value in values]
        leading = max(len(value.shape) - value.event_dim for value in values)
        return values[0].function(*_stack_tree(inputs, leading, values[0].events))


class Table:
    """A value for every tick, computed for all of them at once.

    Args:
        value: The ticks' values along `dim`, or how to compute them.
        dim: The dimension of time, counted from the end.
    """

    def __init__(self, value: "Tensor | Deferred", dim: int) -> None:
        self.whole = value
        self.dim = dim

    def __len__(self) -> int:
        return self.whole.shape[self.dim]

    def rows(self) -> "list[Row]":
        """The ticks one by one."""
        return [Row(self, i) for i in range(len(self))]


class Row(Lazy):
    """One tick of a table.

    Args:
        table: The ticks.
        i: Which one.
    """

    def __init__(self, table: Table, i: int) -> None:
        self.table = table
        self.i = i

    @property
    def shape(self) -> Size:
        """The shape without time."""
        shape = list(self.table.whole.shape)
        del shape[self.table.dim]
        return Size(shape)

    @property
    def pending(self) -> bool:
        """Always: a row is a view."""
        return True

    def value(self) -> Tensor:
        """The row."""
        return force(self.table.whole).select(self.table.dim, self.i)

    @classmethod
    def stack_all(cls, values: "Sequence[Row]") -> Tensor | None:
        """The table itself, where the rows are all of it in order."""
        table = values[0].table
        whole = len(values) == len(table) and all(
            value.table is table and value.i == i for i, value in enumerate(values)
        )
        return force(table.whole).movedim(table.dim, 0) if whole else None


def force(value: Tensor | Lazy) -> Tensor:
    """The tensor itself, [...]."""
    return value.value() if isinstance(value, Lazy) else value


def stack(values: Sequence[Tensor | Lazy]) -> Tensor:
    """`torch.stack` of N tensors [...], or of values to be: [N, ...]."""
    first = values[0]
    if isinstance(first, Lazy) and all(
        isinstance(v, Lazy) and type(v) is type(first) and v.pending for v in values
    ):
        stacked = first.stack_all(values)
        if stacked is not None:
            return stacked
    return torch.stack([force(value) for value in values])


def stack_frames(values: Sequence[Tensor], event_dim: int = 1) -> Tensor:
    """Values [..., B, D] of consecutive frames as [..., B, T, D]; maps [..., B, T, C, r, r].

    Those that have not yet met a drawn state may lack the particles' dimension. Sequences of maps
    are stored time-major and channels last.
    """
    if any(value.shape != values[0].shape for value in values):
        values = torch.broadcast_tensors(*values)
    if event_dim == 1:
        return torch.stack(tuple(values), -2)
    pixels = torch.stack([value.movedim(-3, -1) for value in values])  # [T, ..., B, r, r, C]
    return pixels.movedim(-1, -3).movedim(0, -1 - event_dim)


def _stack_tree(column: Sequence[Any], leading: int, events: Any) -> Any:
    """Inputs [..., D] stacked to [N, ..., D], missing leading dimensions made 1 behind N."""
    first = column[0]
    if isinstance(first, tuple):
        parts, each = zip(*column, strict=True), events or [None] * len(first)
        return tuple(_stack_tree(p, leading, e) for p, e in zip(parts, each, strict=True))
    if all(value is first for value in column):
        stacked = first.expand(len(column), *first.shape)
    else:
        if any(part.shape != first.shape for part in column):
            column = torch.broadcast_tensors(*column)
        stacked = torch.stack(tuple(column))
    missing = 1 + leading + (1 if events is None else events) - stacked.dim()
    return stacked.unflatten(0, (-1, *[1] * missing)) if missing else stacked
