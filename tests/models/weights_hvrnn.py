"""HVRNN's parameters, or anything shaped like them, under the names of its oracle.

The library orders a cell's gates i, f, o, g, the oracle i, f, g, o; it keeps the kernels of a
plain cell's x and h apart, and a head's 1x1 convolution in parts: the memory's, then those of the
states above, the parent first. The oracle has one kernel for a concatenation, the coarsest state
first.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

__all__ = ["hvrnn_weights"]

Of = Callable[[Tensor], Tensor]
Named = Iterator[tuple[str, Tensor]]


def hvrnn_weights(hierarchy: Any, guide: Any, of: Of = lambda p: p) -> dict[str, Tensor]:
    """The parameters of `tests.oracles.hvrnn.HVRNN`.

    Args:
        hierarchy, guide: A model's `Hierarchy` and its `Filtering`.
        of: What to take of a parameter: itself, or its gradient, say.
    """
    encoder, emission = hierarchy.encoder, hierarchy.emission
    found = [*_layer("encoder.entry", encoder.entry, of)]
    for r, stage in zip(encoder.features, encoder.stages, strict=True):
        for i, block in enumerate(stage):
            found += _block(f"encoder.stages.{r}.{i}", block, of)
    twins = zip(hierarchy.levels, hierarchy.dynamics, hierarchy.starts, guide.heads, strict=True)
    for level, part, start, twin in twins:
        r = level.state.resolution
        found += _twin(f"prior.{r}", start, part.cell, part.head, of)
        found += _twin(f"posterior.{r}", twin.start, twin.cell, twin.head, of)
    for r, start in emission.starts.items():
        found += _start(f"decoder.starts.{r}", start, of)
    for r, stage in zip(sorted(encoder.features), emission.stages, strict=True):
        found += _stage(r, stage, of)
    for name in ("smooth", "smooth_norm", "last"):
        found += _layer(f"decoder.{name}", getattr(emission, name), of)
    return dict(found)


def _layer(name: str, module: Any, of: Of) -> Named:
    for key, parameter in module.named_parameters():
        yield f"{name}.{key}", of(parameter)


def _block(name: str, block: Any, of: Of) -> Named:
    for theirs, ours in (("first", "first"), ("norm1", "first_norm"), ("second", "second"),
                         ("norm2", "second_norm"), ("shortcut", "shortcut")):  # fmt: skip
        yield from _layer(f"{name}.{theirs}", getattr(block, ours), of)


def _start(name: str, start: Any, of: Of) -> Named:
    for part in ("first", "first_norm", "second", "second_norm"):
        yield from _layer(f"{name}.{part}", getattr(start, part), of)


def _twin(name: str, start: Any, cell: Any, head: Any, of: Of) -> Named:
    yield from _start(f"{name}.start", start, of)
    yield from _layer(f"{name}.pre", cell.layer, of)
    yield from _layer(f"{name}.pre_norm", cell.layer_norm, of)
    yield from _normed(f"{name}.cell", cell, of)
    memory, *above = (of(getattr(head.joint, part)) for part in head.joint.names)
    yield f"{name}.head.weight", torch.cat([memory, *reversed(above)], 1)[..., None, None]
    yield f"{name}.head.bias", of(head.joint.bias)
    yield from _layer(f"{name}.head_norm", head.norm, of)


def _normed(name: str, cell: Any, of: Of) -> Named:
    for theirs, ours in (("input", "inward"), ("recurrent", "recurrent"),
                         ("input_norm", "inward_norm"),
                         ("recurrent_norm", "recurrent_norm")):  # fmt: skip
        for key, value in _layer(f"{name}.{theirs}", getattr(cell, ours), of):
            yield key, _turned(value)
    yield from _layer(f"{name}.memory_norm", cell.memory_norm, of)


def _stage(r: int, stage: Any, of: Of) -> Named:
    if r > 1:
        convolution, norm, _ = stage.up
        yield from _layer(f"decoder.ups.{r}.conv", convolution, of)
        yield from _layer(f"decoder.ups.{r}.norm", norm, of)
    name, cell = f"decoder.cells.{r}", stage.cell
    if cell is None:  # a convolution in its place
        yield from _layer(f"{name}.convolution", stage.convolution, of)
        yield from _layer(f"{name}.norm", stage.norm, of)
    elif r > 1:
        yield from _normed(name, cell, of)
    else:
        kernels = torch.cat([of(cell.inward.weight), of(cell.recurrent.weight)], 1)
        yield f"{name}.gates.weight", _turned(kernels)
        yield f"{name}.gates.bias", _turned(of(cell.inward.bias))


def _turned(gates: Tensor) -> Tensor:
    """i, f, o, g as i, f, g, o."""
    i, f, o, g = gates.chunk(4)
    return torch.cat([i, f, g, o])
