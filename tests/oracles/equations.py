"""The few formulas that the oracles share, written out by hand.

- Linear: y = W x + b, W of shape [out, in].
- GRU, in the convention of `torch.nn.GRUCell` with gates in the order r, z, n:

      r  = sigmoid(W_ir u + b_ir + W_hr h + b_hr)
      z  = sigmoid(W_iz u + b_iz + W_hz h + b_hz)
      n  = tanh(W_in u + b_in + r * (W_hn h + b_hn))
      h' = (1 - z) * n + z * h

- KL[N(m, s) || N(n, r)] = sum_i log(r_i / s_i) + (s_i^2 + (m_i - n_i)^2) / (2 r_i^2) - 1/2
- log N(x; m, s) = -(x - m)^2 / (2 s^2) - log s - log(2 pi) / 2

Weights are nested dicts and lists; a layer is `{"weight": [out, in], "bias": [out]}`.
"""

__all__ = [
    "Belief",
    "Weights",
    "clone_with_grad",
    "conv_encoder",
    "conv_shapes",
    "count",
    "fill",
    "gru",
    "gru_shapes",
    "kl_gaussian",
    "layer_shapes",
    "linear",
    "log_normal",
    "transposed_decoder",
    "transposed_shapes",
]

import math
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

Weights = dict[str, Any]


class Belief(NamedTuple):
    """A diagonal Gaussian: mean and standard deviation, both [..., S]."""

    mean: Tensor
    std: Tensor


def linear(layer: Weights, x: Tensor) -> Tensor:
    """W x + b, [..., in] -> [..., out]."""
    return x @ layer["weight"].T + layer["bias"]


def gru(w: Weights, u: Tensor, h: Tensor) -> Tensor:
    """One step of a GRU with `weight_ih [3D, I], weight_hh [3D, D], bias_ih, bias_hh [3D]`."""
    size = h.shape[-1]
    reset_rows, update_rows, new_rows = (slice(i * size, (i + 1) * size) for i in range(3))

    def from_input(rows: slice) -> Tensor:
        return u @ w["weight_ih"][rows].T + w["bias_ih"][rows]

    def from_memory(rows: slice) -> Tensor:
        return h @ w["weight_hh"][rows].T + w["bias_hh"][rows]

    reset = torch.sigmoid(from_input(reset_rows) + from_memory(reset_rows))
    update = torch.sigmoid(from_input(update_rows) + from_memory(update_rows))
    new = torch.tanh(from_input(new_rows) + reset * from_memory(new_rows))
    return (1 - update) * new + update * h


def kl_gaussian(q: Belief, p: Belief) -> Tensor:
    """KL[q || p] in nats, summed over the last dimension: [..., S] -> [...]."""
    squares = q.std**2 + (q.mean - p.mean) ** 2
    return (torch.log(p.std / q.std) + squares / (2 * p.std**2) - 0.5).sum(-1)


def log_normal(x: Tensor, mean: Tensor, std: float) -> Tensor:
    """log N(x; mean, std^2) per element, constants kept."""
    return -((x - mean) ** 2) / (2 * std**2) - math.log(std) - 0.5 * math.log(2 * math.pi)


def conv_encoder(layers: list[Weights], video: Tensor, *, padding: int) -> Tensor:
    """Convolutions of stride 2, each followed by leaky ReLU 0.2, flattened channel first.

    Shapes:
        video: [B, T, C, H, W]
        returns: [B, T, features]
    """
    per_frame = []
    for t in range(video.shape[1]):
        y = video[:, t]
        for layer in layers:
            y = F.conv2d(y, layer["weight"], layer["bias"], stride=2, padding=padding)
            y = torch.where(y > 0, y, 0.2 * y)
        per_frame.append(y.reshape(y.shape[0], -1))
    return torch.stack(per_frame, 1)


def transposed_decoder(w: Weights, features: Tensor) -> Tensor:
    """Linear to a 1x1 map, transposed convolutions of stride 2, leaky ReLU 0.2 between them.

    `w` is `{"weight": [1024, I], "bias": [1024], "layers": [{"weight": [in, out, k, k], ...}]}`.
    There is no activation after the Linear layer and none after the last convolution.

    Shapes:
        features: [B, T, I]
        returns: [B, T, C, H, W]
    """
    per_frame = []
    for t in range(features.shape[1]):
        y = linear(w, features[:, t])[:, :, None, None]
        for i, layer in enumerate(w["layers"]):
            if i > 0:
                y = torch.where(y > 0, y, 0.2 * y)
            y = F.conv_transpose2d(y, layer["weight"], layer["bias"], stride=2)
        per_frame.append(y)
    return torch.stack(per_frame, 1)


def layer_shapes(inputs: int, outputs: int) -> Weights:
    """Shapes of a Linear layer."""
    return {"weight": torch.Size([outputs, inputs]), "bias": torch.Size([outputs])}


def gru_shapes(inputs: int, size: int) -> Weights:
    """Shapes of a GRU cell."""
    return {
        "weight_ih": torch.Size([3 * size, inputs]),
        "weight_hh": torch.Size([3 * size, size]),
        "bias_ih": torch.Size([3 * size]),
        "bias_hh": torch.Size([3 * size]),
    }


def conv_shapes(channels: int) -> list[Weights]:
    """Shapes of `conv_encoder` for 64 x 64 frames: 32, 64, 128, 256 channels, kernel 4."""
    planes = [channels, 32, 64, 128, 256]
    return [
        {"weight": torch.Size([o, i, 4, 4]), "bias": torch.Size([o])}
        for i, o in zip(planes[:-1], planes[1:], strict=True)
    ]


def transposed_shapes(inputs: int, channels: int) -> Weights:
    """Shapes of `transposed_decoder` for 64 x 64 frames: 1 -> 5 -> 13 -> 30 -> 64."""
    maps, kernels = [1024, 128, 64, 32, channels], [5, 5, 6, 6]
    layers = [
        {"weight": torch.Size([i, o, k, k]), "bias": torch.Size([o])}
        for i, o, k in zip(maps[:-1], maps[1:], kernels, strict=True)
    ]
    return layer_shapes(inputs, 1024) | {"layers": layers}


def _leaves(tree: Any, leaf: type) -> list[Any]:
    if isinstance(tree, leaf):
        return [tree]
    children = tree.values() if isinstance(tree, dict) else tree
    return [found for child in children for found in _leaves(child, leaf)]


def count(shapes: Weights) -> int:
    """Number of parameters of a tree of shapes."""
    return sum(math.prod(shape) for shape in _leaves(shapes, torch.Size))


def _map(tree: Any, leaf: type, function: Any) -> Any:
    if isinstance(tree, leaf):
        return function(tree)
    if isinstance(tree, dict):
        return {name: _map(child, leaf, function) for name, child in tree.items()}
    return [_map(child, leaf, function) for child in tree]


def fill(shapes: Weights, *, seed: int, scale: float) -> Weights:
    """Float64 weights from N(0, scale^2 / fan_in) (fan_in = all dimensions but the first);
    biases (one dimension) from N(0, 0.1^2)."""
    generator = torch.Generator().manual_seed(seed)

    def draw(shape: torch.Size) -> Tensor:
        value = torch.randn(shape, dtype=torch.float64, generator=generator)
        return value * (0.1 if len(shape) == 1 else scale / math.sqrt(math.prod(shape[1:])))

    filled: Weights = _map(shapes, torch.Size, draw)
    return filled


def clone_with_grad(weights: Weights) -> tuple[Weights, list[Tensor]]:
    """A copy whose tensors are leaves that require gradients, and the list of them."""
    copy: Weights = _map(weights, Tensor, lambda w: w.detach().clone().requires_grad_(True))
    return copy, _leaves(copy, Tensor)
