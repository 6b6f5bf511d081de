r"""The precision of a training step.

    float32   1 + 8 + 23 bits everywhere
    TF32      float32 whose matrix products and convolutions read 10 of the 23 bits; Nvidia's
    bf16      frame networks in 1 + 8 + 7 bits (`pyrovp.nets.lowered`), all else in float32

In each, weights, optimiser, distributions, likelihood and bound are float32. Torch by itself lets
cuDNN's convolutions use TF32: here they do so only where it is asked for. What was set before a
step is set again after it, so validation and prediction are not touched.
"""

import abc
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal

import torch

from pyrovp.nets.lowered import lowering

__all__ = ["BF16", "TF32", "Float32", "Precision", "precision"]


class Precision(abc.ABC):
    """Describes in which floating-point types a training step computes."""

    @abc.abstractmethod
    def inside(self) -> AbstractContextManager[None]:
        """A context for a step: loss, gradient and update."""


@dataclass(frozen=True)
class Float32(Precision):
    """All in float32; the same numbers on every device but for the order of sums.

    Args:
        device: That trains.
    """

    device: torch.device

    def inside(self) -> AbstractContextManager[None]:
        """On a GPU without TF32."""
        return _products("ieee") if self.device.type == "cuda" else nullcontext()


@dataclass(frozen=True)
class TF32(Precision):
    """Matrix products and convolutions in TF32, everywhere in the step.

    Args:
        device: That trains, a GPU of Nvidia's from Ampere on.

    Raises:
        ValueError: For another kind of device.
    """

    device: torch.device

    def __post_init__(self) -> None:
        if self.device.type != "cuda":
            raise ValueError(
                f"TF32 is a type of Nvidia's GPUs, and this run is on {self.device.type}; use "
                "train.precision=float32, or bf16"
            )

    def inside(self) -> AbstractContextManager[None]:
        """With TF32."""
        return _products("tf32")


@dataclass(frozen=True)
class BF16(Precision):
    """Encoder, decoder and cells of maps in bf16; whatever they hand on is float32.

    Args:
        device: That trains.
    """

    device: torch.device

    @contextmanager
    def inside(self) -> Iterator[None]:
        """With networks in bf16."""
        with Float32(self.device).inside(), lowering(self.device, torch.bfloat16):
            yield


def precision(name: str, device: torch.device) -> Precision:
    """The precision of a setting's name.

    Args:
        name: "float32", "tf32" or "bf16".
        device: That trains.

    Raises:
        ValueError: For another name, or for TF32 on a device without it.
    """
    kinds: dict[str, type[Float32] | type[TF32] | type[BF16]] = {
        "float32": Float32,
        "tf32": TF32,
        "bf16": BF16,
    }
    if name not in kinds:
        raise ValueError(f"a precision is float32, tf32 or bf16, got {name!r}")
    return kinds[name](device)


@contextmanager
def _products(kind: Literal["ieee", "tf32"]) -> Iterator[None]:
    """How a GPU multiplies float32."""
    cudnn: Any = torch.backends.cudnn
    settings: tuple[Any, ...] = torch.backends.cuda.matmul, cudnn.conv, cudnn.rnn
    before = [setting.fp32_precision for setting in settings]
    try:
        for setting in settings:
            setting.fp32_precision = kind
        yield
    finally:
        for setting, value in zip(settings, before, strict=True):
            setting.fp32_precision = value
