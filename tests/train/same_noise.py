"""Noise that is the same for every sequence of a batch, however the batch is shared."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

__all__ = ["SameNoise"]


class SameNoise(TorchDispatchMode):
    """Every draw of a kind is one number in all its places, and another one at the next call."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def __torch_dispatch__(
        self,
        func: Any,
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        if torch.Tag.nondeterministic_seeded not in func.tags:
            return out
        self.calls += 1
        number = math.sin(self.calls)
        name = func.overloadpacket.__name__
        if name == "normal" and any(isinstance(arg, Tensor) for arg in args):
            return out.copy_(args[0] + args[1] * number)
        if name == "bernoulli":
            return out.copy_(args[0] > 0.5 + 0.4 * number)
        if name.startswith(("randn", "normal")):
            return out.fill_(number)
        if name.startswith(("rand", "uniform")):
            return out.fill_(0.5 + 0.4 * number)
        raise NotImplementedError(f"a draw that is not known here: {name}")
