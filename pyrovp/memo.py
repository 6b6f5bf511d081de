"""The memo: a transition that the guide has computed is not computed again by the model.

An ELBO runs the guide and then the model *replayed* against it, so the model's transitions are
called with the very tensor objects that the guide's were. Inside `memoised()`,
`memo(f)(*args)` looks its arguments up by identity and returns the earlier result; outside it
simply calls `f`. The graph is shared as well, so gradients are those of one call used twice.

The table lives for one evaluation of the bound. It holds on to its arguments, so that the
identity of a tensor that has been freed is never taken for that of a new one.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor

__all__ = ["memo", "memoised", "opened"]

R = TypeVar("R")

_table: ContextVar[dict[Any, tuple[Any, ...]] | None] = ContextVar("pyrovp_memo", default=None)


@contextmanager
def memoised(enabled: bool = True) -> Iterator[None]:
    """Opens a fresh table for one evaluation of guide and model.

    Args:
        enabled: False switches every memo inside off, an enclosing one too.
    """
    token = _table.set({} if enabled else None)
    try:
        yield
    finally:
        _table.reset(token)


def memo(function: Callable[..., R]) -> Callable[..., R]:
    """`function`, computed once per evaluation for the same argument objects.

    Tensors, and tensors in tuples, are compared by identity, anything else by value. A result
    without a graph (computed under `no_grad`) is not served where gradients are wanted.

    Args:
        function: A bound method, module or function without side effects.

    Example:
        >>> calls = []
        >>> x = torch.ones(())
        >>> with memoised():
        ...     once, twice = memo(calls.append)(x), memo(calls.append)(x)
        >>> len(calls)
        1
    """
    table = _table.get()
    return function if table is None else partial(_look_up, table, function)


def opened() -> dict[Any, tuple[Any, ...]] | None:
    """The table of the evaluation under way, for what keeps more in it than results.

    Whoever puts in a key made of identities keeps the objects alive in the value.
    """
    return _table.get()


def _look_up(
    table: dict[Any, tuple[Any, ...]], function: Callable[..., R], *args: Any, **kwargs: Any
) -> R:
    # Most arguments are tensors, and this is asked thousands of times a step.
    identities = [id(a) if type(a) is Tensor else _identity(a) for a in args]
    key: tuple[Any, ...] = (function, torch.is_grad_enabled(), *identities)
    if kwargs:
        key = (*key, *kwargs, *map(_identity, kwargs.values()))
    found = table.get(key)
    if found is None:
        found = table[key] = (function(*args, **kwargs), args, kwargs)
    return found[0]


def _identity(argument: Any) -> Any:
    if isinstance(argument, Tensor):
        return id(argument)
    if isinstance(argument, tuple):
        return tuple([id(a) if type(a) is Tensor else _identity(a) for a in argument])
    return argument
