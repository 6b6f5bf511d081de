"""CW-VAE (TALD; NoTmpAbs with factor 1; RSSM with one level), one tick at a time.

Level l = 0 is the fastest and ticks at t = 0, k^l, 2 k^l, ...: its tick n stands at frame n k^l.
There are N_l = ceil(T / k^l) ticks; the last window may be partial.

    f^0_t = encode(video)_t
    f^l_t = MLP_l(f^{l-1}_t), per frame: ReLU, ReLU, linear
    e^l_n = sum of f^l_t over the frames of window n      (zeros after the MLP past the last frame)
    c = [z, h] of the level above at its current tick, zeros at the top
    u = relu(W1 [z_prev, c] + b1)
    h = GRU(u, h_prev)
    p = relu(W2 h + b2)
    prior      mean = Wm p + bm    std = softplus(Ws (p + 0.54) + bs) + 1e-4
    q = relu(V2 relu(V1 [h, e] + d1) + d2)
    posterior  mean = Vm q + dm    std = softplus(Vs (q + 0.54) + ds) + 1e-4
    z = posterior mean + posterior std * noise
    x_t ~ N(decode([z^0_t, h^0_t]), std^2)
    loss = (1 / T) mean_B [ -sum_t log p(x_t) + sum_l beta_l sum_n KL(posterior || prior) ]

`share="paper"` is our reading of "we reuse all weights of the generative model for inference
except for the output layer": there is no V1 and no V2; q is the concatenation [p, e] of the
prior's hidden layer and the evidence, which the posterior's output layer Vm, Vs (now [S, E + X])
reads; the 0.54 is again added to all of the std layer's input.

Weights (S state, D memory, E hidden, X features; matrices [out, in])::

    weights["levels"][l]
        w1 [E, 2S + D], b1    gru: weight_ih [3D, E], weight_hh [3D, D], bias_ih, bias_hh [3D]
        w2 [E, D], b2         wm, ws [S, E], bm, bs [S]
        v1 [E, D + X], d1     v2 [E, E], d2    vm, vs [S, E], dm, ds [S]
        mlp (l >= 1): three layers {"weight", "bias"}
    weights["encoder"]: four layers {"weight" [out, in, 4, 4], "bias"}, unless `encode` is given
    weights["decoder"]: {"weight" [1024, S + D], "bias",
        "layers": four times {"weight" [in, out, k, k], "bias"}}, unless `decode` is given

Reference:
    Clockwork Variational Autoencoders (Saxena, Ba, Hafner, 2021), Eq. 1 to 5, appendices C and D,
    https://arxiv.org/abs/2102.09532, with the constants of the authors' implementation.
"""

__all__ = ["cwvae", "random_noise", "random_weights", "ticks", "weight_shapes"]

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from tests.oracles.equations import (
    Belief,
    Weights,
    conv_encoder,
    conv_shapes,
    fill,
    gru,
    gru_shapes,
    kl_gaussian,
    layer_shapes,
    linear,
    log_normal,
    transposed_decoder,
    transposed_shapes,
)

Share = Literal["implementation", "paper"]


def ticks(frames: int, factor: int, level: int) -> int:
    """N_l = ceil(T / k^l)."""
    return math.ceil(frames / factor**level)


def _evidence(features: Tensor, weights: Weights, levels: int, factor: int) -> list[list[Tensor]]:
    """e^l_n of every level and tick, each [B, X], from f^0 [B, T, X]."""
    frames = features.shape[1]
    per_frame = [features[:, t] for t in range(frames)]
    evidence = []
    for level in range(levels):
        if level > 0:
            first, second, third = weights["levels"][level]["mlp"]
            per_frame = [
                linear(third, torch.relu(linear(second, torch.relu(linear(first, f)))))
                for f in per_frame
            ]
        windows = []
        for n in range(ticks(frames, factor, level)):
            total = torch.zeros_like(per_frame[0])
            for t in range(n * factor**level, (n + 1) * factor**level):
                total = total + (per_frame[t] if t < frames else torch.zeros_like(total))
            windows.append(total)
        evidence.append(windows)
    return evidence


def _gaussian(w: Weights, mean: str, std: str, x: Tensor) -> Belief:
    """The output layer; `mean` and `std` name weight and bias, as in ("wm", "bm")."""
    weight_mean, bias_mean = mean.split()
    weight_std, bias_std = std.split()
    raw = (x + 0.54) @ w[weight_std].T + w[bias_std]
    return Belief(x @ w[weight_mean].T + w[bias_mean], F.softplus(raw) + 1e-4)


def _tick(
    w: Weights, z: Tensor, h: Tensor, c: Tensor, e: Tensor, share: Share
) -> tuple[Tensor, Belief, Belief]:
    """One tick of a cell: the new h, the prior and the posterior."""
    u = torch.relu(torch.cat([z, c], -1) @ w["w1"].T + w["b1"])
    h = gru(w["gru"], u, h)
    p = torch.relu(h @ w["w2"].T + w["b2"])
    if share == "implementation":
        q = torch.relu(torch.cat([h, e], -1) @ w["v1"].T + w["d1"])
        q = torch.relu(q @ w["v2"].T + w["d2"])
    else:
        q = torch.cat([p, e], -1)
    return h, _gaussian(w, "wm bm", "ws bs", p), _gaussian(w, "vm dm", "vs ds", q)


def cwvae(
    video: Tensor,
    weights: Weights,
    noise: Sequence[Sequence[Tensor]],
    *,
    levels: int,
    factor: int,
    std: float,
    beta: float | Sequence[float] = 1.0,
    share: Share = "implementation",
    encode: Callable[[Tensor], Tensor] | None = None,
    decode: Callable[[Tensor], Tensor] | None = None,
) -> dict[str, Any]:
    """One evaluation of the ELBO.

    Args:
        video: [B, T, C, H, W].
        weights: See the module's docstring.
        noise: `noise[l][n]`, [B, S] standard normal, for tick n of level l.
        levels: L.
        factor: k.
        std: Standard deviation of the frames.
        beta: Weight of the KL, one number or one per level.
        share: What the posterior shares with the prior.
        encode: Replaces the convolutions: video -> [B, T, X].
        decode: Replaces the deconvolutions: [B, T, S + D] -> mean of the frames.

    Returns:
        "posterior", "prior": [l][n] -> Belief of [B, S];  "z", "h": [l][n] -> [B, S], [B, D];
        "evidence": [l][n] -> [B, X];  "kl": [l][n] -> [B];  "frames": [B, T, C, H, W];
        "recon": [B];  "loss": scalar.
    """
    B, T = video.shape[:2]
    w = weights["levels"]
    memory, state = w[0]["w2"].shape[1], w[0]["wm"].shape[0]
    betas = [float(beta)] * levels if isinstance(beta, int | float) else list(beta)
    features = encode(video) if encode else conv_encoder(weights["encoder"], video, padding=0)
    evidence = _evidence(features, weights, levels, factor)

    z: list[list[Tensor]] = [[] for _ in range(levels)]
    h: list[list[Tensor]] = [[] for _ in range(levels)]
    prior: list[list[Belief]] = [[] for _ in range(levels)]
    posterior: list[list[Belief]] = [[] for _ in range(levels)]
    kl: list[list[Tensor]] = [[] for _ in range(levels)]
    emitted = []
    for t in range(T):
        for level in range(levels - 1, -1, -1):
            if t % factor**level != 0:
                continue
            n = t // factor**level
            assert n == len(z[level])
            z_prev = z[level][-1] if n else video.new_zeros(B, state)
            h_prev = h[level][-1] if n else video.new_zeros(B, memory)
            if level == levels - 1:
                c = video.new_zeros(B, state + memory)
            else:
                c = torch.cat([z[level + 1][-1], h[level + 1][-1]], -1)
            h_new, p, q = _tick(w[level], z_prev, h_prev, c, evidence[level][n], share)
            h[level].append(h_new)
            z[level].append(q.mean + q.std * noise[level][n])
            prior[level].append(p)
            posterior[level].append(q)
            kl[level].append(kl_gaussian(q, p))
        emitted.append(torch.cat([z[0][-1], h[0][-1]], -1))

    states = torch.stack(emitted, 1)
    frames = (
        decode(states) if decode else torch.tanh(transposed_decoder(weights["decoder"], states))
    )
    recon = log_normal(video, frames, std).flatten(1).sum(1)
    penalty = torch.zeros_like(recon)
    for level in range(levels):
        for n in range(len(kl[level])):
            penalty = penalty + betas[level] * kl[level][n]
    return {
        "posterior": posterior,
        "prior": prior,
        "z": z,
        "h": h,
        "evidence": evidence,
        "kl": kl,
        "frames": frames,
        "recon": recon,
        "loss": (penalty - recon).mean() / T,
    }


def weight_shapes(
    *,
    levels: int,
    state: int,
    memory: int,
    hidden: int,
    features: int = 1024,
    mlp: int = 1000,
    channels: int | None = None,
    share: Share = "implementation",
) -> Weights:
    """The tree of shapes; with `channels`, also the networks for 64 x 64 frames."""
    S, D, E, X = state, memory, hidden, features

    def named(weight: str, bias: str, inputs: int, outputs: int) -> Weights:
        return {weight: torch.Size([outputs, inputs]), bias: torch.Size([outputs])}

    tree: Weights = {"levels": []}
    for level in range(levels):
        w: Weights = {"gru": gru_shapes(E, D)}
        w |= named("w1", "b1", 2 * S + D, E) | named("w2", "b2", D, E)
        w |= named("wm", "bm", E, S) | named("ws", "bs", E, S)
        if share == "implementation":
            w |= named("v1", "d1", D + X, E) | named("v2", "d2", E, E)
        read = E if share == "implementation" else E + X
        w |= named("vm", "dm", read, S) | named("vs", "ds", read, S)
        if level > 0:
            w["mlp"] = [layer_shapes(X, mlp), layer_shapes(mlp, mlp), layer_shapes(mlp, X)]
        tree["levels"].append(w)
    if channels is not None:
        tree["encoder"] = conv_shapes(channels)
        tree["decoder"] = transposed_shapes(S + D, channels)
    return tree


def random_weights(shapes: Weights, *, seed: int = 0, scale: float = 1.5) -> Weights:
    """Float64 weights for `weight_shapes(...)`; scale 1.5 makes the KLs of a few nats."""
    return fill(shapes, seed=seed, scale=scale)


def random_noise(
    *, levels: int, factor: int, frames: int, batch: int, state: int, seed: int = 0
) -> list[list[Tensor]]:
    """`noise[l][n]`, each [B, S]."""
    generator = torch.Generator().manual_seed(seed)
    return [
        [
            torch.randn(batch, state, dtype=torch.float64, generator=generator)
            for _ in range(ticks(frames, factor, level))
        ]
        for level in range(levels)
    ]
