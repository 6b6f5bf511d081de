"""DLH, one sequence, one frame and one level at a time, with plain Python branches on the gates.

Levels n = 1 (fast) to N stand at list index n - 1. c^n is the context *into* level n: c^N = 0,
and c^0 goes to the image.

    x^1 = embed(encode(video))        x^{n+1} = MLP(x^n)
    c^{n-1} = MLP([s^n, c^n])         frames = decode(c^0)
    q = Gauss(MLP([x^n, c^n]))        p1 = Gauss(MLP([d^n, c^n]))
    Gauss: mean, softplus(raw) + 1e-4
    h_t = GRU(d_t, h_{t-1})           logit p(e = 1) = w h_t + b      (option "s": GRU(s_{t-1}, .))

    gates, n = 2..N, from t = 2 on (1 before): 0 if e^{n-1} = 0, else by a trial without gradient
    with the context c~ made of the samples of t-1:
        KL1 = KL[q(x, c~) || p1(d, c~)],  KL0 = KL[q(x, c~) || q_{t-1}]
        rule "kl":    e = 1 iff KL1 < KL0
        rule "vade":  q(e=0) = sigmoid(KL1 - KL0 + logit p(e=0)),  e = 1 iff u < q(e=1)
    K = the first level with e = 0;  top-down: n > K copied, n = K static, n < K change
    d_{t+1} = GRU(s_t, d_t) where e = 1, else d_t
    loss = mean_B [ -sum_t log N(frames) + beta sum_{t,n} (kl_s + kl_e) ]

kl_s is 0 where belief and sample are copied. Elsewhere the level's gate was open, and rule "kl"
takes KL[q || q_{t-1}] at K and KL[q || p1] below it; rule "vade" takes
q(e=0) KL[q || q_{t-1}] + q(e=1) KL[q || p1] with the final q and p1 and detached weights. At
level 1 and at t = 1, q(e=1) = 1. kl_e is KL[q(e) || p(e)], which for the hard rule is
-log p(e_t); it is 0 at n = 1 and t = 1.

Readings where the paper leaves room:

- `fresh_static=False`: level K is treated in every respect like those above it, so kl_s = 0 there
  under both rules; kl_e still counts, since its gate was open.
- `static_sample="redraw"`: a copied level draws s anew from its copied belief, with the noise of
  that frame. c~ uses the samples of t-1 all the same.
- `block_temporal=False`: d = GRU(s, d) at every frame; a level whose sample was copied feeds the
  copy.
- `prior_factor_input="s"`: the prior factor reads s_{t-1}, zeros at t = 1.
- `detach_static` stops the gradient into q_{t-1} inside kl_s only; copied beliefs keep theirs.
- `kl_e="all"` under "vade": a closed gate has q(e=1) = 0, so kl_e = -log p(e=0) there too.
- `forced` replaces the rule by given gates, still nested and still 1 at n = 1 and at t = 1; they
  are hard gates whatever `rule` says.

Weights (S state, D memory, X features, C context; matrices [out, in]; an MLP is a list of layers
{"weight", "bias"} with ELU between them; a GRU is {"weight_ih", "weight_hh", "bias_ih",
"bias_hh"})::

    weights["embed"]: {"weight" [X, F], "bias"}; may be absent: `encode` then gives x^1 itself
    weights["levels"][n - 1]
        encoder (n < N): MLP X -> hidden -> X
        decoder: MLP S + C -> hidden -> C
        temporal: GRU, input S, memory D
        posterior: MLP X + C -> 40, 40, 40 -> 2S, the means first
        prior: MLP D + C -> 40, 40, 40 -> 2S, the means first
        factor (n > 1): GRU, input D (option "s": S), memory D
        factor_out (n > 1): {"weight" [1, D], "bias" [1]}
    weights["image_encoder"]: four layers {"weight" [out, in, 4, 4], "bias"}, padding 1, leaky
        ReLU 0.2 after each, unless `encode` is given
    weights["image_decoder"]: {"weight" [1024, C], "bias", "layers": four times
        {"weight" [in, out, k, k], "bias"}}, leaky ReLU 0.2 between the convolutions, no output
        activation, unless `decode` is given

Reference:
    Long-horizon video prediction using a dynamic latent hierarchy (Zakharov, Guo, Fountas, 2022),
    Eq. 1 to 15, 25, 34 and Algorithm 1, https://arxiv.org/abs/2212.14376.
"""

__all__ = ["dlh", "random_noise", "random_uniforms", "random_weights", "weight_shapes"]

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True)
class _Options:
    static_sample: Literal["copy", "redraw"]
    fresh_static: bool
    block_temporal: bool
    prior_factor_input: Literal["d", "s"]
    kl_e: Literal["open", "all"]
    detach_static: bool
    rule: Literal["kl", "vade"]


def _mlp(layers: list[Weights], x: Tensor) -> Tensor:
    for layer in layers[:-1]:
        x = F.elu(linear(layer, x))
    return linear(layers[-1], x)


def _gauss(layers: list[Weights], *inputs: Tensor) -> Belief:
    out = _mlp(layers, torch.cat(inputs, -1))
    size = out.shape[-1] // 2
    return Belief(out[:size], F.softplus(out[size:]) + 1e-4)


def _context(w: Weights, s: Tensor, c: Tensor) -> Tensor:
    return _mlp(w["decoder"], torch.cat([s, c]))


def _kl_bernoulli(q1: Tensor, logit: Tensor) -> Tensor:
    """KL[Bernoulli(q1) || Bernoulli(sigmoid(logit))], with 0 log 0 = 0."""
    q0 = 1 - q1
    entropy = -torch.special.xlogy(q1, q1) - torch.special.xlogy(q0, q0)
    return -entropy - q1 * F.logsigmoid(logit) - q0 * F.logsigmoid(-logit)


class _Sequence:
    """One batch element, carried from frame to frame; list index n holds level n + 1.

    Args:
        x: Per level, [T, X].
        levels: Per level, the weights.
        noise: Per level, [T, S].
        uniforms: Per level, [T], or None.
        forced: [T, N] gates, or None.
    """

    def __init__(
        self,
        x: list[Tensor],
        levels: list[Weights],
        noise: list[Tensor],
        uniforms: list[Tensor] | None,
        forced: Tensor | None,
        options: _Options,
    ) -> None:
        self.x, self.levels, self.noise = x, levels, noise
        self.uniforms, self.forced, self.options = uniforms, forced, options
        self.N = len(levels)
        self.zero = x[0].new_zeros(())
        self.c_top = x[0].new_zeros(levels[0]["decoder"][-1]["bias"].shape[0])
        self.d = [x[0].new_zeros(w["temporal"]["weight_hh"].shape[1]) for w in levels]
        self.h = list(self.d)
        self.s = [x[0].new_zeros(w["temporal"]["weight_ih"].shape[1]) for w in levels]
        self.belief: list[Belief] = []  # none before the first frame

    def tick_prior_factor(self) -> list[Tensor]:
        """Advances h, which ticks at every frame; the logits of p(e = 1)."""
        logit = [self.zero + math.inf]
        for n in range(1, self.N):
            given = self.d[n] if self.options.prior_factor_input == "d" else self.s[n]
            self.h[n] = gru(self.levels[n]["factor"], given, self.h[n])
            logit.append(linear(self.levels[n]["factor_out"], self.h[n])[0])
        return logit

    @torch.no_grad()
    def trial(self, n: int, t: int) -> tuple[Tensor, Tensor]:
        """KL1 and KL0 under the context of t - 1: `s` still holds the samples of t - 1."""
        w = self.levels[n]
        c = self.c_top
        for m in range(self.N - 1, n, -1):
            c = _context(self.levels[m], self.s[m], c)
        q = _gauss(w["posterior"], self.x[n][t], c)
        change = _gauss(w["prior"], self.d[n], c)
        return kl_gaussian(q, change), kl_gaussian(q, self.belief[n])

    @torch.no_grad()
    def gates(self, t: int, logit: list[Tensor]) -> tuple[list[int], list[Tensor], list[Tensor]]:
        """e, q(e = 1), and the trial KLs [KL1, KL0], per level; bottom-up."""
        e, q1 = [1], [self.zero + 1]
        trials = [torch.stack([self.zero + math.nan] * 2)] * self.N
        for n in range(1, self.N):
            if t == 0:
                e.append(1)
                q1.append(self.zero + 1)
                continue
            if e[n - 1] == 0:
                e.append(0)
                q1.append(self.zero)
                continue
            change, static = self.trial(n, t)
            trials[n] = torch.stack([change, static])
            if self.forced is not None:
                e.append(int(self.forced[t, n]))
                q1.append(self.zero + e[n])
            elif self.options.rule == "kl":
                e.append(1 if change < static else 0)
                q1.append(self.zero + e[n])
            else:
                assert self.uniforms is not None, 'rule "vade" needs uniforms'
                logit_static = -logit[n]
                q1.append(1 - torch.sigmoid(change - static + logit_static))
                e.append(1 if self.uniforms[n][t] < q1[n] else 0)
        return e, q1, trials

    def kl_state(self, n: int, t: int, e: int, q1: Tensor, q: Belief, change: Belief) -> Tensor:
        """kl_s of a level with a new posterior q, before its belief is replaced."""
        if n == 0 or t == 0:
            return kl_gaussian(q, change)
        static = self.belief[n]
        if self.options.detach_static:
            static = Belief(static.mean.detach(), static.std.detach())
        if self.options.rule == "vade" and self.forced is None:
            return (1 - q1) * kl_gaussian(q, static) + q1 * kl_gaussian(q, change)
        return kl_gaussian(q, static) if e == 0 else kl_gaussian(q, change)

    def states(
        self, t: int, e: list[int], q1: list[Tensor]
    ) -> tuple[list[Belief], list[Tensor], list[Tensor]]:
        """Advances beliefs and samples, top-down: p1 per level, kl_s per level, and c^0 to c^N."""
        K = e.index(0) if 0 in e else self.N
        belief: list[Belief] = (
            list(self.belief) if t > 0 else [Belief(self.zero, self.zero)] * self.N
        )
        change = list(belief)
        c = [self.c_top] * (self.N + 1)
        kl_s = [self.zero] * self.N
        for n in range(self.N - 1, -1, -1):
            change[n] = _gauss(self.levels[n]["prior"], self.d[n], c[n + 1])
            if n > K or (n == K and not self.options.fresh_static):
                if self.options.static_sample == "redraw":
                    self.s[n] = belief[n].mean + belief[n].std * self.noise[n][t]
            else:
                q = _gauss(self.levels[n]["posterior"], self.x[n][t], c[n + 1])
                kl_s[n] = self.kl_state(n, t, e[n], q1[n], q, change[n])
                belief[n] = q
                self.s[n] = q.mean + q.std * self.noise[n][t]
            c[n] = _context(self.levels[n], self.s[n], c[n + 1])
        self.belief = belief
        return change, kl_s, c

    def kl_gate(self, n: int, t: int, e: list[int], q1: Tensor, logit: Tensor) -> Tensor:
        """kl_e of a level."""
        if n == 0 or t == 0 or (e[n - 1] == 0 and self.options.kl_e == "open"):
            return self.zero
        return _kl_bernoulli(q1, logit)

    def frame(self, t: int) -> dict[str, list[Any]]:
        """One time step; name -> list over levels."""
        logit = self.tick_prior_factor()
        e, q1, trials = self.gates(t, logit)
        change, kl_s, c = self.states(t, e, q1)
        kl_e = [self.kl_gate(n, t, e, q1[n], logit[n]) for n in range(self.N)]
        record = {
            "mean": [b.mean for b in self.belief],
            "std": [b.std for b in self.belief],
            "change_mean": [b.mean for b in change],
            "change_std": [b.std for b in change],
            "samples": list(self.s),
            "e": [self.zero + gate for gate in e],
            "logits": logit,
            "trial1": [both[0] for both in trials],
            "trial0": [both[1] for both in trials],
            "kl_s": kl_s,
            "kl_e": kl_e,
            "d": list(self.d),
            "h": list(self.h),
            "c": c,
        }
        for n in range(self.N):
            if e[n] == 1 or not self.options.block_temporal:
                self.d[n] = gru(self.levels[n]["temporal"], self.s[n], self.d[n])
        return record


def dlh(
    video: Tensor,
    weights: Weights,
    noise: Sequence[Sequence[Tensor]],
    *,
    levels: int,
    std: float,
    beta: float = 1.0,
    encode: Callable[[Tensor], Tensor] | None = None,
    decode: Callable[[Tensor], Tensor] | None = None,
    static_sample: Literal["copy", "redraw"] = "copy",
    fresh_static: bool = True,
    block_temporal: bool = True,
    prior_factor_input: Literal["d", "s"] = "d",
    kl_e: Literal["open", "all"] = "open",
    detach_static: bool = False,
    rule: Literal["kl", "vade"] = "kl",
    uniforms: Sequence[Sequence[Tensor]] | None = None,
    forced: Tensor | None = None,
) -> dict[str, Any]:
    """One evaluation of the loss.

    Args:
        video: [B, T, C, H, W].
        weights: See the module's docstring.
        noise: `noise[n - 1][t]`, [B, S] standard normal.
        levels: N.
        std: Standard deviation of the frames.
        beta: Weight of kl_s and kl_e.
        encode: Replaces the convolutions: video -> [B, T, F].
        decode: Replaces the deconvolutions and the Linear before them: c^0 [B, T, C] -> mean of
            the frames.
        uniforms: `uniforms[n - 1][t]`, [B] in (0, 1); needed by rule "vade".
        forced: Gates [B, T, N] in the place of the rule.

    Returns:
        "mean", "std" (the beliefs), "change_mean", "change_std" (p1 at the final context),
        "samples": [B, T, N, S];
        "e", "kl_s", "kl_e": [B, T, N];  "logits" of p(e = 1): [B, T, N], infinite at level 1;
        "trial1", "trial0": the trial KLs, [B, T, N], NaN where none was made;
        "d", "h": [B, T, N, D] as used at t;  "c": [B, T, N + 1, C], index n is c^n;
        "frames": [B, T, C, H, W];  "recon": [B];  "loss": scalar.
    """
    options = _Options(
        static_sample, fresh_static, block_temporal, prior_factor_input, kl_e, detach_static, rule
    )
    w = weights["levels"]
    features = (
        encode(video) if encode else conv_encoder(weights["image_encoder"], video, padding=1)
    )
    x = [linear(weights["embed"], features) if "embed" in weights else features]
    for n in range(levels - 1):
        x.append(_mlp(w[n]["encoder"], x[n]))

    sequences = []
    for b in range(video.shape[0]):
        one = _Sequence(
            [per_level[b] for per_level in x],
            w,
            [torch.stack([step[b] for step in per_level]) for per_level in noise],
            None
            if uniforms is None
            else [torch.stack([step[b] for step in per_level]) for per_level in uniforms],
            None if forced is None else forced[b],
            options,
        )
        sequences.append([one.frame(t) for t in range(video.shape[1])])

    out: dict[str, Any] = {
        name: torch.stack(
            [torch.stack([torch.stack(frame[name]) for frame in frames]) for frames in sequences]
        )
        for name in sequences[0][0]
    }
    context = out["c"][:, :, 0]
    frames = decode(context) if decode else transposed_decoder(weights["image_decoder"], context)
    recon = log_normal(video, frames, std).flatten(1).sum(1)
    penalty = (out["kl_s"] + out["kl_e"]).sum((1, 2))
    return out | {"frames": frames, "recon": recon, "loss": (beta * penalty - recon).mean()}


def weight_shapes(
    *,
    levels: int,
    state: int = 20,
    memory: int = 200,
    features: int = 200,
    context: int = 200,
    hidden: int = 200,
    head: int = 40,
    embed: int | None = None,
    channels: int | None = None,
    prior_factor_input: Literal["d", "s"] = "d",
) -> Weights:
    """The tree of shapes.

    Args:
        embed: Size F of what `encode` returns; without it there is no "embed" layer.
        channels: Adds the networks for 64 x 64 frames (and "embed" with F = 4096).
    """
    S, D, X, C = state, memory, features, context

    def mlp(*sizes: int) -> list[Weights]:
        return [layer_shapes(i, o) for i, o in zip(sizes[:-1], sizes[1:], strict=True)]

    tree: Weights = {"levels": []}
    for n in range(levels):
        w: Weights = {
            "decoder": mlp(S + C, hidden, C),
            "temporal": gru_shapes(S, D),
            "posterior": mlp(X + C, head, head, head, 2 * S),
            "prior": mlp(D + C, head, head, head, 2 * S),
        }
        if n < levels - 1:
            w["encoder"] = mlp(X, hidden, X)
        if n > 0:
            w["factor"] = gru_shapes(D if prior_factor_input == "d" else S, D)
            w["factor_out"] = layer_shapes(D, 1)
        tree["levels"].append(w)
    if channels is not None:
        embed = 4096
        tree["image_encoder"] = conv_shapes(channels)
        tree["image_decoder"] = transposed_shapes(C, channels)
    if embed is not None:
        tree["embed"] = layer_shapes(embed, X)
    return tree


def random_weights(shapes: Weights, *, seed: int = 0, scale: float = 1.2) -> Weights:
    """Float64 weights for `weight_shapes(...)`.

    The standard deviations are kept within a few powers of e, so that no KL is astronomical; with
    some seeds (0 among them) both outcomes of a gate occur.
    """
    weights = fill(shapes, seed=seed, scale=scale)
    for w in weights["levels"]:
        for name in ("posterior", "prior"):
            layer = w[name][-1]
            layer["weight"][layer["weight"].shape[0] // 2 :] *= 0.2
    return weights


def random_noise(
    *, levels: int, frames: int, batch: int, state: int, seed: int = 0
) -> list[list[Tensor]]:
    """`noise[n - 1][t]`, each [B, S]."""
    generator = torch.Generator().manual_seed(seed)
    return [
        [
            torch.randn(batch, state, dtype=torch.float64, generator=generator)
            for _ in range(frames)
        ]
        for _ in range(levels)
    ]


def random_uniforms(*, levels: int, frames: int, batch: int, seed: int = 0) -> list[list[Tensor]]:
    """`uniforms[n - 1][t]`, each [B] in [0, 1)."""
    generator = torch.Generator().manual_seed(seed)
    return [
        [torch.rand(batch, dtype=torch.float64, generator=generator) for _ in range(frames)]
        for _ in range(levels)
    ]
