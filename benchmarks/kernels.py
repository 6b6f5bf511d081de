r"""What a training step asks of a GPU: how many kernels, and how many bytes, for each tick.

    python -m benchmarks.kernels [--batch 100] [--json out.json]

A step is run on torch's "meta" device, where tensors have a shape and no numbers, so no GPU is
needed and nothing is timed. Calls of aten operations that launch work are counted, views and
allocations are left out; a call is mostly one kernel, two where it clears memory first. Bytes are
those of the tensors that a call takes and gives. Sequence kernels (a gate's memory over all ticks)
and the elementwise part of a GRU are one call, as on a GPU. Clipping and the optimiser, a few
kernels each, are left out.

How often each level ticks is set by the length T, so that from steps of several lengths

    calls(T) = fixed + Σ_levels per_tick_level · ticks_level(T)

gives what one tick of each level costs. What is computed for all ticks at once (frame networks,
priors, the weights' gradients) is part of the fixed calls, while its bytes grow with the ticks.
"""

import argparse
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from benchmarks.systems import SYSTEMS

__all__ = ["Asked", "PerTick", "Phase", "count", "per_tick", "step", "table"]

_ALLOCATIONS = {"empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided"}


class Phase(NamedTuple):
    """What a part of a step asks for.

    Args:
        calls: By name of the operation.
        bytes: Taken and given by all of them.
    """

    calls: Counter[str]
    bytes: int

    @property
    def total(self) -> int:
        """All calls."""
        return self.calls.total()


class Asked(NamedTuple):
    """What a step asks for."""

    forward: Phase
    backward: Phase


class _Calls(TorchDispatchMode):
    """Counts the calls that launch work on the device."""

    def __init__(self) -> None:
        super().__init__()
        self._calls: Counter[str] = Counter()
        self._bytes = 0

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        name = func._schema.name.removeprefix("aten::")
        returns = func._schema.returns
        is_view = any(r.alias_info is not None and not r.alias_info.is_write for r in returns)
        if not is_view and name not in _ALLOCATIONS and name != "_unsafe_view":
            self.note(name, *tree_leaves([list(args), dict(kwargs or {}), result]))
        return result

    def note(self, name: str, *values: Any) -> None:
        """Counts a call, unless it works on the host."""
        tensors = {id(v): v for v in values if isinstance(v, Tensor) and v.device.type == "meta"}
        if tensors:
            self._calls[name] += 1
            self._bytes += sum(v.numel() * v.element_size() for v in tensors.values())

    def phase(self) -> Phase:
        """What has been counted since the last time this was called."""
        phase, self._calls, self._bytes = Phase(self._calls, self._bytes), Counter(), 0
        return phase


class _Sequence(torch.autograd.Function):
    """A sequence kernel: one call forward, one backward."""

    @staticmethod
    def forward(
        ctx: Any, calls: _Calls, name: str, x: Tensor, h: Tensor, *weights: Tensor
    ) -> tuple[Tensor, Tensor]:
        ctx.calls, ctx.name = calls, name
        ctx.save_for_backward(x, h, *weights)
        with _unseen():
            outputs = x.new_empty(*x.shape[:2], h.shape[-1])
        calls.note(name, x, h, *weights, outputs)
        return outputs, h.clone()

    @staticmethod
    def backward(ctx: Any, to_outputs: Tensor, to_h: Tensor) -> Any:
        with _unseen():
            given = tuple(torch.empty_like(value) for value in ctx.saved_tensors)
        ctx.calls.note(f"{ctx.name}_backward", to_outputs, *ctx.saved_tensors, *given)
        return (None, None, *given)


@contextmanager
def _unseen() -> Iterator[None]:
    """Nothing inside is counted."""
    with torch.utils._python_dispatch._disable_current_modes():
        yield


@contextmanager
def _as_on_a_gpu(calls: _Calls) -> Iterator[None]:
    """What the meta device does in many operations is done in one, as a GPU does it."""

    def gru(x: Tensor, h: Tensor, weights: Sequence[Tensor], *rest: Any) -> tuple[Tensor, Tensor]:
        return _Sequence.apply(calls, "gru", x, h, *weights)

    def gru_cell(x: Tensor, h: Tensor, *weights: Tensor) -> Tensor:
        inward, recurrent, inward_bias, recurrent_bias = weights
        gates = F.linear(x, inward), F.linear(h, recurrent)
        return torch.ops.aten._thnn_fused_gru_cell(*gates, h, inward_bias, recurrent_bias)[0]

    with ExitStack() as stack:
        for owner, name, stand_in in (
            (torch, "gru", gru),
            (torch._VF, "gru", gru),
            (torch, "gru_cell", gru_cell),
            (torch._VF, "gru_cell", gru_cell),
            # Which devices have autocast is a table that lacks this one.
            (torch, "is_autocast_enabled", lambda device="cpu": False),
        ):
            stack.enter_context(mock.patch.object(owner, name, stand_in))
        yield


def step(module: nn.Module, shape: Sequence[int]) -> Asked:
    """What a training step asks for.

    Args:
        module: An objective, or a control's loss; it is moved to the meta device.
        shape: Of the video [B, T, C, H, W].
    """
    module.to("meta")
    video = torch.empty(tuple(shape), device="meta")
    calls = _Calls()
    with _as_on_a_gpu(calls), calls:
        result = module(video)
        loss = result if isinstance(result, Tensor) else result.loss
        forward = calls.phase()
        loss.backward()
    return Asked(forward, calls.phase())


class PerTick(NamedTuple):
    """What is asked for, as a function of the levels' ticks.

    Args:
        fixed: Whatever the length.
        levels: For one tick of each clock, from the fastest.
        rest: The largest difference to a step that was counted.
    """

    fixed: float
    levels: list[float]
    rest: float


def per_tick(values: Mapping[int, float], periods: Sequence[int]) -> PerTick:
    """Solves for what a tick of each clock takes.

    Args:
        values: What was counted, by length T.
        periods: Of the clocks, from 1. Levels that tick together count as one.
    """
    rows = [[1.0, *(-(-length // period) for period in periods)] for length in values]
    matrix = torch.tensor(rows, dtype=torch.float64)
    counted = torch.tensor(list(values.values()), dtype=torch.float64)
    solution = torch.linalg.lstsq(matrix, counted[:, None]).solution[:, 0]
    fixed, *levels = solution.tolist()
    return PerTick(fixed, levels, float((matrix @ solution - counted).abs().max()))


# Clocks, and lengths that tell them apart: no multiples, whose windows need no padding.
_CLOCKS = {
    "cwvae": ((1, 6, 36), (37, 38, 43, 44, 73, 74)),
    "dlh": ((1,), (19, 20, 21)),
}
_WHOLE = 100


def count(system: str, side: Callable[[], nn.Module], batch: int) -> dict[str, Any]:
    """The table's rows of a system, or of its control.

    Args:
        system: Its name in `benchmarks.systems`.
        side: Makes its loss.
        batch: B.
    """
    periods, lengths = _CLOCKS[system]
    shape = (SYSTEMS[system].channels, 64, 64)
    steps = {T: step(side(), (batch, T, *shape)) for T in (*lengths, _WHOLE)}
    rows = {}
    for name in Asked._fields:
        phases = {T: getattr(asked, name) for T, asked in steps.items()}
        rows[name] = {
            "calls": per_tick({T: phases[T].total for T in lengths}, periods)._asdict(),
            "bytes": per_tick({T: phases[T].bytes for T in lengths}, periods)._asdict(),
            "whole": {"calls": phases[_WHOLE].total, "bytes": phases[_WHOLE].bytes},
            "by_name": dict(phases[_WHOLE].calls.most_common()),
        }
    return {"system": system, "periods": list(periods), "batch": batch, **rows}


def table(counts: Sequence[Mapping[str, Any]]) -> str:
    """Markdown."""
    lines = [
        "| system | side | calls a tick, forward + backward | MB a tick | other calls | "
        f"calls of a step, T = {_WHOLE} | its GB |",
        "|---|---|---|---|---|---|---|",
    ]
    for one in counts:
        phases = [one[name] for name in Asked._fields]
        ticks, sizes = [], []
        for level, period in enumerate(one["periods"]):
            each = [round(phase["calls"]["levels"][level]) for phase in phases]
            size = sum(phase["bytes"]["levels"][level] for phase in phases) / 1e6
            every = f"every {period}: " if len(one["periods"]) > 1 else ""
            ticks.append(f"{every}{each[0]} + {each[1]}")
            sizes.append(f"{every}{size:.1f}")
        fixed = " + ".join(f"{phase['calls']['fixed']:.0f}" for phase in phases)
        whole = sum(phase["whole"]["calls"] for phase in phases)
        read = sum(phase["whole"]["bytes"] for phase in phases) / 1e9
        lines.append(
            f"| {one['system']} | {one['side']} | {'; '.join(ticks)} | {'; '.join(sizes)} | "
            f"{fixed} | {whole} | {read:.1f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Counts and prints."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--batch", type=int, default=100, help="sequences of a step")
    parser.add_argument("--json", type=Path, help="where to write all counts")
    given = parser.parse_args()
    counts = [
        {"side": side, **count(name, make, given.batch)}
        for name in _CLOCKS
        for side, make in (("pyrovp", SYSTEMS[name].library), ("by hand", SYSTEMS[name].control))
    ]
    print(table(counts))
    if given.json is not None:
        given.json.write_text(json.dumps(counts, indent=1))


if __name__ == "__main__":
    main()
