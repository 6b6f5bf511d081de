"""The floor runs the stock convolutions of the frame networks, all of them, both ways."""

from collections import Counter
from typing import Any

import pytest
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.floor import convolution_floor

__all__: list[str] = []


class Calls(TorchDispatchMode):
    """Counts the operators that are called."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        self.counts[func.overloadpacket.__name__] += 1
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("resolution", [16, 32])
def test_runs_every_convolution_forward_and_backward(resolution: int) -> None:
    run = convolution_floor(channels=3, resolution=resolution, width=0.125, batch=1, length=2)
    with Calls() as calls:
        run()
    layers = 2 * {16: 2, 32: 3}[resolution]
    assert calls.counts["convolution"] == layers
    assert calls.counts["convolution_backward"] == layers
    assert not any("relu" in name for name in calls.counts)
