"""A system's parameters under the names of its oracle, as views: gradients meet in one place.

The library keeps the weights of a concatenation in parts (`Joint`) and has one output layer for
mean and std; the oracles have one matrix for a concatenation and, for CW-VAE, two output layers.
"""

import zlib
from typing import Any

import torch
from torch import nn

from pyrovp.filtering import Filtering
from pyrovp.hierarchy import Hierarchy
from pyrovp.programs import LatentDynamics
from tests.oracles.equations import Weights, fill, gru_shapes, layer_shapes

__all__ = ["cwvae_weights", "dlh_weights", "randomise"]


def randomise(module: nn.Module, seed: int, scale: float = 1.5) -> None:
    """Weights from N(0, scale² / fan-in), biases from N(0, 0.1²).

    Args:
        module: Model and guide in one, in float64.
        seed: Of the draws; each parameter's depend on its name too, and on no other parameter.
        scale: At 1.5 the KLs are a few nats.
    """
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            generator = torch.Generator().manual_seed(seed + zlib.crc32(name.encode()))
            wide = 0.1 if parameter.ndim < 2 else scale * parameter[0].numel() ** -0.5
            drawn = torch.randn(parameter.shape, dtype=torch.float64, generator=generator)
            parameter.copy_(drawn * wide)


def cwvae_weights(model: LatentDynamics[Hierarchy], guide: Filtering) -> Weights:
    """What `tests.oracles.cwvae` reads, for either of its posteriors."""
    hierarchy: Any = model.hierarchy
    lifts, heads = _lists(guide)
    levels = []
    for n, (dynamics, posterior) in enumerate(zip(hierarchy.dynamics, heads, strict=True)):
        w: Weights = {"gru": _gru(dynamics.cell)}
        w |= _named("w1 b1", _joint(dynamics.cell.layer))
        w |= _named("w2 b2", _joint(dynamics.head.first))
        w |= _halves("wm ws bm bs", _layer(dynamics.head.output))
        if hasattr(posterior, "head"):
            w |= _named("v1 d1", _joint(posterior.head.first))
            w |= _named("v2 d2", _layer(posterior.head.hidden[0]))
            w |= _halves("vm vs dm ds", _layer(posterior.head.output))
        else:
            w |= _halves("vm vs dm ds", _joint(posterior.output))
            # Nothing is added to what this head's std layer reads, the oracle adds 0.54.
            w["ds"] = w["ds"] - 0.54 * w["vs"].sum(1)
        if n > 0:
            w["mlp"] = _layers(lifts[n - 1].layers)
        levels.append(w)
    return {
        "levels": levels,
        "encoder": _layers(hierarchy.encoder.convolutions),
        "decoder": _decoder(hierarchy.emission.decoder),
    }


def dlh_weights(model: LatentDynamics[Hierarchy], guide: Filtering) -> Weights:
    """What `tests.oracles.dlh` reads; a gate without parameters gets a prior factor of noise."""
    hierarchy: Any = model.hierarchy
    lifts, heads = _lists(guide)
    levels = []
    for n, (dynamics, posterior) in enumerate(zip(hierarchy.dynamics, heads, strict=True)):
        w: Weights = {
            "decoder": [_joint(dynamics.first), _layer(dynamics.second)],
            "temporal": _gru(dynamics.cell),
            "posterior": _head(posterior.head, turned=True),
            "prior": _head(dynamics.head),
        }
        if n < len(lifts):
            w["encoder"] = _layers(lifts[n].layers)
        if n > 0:
            gate = hierarchy.gates[str(n)]
            if hasattr(gate, "cell"):
                w |= {"factor": _gru(gate.cell), "factor_out": _layer(gate.output)}
            else:
                size = dynamics.cell.size
                w["factor"] = fill(gru_shapes(size, size), seed=0, scale=0)
                w["factor_out"] = fill(layer_shapes(size, 1), seed=0, scale=0)
        levels.append(w)
    return {
        "levels": levels,
        "embed": _layer(hierarchy.encoder.dense),
        "image_encoder": _layers(hierarchy.encoder.convolutions),
        "image_decoder": _decoder(hierarchy.emission.decoder),
    }


def _lists(guide: Any) -> tuple[list[Any], list[Any]]:
    return list(guide.ladder.lifts), list(guide.heads)


def _layer(module: Any) -> Weights:
    return {"weight": module.weight, "bias": module.bias}


def _layers(modules: Any) -> list[Weights]:
    return [_layer(module) for module in modules]


def _joint(module: Any, turned: bool = False) -> Weights:
    parts = module.weights[::-1] if turned else module.weights
    return {"weight": torch.cat(parts, 1), "bias": module.bias}


def _head(head: Any, turned: bool = False) -> list[Weights]:
    """Turned: the library's posterior reads [c, x], the oracle's [x, c]."""
    return [_joint(head.first, turned), *_layers(head.hidden), _layer(head.output)]


def _gru(cell: Any) -> Weights:
    inward, outward = _joint(cell.gates), cell.recurrent
    return {
        "weight_ih": inward["weight"],
        "weight_hh": outward.weight,
        "bias_ih": inward["bias"],
        "bias_hh": outward.bias,
    }


def _decoder(decoder: Any) -> Weights:
    return _layer(decoder.dense) | {"layers": _layers(decoder.convolutions)}


def _named(names: str, layer: Weights) -> Weights:
    return dict(zip(names.split(), (layer["weight"], layer["bias"]), strict=True))


def _halves(names: str, layer: Weights) -> Weights:
    """A layer for mean and std as two layers."""
    parts = (*layer["weight"].chunk(2), *layer["bias"].chunk(2))
    return dict(zip(names.split(), parts, strict=True))
