"""HVRNN (VRNN with one latent map), one frame at a time; plain torch modules, noise passed in.

`t` counts from 0; the frames n, n + 1, ..., T - 1 are predicted, the n first ones are the context.
e_r(x) is the encoder's map of frame x at resolution r. The latent maps z^r, from the coarsest to
the finest resolution (the paper's z^1 is the 1 x 1 map), have the channels of e_r:

    prior       p^r_t = head[memory_t, all coarser z_t]     memory_t = cell(pre(e_r(x_{t-1})))
    posterior   q^r_t = head[memory_t, all coarser z_t]     memory_t = cell(pre(e_r(x_t)))
                two nets of one shape; pre = GN(Conv1x1);  head = GN(Conv1x1) -> mean, raw
                variance = softplus(raw); coarser maps are repeated to resolution r
    sample      z^r_t = mean + std * noise, the cells' memories never see it
    decoder     m = cell_1[e_1(x_{t-1}), z^1_t];  m = cell_r[up(m), z^r_t] at 4, 8, ...
                frame = sigmoid(Conv3x3(LReLU(GN(Conv3x3(m)))))
    up          LReLU(GN(transposed convolution)), kernel 4, stride 2, padding 1; from 1 x 1 to
                4 x 4 stride 1, no padding
    cell        i, f, g, o = GN(Conv x) + GN(Conv h)        (the decoder's at 1 x 1: Conv[x, h])
                c = GN(sigmoid(f) c + sigmoid(i) tanh(g))   (there without GN)
                h = sigmoid(o) tanh(c)
    start       h, c of every cell = GN(Conv1x1(LReLU(GN(first[e_r(x_0), ..., e_r(x_{n-1})]))))
                first: Conv1x1, the decoder's at 4 x 4: Conv3x3
    block       x_s + 0.1 GN(Conv3x3(LReLU(GN(Conv3x3(LReLU(x)))))), x_s = x or Conv1x1(x); width
                min(in, out) in between
    encoder     Conv1x1, one block at the image's resolution R; then max-pooling and two blocks at
                each of R/2, R/4, ..., 4, 1. The first of the two widens, at R/8 the second.
    loss        mean_B [ -sum_t log p(x_t | z_t, x_{<t}) + beta sum_{t,r} KL[q^r_t || p^r_t] ]

Channels of e_r: w, 2w, 4w, 8w at R, R/2, R/4, R/8, then 8w; at 1 as many as at 4. Slope of LReLU:
0.2. Groups of GN: 16 in cells; in starts 4, then 16 (1 at 1 x 1); in pre and head 16 (1 at 1 x 1);
in blocks 4 (1 at 1 x 1); in ups and before the last convolution 4. Where these do not divide a
narrow model's channels: the largest divisor below them; on 1 x 1 maps no group is one channel,
whose norm would be a constant. All convolutions have biases, but a block's second one and its
shortcut.

- `dense=False`: the heads read only the next coarser z.
- `lean=True`: 1 x 1 kernels in the place of 3 x 3 ones on 1 x 1 maps, where these see padding.
- Likelihoods: "laplace" of scale 1, "gaussian" of variance 1/2, "bernoulli"; `scale` replaces
  Laplace's scale or the Gaussian's standard deviation.
- `kl="sampled"`: log q(z) - log p(z) at the drawn z.

Latent maps, noise and results are keyed by resolution. The parameters of a system under test can
be read in place with `torch.func.functional_call`; both losses then have gradients in one place.

Reference:
    Improved Conditional VRNNs for Video Prediction (Castrejon, Ballas, Courville, 2019), Sections
    3 and 4, https://arxiv.org/abs/1904.12165, with the sizes of the authors' implementation: there
    no z_{t-1} enters a cell, which Eq. 3 says, and the Gaussian's variance is 1/2.
"""

__all__ = ["HVRNN", "channels_of", "random_noise", "randomise", "repeated", "standard_latents"]

import math
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.oracles.equations import Belief, kl_gaussian

Features = dict[int, Tensor]
Likelihood = Literal["laplace", "gaussian", "bernoulli"]


class Memory(NamedTuple):
    """A ConvLSTM's, both [B, C, r, r]."""

    h: Tensor
    c: Tensor


class State(NamedTuple):
    """All memories, by resolution."""

    prior: dict[int, Memory]
    posterior: dict[int, Memory]
    decoder: dict[int, Memory]


def channels_of(resolution: int, width: int) -> dict[int, int]:
    """Resolution -> channels, from the image's to 1."""
    table, r, c = {}, resolution, width
    while r >= 4:
        table[r] = c
        r, c = r // 2, min(2 * c, 8 * width)
    return table | {1: table[4]}


def standard_latents(resolution: int) -> tuple[int, ...]:
    """1-8-32 at 64 pixels, 1-16-64 at 128, 1-4-16 at 32."""
    return (1, max(4, resolution // 8), resolution // 2)


def repeated(z: Tensor, r: int) -> Tensor:
    """[B, C, s, s] -> [B, C, r, r], each value r / s times in both directions."""
    times = r // z.shape[-1]
    return z.repeat_interleave(times, 2).repeat_interleave(times, 3)


def _norm(channels: int, groups: int, r: int) -> nn.GroupNorm:
    if r == 1 and groups > channels // 2:
        groups = max(1, channels // 2)
    while channels % groups != 0:
        groups -= 1
    return nn.GroupNorm(groups, channels)


def _conv(inputs: int, outputs: int, kernel: int, bias: bool = True) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=bias)


def _lrelu(x: Tensor) -> Tensor:
    return F.leaky_relu(x, 0.2)


class ResBlock(nn.Module):
    """[N, inputs, r, r] -> [N, outputs, r, r]."""

    def __init__(self, inputs: int, outputs: int, r: int, kernel: int) -> None:
        super().__init__()
        hidden, groups = min(inputs, outputs), 1 if r == 1 else 4
        self.first = _conv(inputs, hidden, kernel)
        self.norm1 = _norm(hidden, groups, r)
        self.second = _conv(hidden, outputs, kernel, bias=False)
        self.norm2 = _norm(outputs, groups, r)
        self.shortcut = _conv(inputs, outputs, 1, bias=False) if inputs != outputs else None

    def forward(self, x: Tensor) -> Tensor:
        straight = x if self.shortcut is None else self.shortcut(x)
        y = self.norm1(self.first(_lrelu(x)))
        y = self.norm2(self.second(_lrelu(y)))
        return straight + 0.1 * y


class Encoder(nn.Module):
    """Frames [N, C, R, R] -> maps by resolution."""

    def __init__(self, resolution: int, channels: int, width: int, lean: bool) -> None:
        super().__init__()
        self.channels = channels_of(resolution, width)
        self.entry = _conv(channels, width, 1)
        self.stages = nn.ModuleDict()
        a = width
        for r, b in self.channels.items():
            middle = a if r == resolution // 8 else b
            kernel = 1 if lean and r == 1 else 3
            blocks = [ResBlock(a, middle, r, kernel), ResBlock(middle, b, r, kernel)]
            self.stages[str(r)] = nn.Sequential(*blocks[: 1 if r == resolution else 2])
            a = b

    def forward(self, frames: Tensor) -> Features:
        x, maps = self.entry(frames), {}
        for r in self.channels:
            if r != frames.shape[-1]:
                x = F.max_pool2d(x, 4 if r == 1 else 2)
            x = maps[r] = self.stages[str(r)](x)
        return maps


class NormedConvLSTM(nn.Module):
    """i, f, g, o = GN(Conv x) + GN(Conv h); the normed c is carried."""

    def __init__(self, inputs: int, size: int, r: int, kernel: int = 3) -> None:
        super().__init__()
        self.input = _conv(inputs, 4 * size, kernel)
        self.recurrent = _conv(size, 4 * size, kernel)
        self.input_norm = _norm(4 * size, 16, r)
        self.recurrent_norm = _norm(4 * size, 16, r)
        self.memory_norm = _norm(size, 16, r)

    def forward(self, x: Tensor, memory: Memory) -> Memory:
        gates = self.input_norm(self.input(x)) + self.recurrent_norm(self.recurrent(memory.h))
        i, f, g, o = gates.chunk(4, 1)
        c = self.memory_norm(torch.sigmoid(f) * memory.c + torch.sigmoid(i) * torch.tanh(g))
        return Memory(torch.sigmoid(o) * torch.tanh(c), c)


class PlainConvLSTM(nn.Module):
    """i, f, g, o = Conv[x, h]."""

    def __init__(self, inputs: int, size: int, kernel: int) -> None:
        super().__init__()
        self.gates = _conv(inputs + size, 4 * size, kernel)

    def forward(self, x: Tensor, memory: Memory) -> Memory:
        i, f, g, o = self.gates(torch.cat([x, memory.h], 1)).chunk(4, 1)
        c = torch.sigmoid(f) * memory.c + torch.sigmoid(i) * torch.tanh(g)
        return Memory(torch.sigmoid(o) * torch.tanh(c), c)


class Start(nn.Module):
    """The context's maps -> h and c of a cell of `size` channels."""

    def __init__(self, features: int, context: int, size: int, r: int, kernel: int = 1) -> None:
        super().__init__()
        self.first = _conv(context * features, 2 * size, kernel)
        self.first_norm = _norm(2 * size, 4, r)
        self.second = _conv(2 * size, 2 * size, 1)
        self.second_norm = _norm(2 * size, 1 if r == 1 else 16, r)

    def forward(self, context: Sequence[Tensor]) -> Memory:
        x = _lrelu(self.first_norm(self.first(torch.cat(list(context), 1))))
        h, c = self.second_norm(self.second(x)).chunk(2, 1)
        return Memory(h, c)


class Twin(nn.Module):
    """Prior or posterior of one latent map; `coarser` counts the channels of the z it reads."""

    def __init__(self, size: int, context: int, r: int, coarser: int, lean: bool) -> None:
        super().__init__()
        groups = 1 if r == 1 else 16
        self.start = Start(size, context, size, r)
        self.pre = _conv(size, size, 1)
        self.pre_norm = _norm(size, groups, r)
        self.cell = NormedConvLSTM(size, size, r, 1 if lean and r == 1 else 3)
        self.head = _conv(size + coarser, 2 * size, 1)
        self.head_norm = _norm(2 * size, groups, r)
        nn.init.zeros_(self.head_norm.weight)
        nn.init.normal_(self.head_norm.bias, std=1e-3)

    def forward(
        self, feature: Tensor, memory: Memory, coarser: Sequence[Tensor]
    ) -> tuple[Belief, Memory]:
        memory = self.cell(self.pre_norm(self.pre(feature)), memory)
        read = [repeated(z, feature.shape[-1]) for z in coarser]
        mean, raw = self.head_norm(self.head(torch.cat([memory.h, *read], 1))).chunk(2, 1)
        return Belief(mean, torch.sqrt(F.softplus(raw))), memory


class Up(nn.Module):
    """[B, inputs, r, r] -> [B, outputs, 2r, 2r], or 1 x 1 -> 4 x 4."""

    def __init__(self, inputs: int, outputs: int, to: int) -> None:
        super().__init__()
        stride, padding = (1, 0) if to == 4 else (2, 1)
        self.conv = nn.ConvTranspose2d(inputs, outputs, 4, stride, padding)
        self.norm = _norm(outputs, 4, to)

    def forward(self, x: Tensor) -> Tensor:
        return _lrelu(self.norm(self.conv(x)))


class Decoder(nn.Module):
    """e_1(x_{t-1}) and all z_t -> the logits of the frame's mean; `latents` are resolutions."""

    def __init__(
        self,
        sizes: dict[int, int],
        latents: Sequence[int],
        channels: int,
        context: int,
        lean: bool,
    ) -> None:
        super().__init__()
        self.resolutions = sorted(sizes)
        self.starts, self.cells, self.ups = nn.ModuleDict(), nn.ModuleDict(), nn.ModuleDict()
        below = sizes[1]
        for r in self.resolutions:
            size = sizes[r]
            inputs = size + (size if r in latents else 0)
            self.starts[str(r)] = Start(size, context, size, r, kernel=3 if r == 4 else 1)
            if r == 1:
                self.cells["1"] = PlainConvLSTM(inputs, size, 1 if lean else 3)
            else:
                self.ups[str(r)] = Up(below, size, r)
                self.cells[str(r)] = NormedConvLSTM(inputs, size, r)
            below = size
        self.smooth = _conv(below, below, 3)
        self.smooth_norm = _norm(below, 4, max(sizes))
        self.last = _conv(below, channels, 3)

    def forward(
        self, e1: Tensor, z: Mapping[int, Tensor], memory: Mapping[int, Memory]
    ) -> tuple[Tensor, dict[int, Memory]]:
        new, x = {}, e1
        for r in self.resolutions:
            if r > 1:
                x = self.ups[str(r)](x)
            if r in z:
                x = torch.cat([x, z[r]], 1)
            new[r] = self.cells[str(r)](x, memory[r])
            x = new[r].h
        return self.last(_lrelu(self.smooth_norm(self.smooth(x)))), new


class HVRNN(nn.Module):
    """The whole system.

    Args:
        resolution: R, 16, 32, 64 or 128.
        channels: C of a frame.
        width: w.
        context: n.
        latents: Resolutions of the latent maps, coarsest first; `standard_latents` without. They
            need not contain 1.
        dense: Heads read all coarser z, not only the next one.
        lean: 1 x 1 kernels on 1 x 1 maps.
    """

    def __init__(
        self,
        *,
        resolution: int = 64,
        channels: int = 3,
        width: int = 64,
        context: int = 2,
        latents: Sequence[int] | None = None,
        dense: bool = True,
        lean: bool = False,
    ) -> None:
        super().__init__()
        self.context, self.dense = context, dense
        self.latents = tuple(standard_latents(resolution) if latents is None else latents)
        sizes = channels_of(resolution, width)
        assert list(self.latents) == sorted(set(self.latents) & set(sizes)), self.latents
        self.sizes = {r: sizes[r] for r in self.latents}
        self.encoder = Encoder(resolution, channels, width, lean)
        self.prior, self.posterior = nn.ModuleDict(), nn.ModuleDict()
        for r in self.latents:
            coarser = sum(self.sizes[s] for s in self.coarser(r))
            for twins in (self.prior, self.posterior):
                twins[str(r)] = Twin(sizes[r], context, r, coarser, lean)
        self.decoder = Decoder(sizes, self.latents, channels, context, lean)

    def coarser(self, r: int) -> tuple[int, ...]:
        """The latent maps that the heads at `r` read, coarsest first."""
        above = tuple(s for s in self.latents if s < r)
        return above if self.dense else above[-1:]

    def start(self, context: Sequence[Features]) -> State:
        """All memories, from the features of the context's frames."""

        def memories(starts: Mapping[int, Any]) -> dict[int, Memory]:
            return {r: start([e[r] for e in context]) for r, start in starts.items()}

        return State(
            memories({int(r): twin.start for r, twin in self.prior.items()}),
            memories({int(r): twin.start for r, twin in self.posterior.items()}),
            memories({int(r): start for r, start in self.decoder.starts.items()}),
        )

    def frame(
        self,
        state: State,
        before: Features,
        now: Features | None,
        noise: Mapping[int, Tensor],
    ) -> tuple[dict[str, Any], State]:
        """One frame: z from the posterior, or from the prior where `now` is not given.

        Args:
            before: Features of x_{t-1}.
            now: Features of x_t.
            noise: By resolution, [B, C, r, r].

        Returns:
            "prior", "posterior" (nothing in it without `now`), "z", each by resolution, and
            "logits" of the frame's mean, [B, C, R, R]; the new memories.
        """
        prior: dict[int, Belief] = {}
        posterior: dict[int, Belief] = {}
        z: dict[int, Tensor] = {}
        p_memory, q_memory = dict(state.prior), dict(state.posterior)
        for r in self.latents:
            coarser = [z[s] for s in self.coarser(r)]
            prior[r], p_memory[r] = self.prior[str(r)](before[r], state.prior[r], coarser)
            drawn_from = prior[r]
            if now is not None:
                posterior[r], q_memory[r] = self.posterior[str(r)](
                    now[r], state.posterior[r], coarser
                )
                drawn_from = posterior[r]
            z[r] = drawn_from.mean + drawn_from.std * noise[r]
        logits, d_memory = self.decoder(before[1], z, state.decoder)
        record = {"prior": prior, "posterior": posterior, "z": z, "logits": logits}
        return record, State(p_memory, q_memory, d_memory)

    def forward(
        self,
        video: Tensor,
        noise: Mapping[int, Sequence[Tensor]],
        *,
        beta: float = 1.0,
        likelihood: Likelihood = "laplace",
        scale: float | None = None,
        kl: Literal["analytic", "sampled"] = "analytic",
    ) -> dict[str, Any]:
        """One evaluation of the loss, with the true frames fed back.

        Args:
            video: [B, T, C, R, R].
            noise: `noise[r][i]`, [B, channels, r, r] standard normal, for frame n + i.
            beta: Weight of the KL.
            scale: Of the Laplace distribution, or standard deviation of the Gaussian.

        Returns:
            "prior", "posterior": [r][i] -> Belief of [B, channels, r, r];
            "z": [r][i] -> [B, channels, r, r];  "kl": [r][i] -> [B];
            "frames", the means: [B, T - n, C, R, R];  "recon": [B];  "loss": scalar.
        """
        encoded = [self.encoder(x) for x in video.unbind(1)]
        state = self.start(encoded[: self.context])
        records = []
        for t in range(self.context, len(encoded)):
            given = {r: noise[r][t - self.context] for r in self.latents}
            record, state = self.frame(state, encoded[t - 1], encoded[t], given)
            records.append(record)
        out: dict[str, Any] = {
            name: {r: [record[name][r] for record in records] for r in self.latents}
            for name in ("prior", "posterior", "z")
        }
        out["kl"] = {r: [] for r in self.latents}
        penalty = torch.zeros_like(video[:, 0, 0, 0, 0])
        recon = torch.zeros_like(penalty)
        for i, record in enumerate(records):
            x = video[:, self.context + i]
            recon = recon + _log_density(x, record["logits"], likelihood, scale)
            for r in self.latents:
                q, p, z = record["posterior"][r], record["prior"][r], record["z"][r]
                out["kl"][r].append(_kl(q, p) if kl == "analytic" else _log_ratio(q, p, z))
                penalty = penalty + out["kl"][r][i]
        frames = torch.stack([torch.sigmoid(record["logits"]) for record in records], 1)
        return out | {"frames": frames, "recon": recon, "loss": (beta * penalty - recon).mean()}

    def generate(
        self, video: Tensor, noise: Mapping[int, Sequence[Tensor]], *, infer: bool = False
    ) -> dict[str, Any]:
        """Ancestral sampling: each frame's mean is fed back, or the true frame where given.

        Args:
            video: [B, G, C, R, R], G frames, not fewer than n.
            noise: As above; it has an entry for each frame from n on to the horizon.
            infer: z comes from the posterior at frames that are given; else from the prior at
                all frames.

        Returns:
            "prior", "z": [r][i];  "frames", the means: [B, horizon - n, C, R, R].
        """
        true = [self.encoder(x) for x in video.unbind(1)]
        state, before = self.start(true[: self.context]), true[self.context - 1]
        records = []
        for i in range(len(noise[self.latents[0]])):
            t = self.context + i
            now = true[t] if infer and t < len(true) else None
            record, state = self.frame(state, before, now, {r: noise[r][i] for r in self.latents})
            records.append(record)
            before = true[t] if t < len(true) else self.encoder(torch.sigmoid(record["logits"]))
        return {
            name: {r: [record[name][r] for record in records] for r in self.latents}
            for name in ("prior", "z")
        } | {"frames": torch.stack([torch.sigmoid(record["logits"]) for record in records], 1)}


def _kl(q: Belief, p: Belief) -> Tensor:
    """KL[q || p], [B]."""
    return kl_gaussian(Belief(*(x.flatten(1) for x in q)), Belief(*(x.flatten(1) for x in p)))


def _log_ratio(q: Belief, p: Belief, z: Tensor) -> Tensor:
    """log q(z) - log p(z), [B]."""

    def log_density(b: Belief) -> Tensor:
        return -(((z - b.mean) / b.std) ** 2) / 2 - torch.log(b.std) - math.log(2 * math.pi) / 2

    return (log_density(q) - log_density(p)).flatten(1).sum(1)


def _log_density(x: Tensor, logits: Tensor, likelihood: Likelihood, scale: float | None) -> Tensor:
    """log p(x), summed over the pixels: [B]."""
    mean = torch.sigmoid(logits)
    if likelihood == "laplace":
        b = 1.0 if scale is None else scale
        density = -(x - mean).abs() / b - math.log(2 * b)
    elif likelihood == "gaussian":
        variance = 0.5 if scale is None else scale**2
        density = -((x - mean) ** 2) / (2 * variance) - math.log(2 * math.pi * variance) / 2
    else:
        density = x * F.logsigmoid(logits) + (1 - x) * F.logsigmoid(-logits)
    return density.flatten(1).sum(1)


def randomise(module: nn.Module, *, seed: int = 0, scale: float = 1.5) -> None:
    """Weights from N(0, scale^2 / fan-in), norms' weights from N(1, 0.2^2), biases N(0, 0.1^2).

    A parameter's values depend on the seed, its name and its shape, and on no other parameter.
    """
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            generator = torch.Generator().manual_seed(seed + zlib.crc32(name.encode()))
            drawn = torch.randn(parameter.shape, dtype=torch.float64, generator=generator)
            if parameter.ndim > 1:
                parameter.copy_(drawn * scale * parameter[0].numel() ** -0.5)
            elif name.endswith("weight"):
                parameter.copy_(1 + 0.2 * drawn)
            else:
                parameter.copy_(0.1 * drawn)


def random_noise(model: HVRNN, *, frames: int, batch: int, seed: int = 0) -> dict[int, Any]:
    """`noise[r][i]` for `frames` predicted frames, each [B, channels, r, r]."""
    generator = torch.Generator().manual_seed(seed)
    return {
        r: [
            torch.randn(batch, c, r, r, dtype=torch.float64, generator=generator)
            for _ in range(frames)
        ]
        for r, c in model.sizes.items()
    }
