"""SVG-LP's parameters, or anything shaped like them, under the names of its oracle.

The library keeps the weights of a concatenation in parts (`Joint`) and has one output layer for
mean and log-variance; the oracle has one matrix for a concatenation and two output layers.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["svg_buffers", "svg_weights"]

Of = Callable[[Tensor], Tensor]
Named = Iterator[tuple[str, Tensor]]


def svg_weights(hierarchy: Any, guide: Any, of: Of = lambda p: p) -> dict[str, Tensor]:
    """The parameters of `tests.oracles.svg.SVG`.

    Args:
        hierarchy, guide: A model's `Hierarchy` and its `Filtering`.
        of: What to take of a parameter: itself, or its gradient, say.
    """
    emission = hierarchy.emission
    found: list[tuple[str, Tensor]] = []
    for name, module in _convolutions(hierarchy).items():
        found += _layer(f"{name}.convolution", module.layer, of)
        found += _layer(f"{name}.norm", module.norm, of)
    found += _layer("decoder.image", emission.decoder.image, of)
    for name, part in (("prior", hierarchy.dynamics[0]), ("posterior", guide.heads[0])):
        found += _layer(f"{name}.embed", part.cell.layer, of)
        found += _lstm(f"{name}.cell", part.cell.gates, part.cell.recurrent, of)
        for key, value in _layer("", part.head.first, of):
            for which, half in zip(("mean", "log_variance"), value.chunk(2), strict=True):
                found.append((f"{name}.{which}{key}", half))
    cell = emission.cell
    found += _layer("predictor.embed", cell.layer, of)
    layers = [(cell.gates, cell.recurrent)]
    layers += zip(cell.inward_above, cell.recurrent_above, strict=True)
    for i, pair in enumerate(layers):
        found += _lstm(f"predictor.cells.{i}", *pair, of)
    found += _layer("predictor.output", emission.output, of)
    return dict(found)


def svg_buffers(hierarchy: Any) -> dict[str, Tensor]:
    """The statistics of its BatchNorms."""
    return {
        f"{name}.norm.{key}": value
        for name, module in _convolutions(hierarchy).items()
        for key, value in module.norm.named_buffers()
    }


def _convolutions(hierarchy: Any) -> dict[str, Any]:
    """Those with a BatchNorm, from the frame to the vector and back."""
    encoder, decoder = hierarchy.encoder, hierarchy.emission.decoder
    *stages, top = _stages(encoder)
    found = {"encoder.top": next(iter(top.values())), "decoder.bottom": decoder.first}
    for network, parts in (("encoder", stages), ("decoder", _stages(decoder))):
        for i, part in enumerate(parts):
            found |= {f"{network}.stages.{i}{key}": layer for key, layer in part.items()}
    return found


def _stages(network: Any) -> list[dict[str, Any]]:
    """A DCGAN's stages are one layer each, a VGG's are groups."""
    if hasattr(network, "stages"):
        return [{"": stage} for stage in network.stages]
    groups = [
        [each for each in group.modules() if hasattr(each, "norm")] for group in network.groups
    ]
    return [{f".{j}": layer for j, layer in enumerate(group)} for group in groups]


def _layer(name: str, module: Any, of: Of) -> Named:
    """The library keeps the weights of a concatenation in parts."""
    if hasattr(module, "weights"):
        yield f"{name}.weight", torch.cat([of(part) for part in module.weights], 1)
    else:
        yield f"{name}.weight", of(module.weight)
    if isinstance(module.bias, nn.Parameter):
        yield f"{name}.bias", of(module.bias)


def _lstm(name: str, inward: Any, recurrent: Any, of: Of) -> Named:
    for suffix, module in (("ih", inward), ("hh", recurrent)):
        for key, value in _layer("", module, of):
            yield f"{name}.{key.removeprefix('.')}_{suffix}", value
