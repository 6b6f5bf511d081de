"""A prediction as one program of torch's, which runs where pyrovp is not installed.

    predictor -- torch.export --> predictor.pt2
    torch.export.load("predictor.pt2").module()(video) -> frames

Pyro's handlers and the loop over frames act while the program is traced; what is left is one
graph of tensor operations for this context, horizon and batch. Its draws are operations of the
graph, in the order of the module's own, so after the same `torch.manual_seed` both make the same
frames.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyro
import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.overrides import TorchFunctionMode

from pyrovp.export.prediction import Predictor
from pyrovp.files import atomic_write

__all__ = ["Program", "exported_program", "save_program"]


@dataclass(frozen=True)
class Program:
    """What a program takes and makes.

    Args:
        takes, makes: Shapes [B, context, C, H, W] and [B, horizon, C, H, W].
        dtype, device: Of both; the program is bound to them.
        torch: The version that wrote it.
        operations: Of its graph.
    """

    takes: tuple[int, ...]
    makes: tuple[int, ...]
    dtype: str
    device: str
    torch: str
    operations: int


def exported_program(predictor: Predictor, video: Tensor) -> ExportedProgram:
    """Traces a predictor into a program for videos of one shape.

    Args:
        predictor: The module.
        video: Of the shape, type and device that the program will take,
            [B, context, C, H, W]; its values do not matter.

    Raises:
        ValueError: If the module refuses such a video.
        RuntimeError: If what it does depends on values that it has computed.
    """
    root = _Flat(predictor).eval()
    try:
        # Checks of a distribution's parameters read values, and a traced tensor has none.
        with torch.no_grad(), pyro.validation_enabled(False):
            return torch.export.export(root, (video,), strict=False)
    except RuntimeError as error:
        raise RuntimeError(
            "this model cannot become one program: where a part of it decides in Python by the "
            f"value of a tensor, use torch.where instead ({str(error).strip().splitlines()[0]})"
        ) from error


def save_program(path: Path, predictor: Predictor, video: Tensor) -> Program:
    """Traces a predictor and writes the program, once it has been seen to agree.

    Args:
        path: Ends in `.pt2`.
        predictor, video: See `exported_program`.

    Returns:
        What the program takes and makes.

    Raises:
        RuntimeError: If program and module draw different frames from one seed.
        OSError: If the file cannot be written.
    """
    traced = exported_program(predictor, video)
    frames = _check(traced, predictor, video)
    with atomic_write(path) as temporary:
        torch.export.save(traced, temporary)
    return Program(
        takes=tuple(video.shape),
        makes=tuple(frames.shape),
        dtype=str(video.dtype).removeprefix("torch."),
        device=str(video.device),
        torch=torch.__version__,
        operations=sum(node.op == "call_function" for node in traced.graph.nodes),
    )


class _Flat(nn.Module):
    """A module whose weights have one name each.

    Model and guide share modules. To torch.export a module with two names is two objects, but
    that the two programs call the very same modules is what pairs them; so the modules are
    hidden from it and get their weights by `functional_call`.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self._hidden = (module,)
        self._places: dict[str, str] = {}
        names: dict[int, str] = {}
        for prefix, part in module.named_modules():  # a shared one once
            own = (*part.named_parameters(recurse=False), *part.named_buffers(recurse=False))
            for name, value in own:
                place = f"{prefix}.{name}".lstrip(".")
                flat = names.setdefault(id(value), place.replace(".", "/"))
                self._places[place] = flat
                if flat not in self._buffers:
                    # A file of the program keeps the strides of no other layout.
                    self.register_buffer(flat, value.detach().contiguous())

    def forward(self, video: Tensor) -> Any:
        weights = {place: getattr(self, flat) for place, flat in self._places.items()}
        # Each place is named: tying would put a shared module's weights back in the wrong order.
        with _GradientOff():
            return torch.func.functional_call(
                self._hidden[0], weights, (video,), tie_weights=False
            )


class _GradientOff(TorchFunctionMode):
    """Keeps gradients as they are: off.

    Each switch, also one that changes nothing, would become a part of the graph; torch.export
    takes them out one by one, which for a hundred frames takes minutes.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        return None if func is torch._C._set_grad_enabled else func(*args, **(kwargs or {}))


def _check(traced: ExportedProgram, predictor: Predictor, video: Tensor) -> Tensor:
    """The frames that both make of one seed."""
    with _seeded(video.device):
        expected = predictor(video)
    with _seeded(video.device):
        made: Tensor = traced.module()(video)
    worst = float((made - expected).abs().max())
    if not worst <= 1e-4:  # NaN too
        raise RuntimeError(
            f"the exported program differs from the module by {worst:.2g} (pixels are in [0, 1]); "
            "a part of this model draws or decides outside of torch's operations"
        )
    return made


@contextmanager
def _seeded(device: torch.device) -> Iterator[None]:
    """One seed inside; the generators are left as they were."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices), torch.no_grad():
        torch.manual_seed(0)
        yield
