"""A CUDA graph on a CPU: notes down the operations of a step, and does them again in place.

Like a graph it takes the memory that an operation works on as it was, computes nothing that counts
while it records, and lets nobody read a number meanwhile. Unlike one it keeps all memory apart.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

from pyrovp.train import captured

__all__ = ["Tape", "on_tape"]

READS = (
    torch.ops.aten._local_scalar_dense.default,
    torch.ops.aten.nonzero.default,
    torch.ops.aten.masked_select.default,
    torch.ops.aten.equal.default,
)


def _storage(value: Tensor) -> int:
    return value.untyped_storage().data_ptr()


def _aliases(values: Any) -> Any:
    return tree_map_only(Tensor, Tensor.detach, values)


class Tape(TorchDispatchMode):
    """The operations of a step, with the very tensors that they took and gave."""

    def __init__(self) -> None:
        super().__init__()
        self._operations: list[Callable[[], None]] = []
        self._kept: list[Any] = []  # so that no memory is used twice
        self._made: set[int] = set()
        self._before: list[tuple[Tensor, Tensor]] = []

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = dict(kwargs or {})
        if func in READS:
            raise RuntimeError(f"{func} is not permitted while a step is recorded")
        # A BatchNorm's schema does not say that its running statistics move.
        if func._schema.is_mutable or "batch_norm" in func.__name__:
            self._remember([*args, *kwargs.values()])
        # Aliases: the tensors themselves may be transposed in place later.
        theirs, named = _aliases(args), _aliases(kwargs)
        result = func(*args, **kwargs)
        returns = func._schema.returns
        fresh = not returns or returns[0].alias_info is None
        given = _aliases(tree_leaves(result))
        self._kept.append(result)
        if fresh:
            self._made |= {_storage(value) for value in given if isinstance(value, Tensor)}

        def again() -> None:
            new = tree_leaves(func(*theirs, **named))
            for old, value in zip(given, new, strict=True):
                if fresh and isinstance(value, Tensor):
                    old.copy_(value)

        writes = func._schema.is_mutable and torch.Tag.inplace_view not in func.tags
        if fresh or writes:  # what remains is a view of memory that is kept
            self._operations.append(again)
        return result

    def _remember(self, values: Sequence[Any]) -> None:
        for value in tree_leaves(values):
            if isinstance(value, Tensor) and _storage(value) not in self._made:
                self._before.append((value.detach(), value.detach().clone()))

    def undo(self) -> None:
        """What was there before the recording is as it was."""
        for value, before in reversed(self._before):
            value.copy_(before)

    def __len__(self) -> int:
        return len(self._operations)

    @torch.no_grad()
    def replay(self) -> None:
        """Does it all again."""
        for operation in self._operations:
            operation()


@contextmanager
def _record(tape: Tape, **how: Any) -> Iterator[None]:
    try:
        with tape:
            yield
    finally:
        tape.undo()


class _Stream:
    def __init__(self, device: torch.device) -> None:
        self.device = device

    def wait_stream(self, other: "_Stream") -> None:
        """There is only one."""


def on_tape(patch: pytest.MonkeyPatch) -> None:
    """Steps on the CPU are captured, on tapes."""
    patch.setattr(captured, "_obstacle", lambda update: None)
    patch.setattr(captured, "_renew_generator", lambda device: None)
    for name, stand_in in {
        "Stream": _Stream,
        "current_stream": _Stream,
        "stream": lambda stream: nullcontext(),
        "device": lambda device: nullcontext(),
        "CUDAGraph": Tape,
        "graph": _record,
        "get_sync_debug_mode": lambda: 0,
        "set_sync_debug_mode": lambda mode: None,
    }.items():
        patch.setattr(torch.cuda, name, stand_in)
