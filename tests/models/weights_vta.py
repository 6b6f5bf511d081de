"""VTA's parameters, or anything shaped like them, under the names of its oracle."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["vta_buffers", "vta_weights"]

Of = Callable[[Tensor], Tensor]
Named = Iterator[tuple[str, Tensor]]


def vta_weights(space: Any, guide: Any, of: Of = lambda p: p) -> dict[str, Tensor]:
    """The parameters of `tests.oracles.vta.VTA`.

    Args:
        space, guide: A model's `VTA` and its `VTAGuide`.
        of: What to take of a parameter: itself, or its gradient, say.
    """
    return dict(
        [
            *_stack("encoder", *_frames(space.encoder), of),
            *_stack("decoder", *_frames(space.emission.decoder), of),
            *_stack("posterior_gate", *_gate(guide.boundary), of),
            *_layer("posterior_gate.out", guide.boundary.output, of),
            *_layer("prior_gate", space.gate.prior, of),
            *_gru("fwd", space.past, of),
            *_gru("bwd", guide.suffix, of),
            *_gru("obsfwd", guide.prefix, of),
            *_gru("abstract_cell", space.abstract, of),
            *_gru("observed_cell", space.observation, of),
            *_layer("abstract_feature", space.parent, of),
            *_layer("observed_feature", space.output, of),
            *_head("prior_z", space.heads[1], of),
            *_head("prior_s", space.heads[0], of),
            *_head("posterior_z", guide.abstract, of),
            *_head("posterior_s", guide.observation, of, turned=True),
        ]
    )


def vta_buffers(space: Any, guide: Any) -> dict[str, Tensor]:
    """The statistics of its norms."""
    owners = {
        "encoder": _frames(space.encoder),
        "decoder": _frames(space.emission.decoder),
        "posterior_gate": _gate(guide.boundary),
    }
    return {
        f"{name}.norms.{i}.{key}": value
        for name, (_, norms) in owners.items()
        for i, norm in enumerate(norms)
        for key, value in norm.named_buffers()
    }


def _frames(module: Any) -> tuple[list[Any], list[Any]]:
    """(layers, norms) of an encoder, or of a decoder, whose last layer has no norm."""
    last = [module.image] if hasattr(module, "image") else []
    return [*(each.layer for each in module.layers), *last], [each.norm for each in module.layers]


def _gate(module: Any) -> tuple[list[Any], list[Any]]:
    return [*module.convolutions], [*module.norms]


def _stack(name: str, layers: list[Any], norms: list[Any], of: Of) -> Named:
    for i, layer in enumerate(layers):
        yield from _layer(f"{name}.convolutions.{i}", layer, of)
    for i, norm in enumerate(norms):
        yield from _layer(f"{name}.norms.{i}", norm, of)


def _layer(name: str, module: Any, of: Of) -> Named:
    """The library keeps the weights of a concatenation in parts."""
    if hasattr(module, "weights"):
        yield f"{name}.weight", torch.cat([of(part) for part in module.weights], 1)
    else:
        yield f"{name}.weight", of(module.weight)
    if isinstance(module.bias, nn.Parameter):
        yield f"{name}.bias", of(module.bias)


def _gru(name: str, cell: Any, of: Of) -> Named:
    for suffix, module in (("ih", cell.gates), ("hh", cell.recurrent)):
        for key, value in _layer("", module, of):
            yield f"{name}.{key.removeprefix('.')}_{suffix}", value


def _head(name: str, head: Any, of: Of, turned: bool = False) -> Named:
    """Two layers here, one of twice the size there; turned: of the two inputs the other first."""
    parts = head.first.weights[::-1] if turned else head.first.weights
    weight, bias = torch.cat([of(part) for part in parts], 1), of(head.first.bias)
    for i, which in enumerate(("mean", "std")):
        yield f"{name}.{which}.weight", weight.chunk(2)[i]
        yield f"{name}.{which}.bias", bias.chunk(2)[i]
