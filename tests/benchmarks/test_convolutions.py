"""The convolutions of a work are all made again, in their forms, and nothing else is."""

from collections import Counter
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.convolutions import convolutions_of

__all__: list[str] = []


class Calls(TorchDispatchMode):
    """Writes down every operator with the shapes and strides of its tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, ...]] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        forms = [(tuple(x.shape), x.stride(), x.dtype) for x in args if torch.is_tensor(x)]
        others = [str(x) for x in args if not torch.is_tensor(x)]
        self.calls.append((func, forms, others))
        return func(*args, **(kwargs or {}))


def test_forward_and_backward_of_every_convolution() -> None:
    first = nn.Conv2d(2, 3, 4, stride=2, padding=1).to(memory_format=torch.channels_last)
    second = nn.ConvTranspose2d(3, 2, 4, stride=2, bias=False)
    frames = torch.rand(4, 2, 8, 8).contiguous(memory_format=torch.channels_last)

    def work() -> None:
        with torch.autocast("cpu", torch.bfloat16):
            features = F.relu(first(frames))
        second(features.float()).mean().backward()

    with Calls() as expected:
        work()
    wanted = [call for call in expected.calls if "convolution" in str(call[0])]
    run = convolutions_of(work)
    with Calls() as made:
        run()
    assert made.calls == wanted
    assert Counter(call[0].overloadpacket.__name__ for call in made.calls) == {
        "convolution": 2,
        "convolution_backward": 2,
    }
    assert {form[2] for call in made.calls for form in call[1]} == {torch.bfloat16, torch.float32}


def test_the_stand_ins_are_numbers() -> None:
    convolution = nn.Conv2d(1, 1, 3)

    def work() -> None:
        convolution(torch.full((2, 1, 6, 6), torch.nan)).sum().backward()

    with Values() as seen:
        convolutions_of(work)()
    results = seen.results[-4:]  # the work's own are not numbers
    assert len(results) == 4 and all(bool(result.isfinite().all()) for result in results)


class Values(TorchDispatchMode):
    """Keeps what convolutions return."""

    def __init__(self) -> None:
        super().__init__()
        self.results: list[torch.Tensor] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if "convolution" in str(func):
            parts = result if isinstance(result, tuple) else (result,)
            self.results += [part for part in parts if part is not None]
        return result
