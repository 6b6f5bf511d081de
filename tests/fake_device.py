"""A GPU that is not there: tensors with a device and a shape but without numbers.

In torch's `FakeTensorMode` an operation on tensors of two devices is an error, and so is whatever
would have to know a number: a host read, a boolean index, a shape that hangs on data. Copies
between devices are let pass by it; they are refused here.

The device is torch's "meta": autograd, and torch's sequence kernels, need a driver for "cuda".
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

__all__ = ["fake_device", "moved", "shapes_of_fused_gru"]

META = torch.device("meta")

shapes_of_fused_gru = pytest.mark.skipif(
    not torch._C._dispatch_has_kernel_for_dispatch_key("aten::_thnn_fused_gru_cell", "Meta"),
    reason="this torch (2.11 is one) cannot give the shapes of the GRU kernel without a GPU",
)
"""For tests of what a GPU would do; on one the kernel is there in every version."""


class _NoCopies(TorchDispatchMode):
    """Refuses to copy from one device to another."""

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if func in (torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default):
            devices = {value.device for value in (*args, result) if isinstance(value, Tensor)}
            if len(devices) > 1:
                raise RuntimeError(f"{func} copies between devices")
        return result


@contextmanager
def fake_device(patch: pytest.MonkeyPatch) -> Iterator[torch.device]:
    """A device on which nothing can be read or indexed by data."""
    # Which devices have autocast is a table that lacks this one.
    patch.setattr(torch, "is_autocast_enabled", lambda device="cpu": False)
    with FakeTensorMode(), _NoCopies():
        yield META


def moved(module: nn.Module, device: torch.device) -> nn.Module:
    """The module with its parameters and buffers on a fake device; to be called inside it.

    What is a tensor and neither of them stays where it was, as with `module.to`.
    """
    made: dict[int, Any] = {}
    for part in module.modules():
        for table in (part._parameters, part._buffers):
            for name, value in table.items():
                if value is not None and id(value) not in made:
                    made[id(value)] = value, _like(value, device)
                table[name] = None if value is None else made[id(value)][1]
    return module


def _like(value: Tensor, device: torch.device) -> Tensor:
    fake = torch.empty_strided(value.shape, value.stride(), dtype=value.dtype, device=device)
    return nn.Parameter(fake, value.requires_grad) if isinstance(value, nn.Parameter) else fake
