"""The convolutions of a piece of work, alone: what it costs beyond them is the rest.

A run of the work is watched, and every call of a convolution, forward and backward, is written
down: shapes, strides, kinds of number, padding. The same calls are then made again on random
tensors, one after the other, with nothing between them. Unlike the stock layers of
`benchmarks.floor`, they are those that the work makes, in whatever form it makes them (matrix
products in place of convolutions are not among them), so this holds for every system.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

__all__ = ["convolutions_of"]

_CONVOLUTIONS = (
    torch.ops.aten.convolution.default,
    torch.ops.aten.convolution_backward.default,
)


def convolutions_of(work: Callable[[], Any]) -> Callable[[], None]:
    """A function that makes the convolutions of `work` again, in their order.

    Args:
        work: Is run once, to be watched.

    Returns:
        The function. Tensors of one form share their memory, so it holds little.
    """
    recorder: AbstractContextManager[_Recorder] = _Recorder()
    with recorder as seen:
        work()
    calls = seen.calls

    def run() -> None:
        for convolution, arguments in calls:
            convolution(*arguments)

    return run


class _Recorder(TorchDispatchMode):
    """Writes down convolutions, with random tensors in the place of theirs."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, tuple[Any, ...]]] = []
        self.forms: dict[tuple[Any, ...], Tensor] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func in _CONVOLUTIONS:
            self.calls.append((func, tuple(self._stand_in(value) for value in args)))
        return func(*args, **(kwargs or {}))

    def _stand_in(self, value: Any) -> Any:
        if not isinstance(value, Tensor):
            return value
        form = (tuple(value.shape), value.stride(), value.dtype, value.device)
        if form not in self.forms:
            # Strides of 0, as an expanded gradient has them, are kept: they are cheaper to read.
            base = torch.empty_strided(
                value.shape, value.stride(), dtype=value.dtype, device=value.device
            )
            base.as_strided(
                (base.untyped_storage().size() // base.element_size(),), (1,)
            ).normal_()
            self.forms[form] = base
        return self.forms[form]
