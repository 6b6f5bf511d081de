"""SVG-LP, frame by frame; its networks are in `tests.oracles.svg_nets`.

    e_t, skips_t = encode(x_t)                                  each frame once, t = 0 .. T - 1
    posterior, t = 1 .. T - 1:   h = LSTMCell(W e_t, h)         q(z_t) = N(M h + b, exp(V h + a))
    prior:                       h = LSTMCell(W e_{t-1}, h)     p(z_t) alike, weights of its own
    z_t = mean + exp(log variance / 2) noise_t
    predictor:   h1 = LSTMCell(W [e_{t-1}, z_t], h1),  h2 = LSTMCell(h1, h2),  d_t = tanh(U h2 + u)
    mean_t = decode(d_t, skips of frame s(t))
    s(t) = min(t - 1, context - 1)                   "paper": frozen at the last context frame
    s(t) = max(0, min(t - 1, context - 2))           "implementation"
    loss = sum_t MSE(mean_t, x_t) + beta sum_t mean_B KL(q(z_t) || p(z_t))

The MSE is a mean over sequences, channels and pixels, the KL a sum over dimensions. With D = C H W
the same loss is an ELBO with frames of variance 1/2 and a KL of weight beta D, per dimension:

    loss + (T - 1) log(pi) / 2 = (1 / D) mean_B [ -sum_t log N(x_t; mean_t, 1/2) + beta D KL ]

All memories start at zero. BatchNorm's statistics in training: "frame" calls the networks once
per frame, in order, as the authors do; "pooled" calls encoder and decoder once on all frames. In
evaluation the two are equal.

Reference:
    Stochastic Video Generation with a Learned Prior (Denton and Fergus, 2018), Section 3,
    https://arxiv.org/abs/1802.07687, with the constants of the authors' implementation.
"""

__all__ = [
    "SVG",
    "GaussianLSTM",
    "Predictor",
    "random_noise",
    "randomise",
    "source",
]

import math
from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from tests.oracles.equations import Belief, kl_gaussian, log_normal
from tests.oracles.svg_nets import Skips

Frozen = Literal["paper", "implementation"]
Statistics = Literal["frame", "pooled"]
Memory = tuple[Tensor, Tensor] | None


def source(t: int, context: int, frozen: Frozen) -> int:
    """The frame whose skips the decoder reads at frame t >= 1."""
    last = context - 1 if frozen == "paper" else context - 2
    return max(0, min(t - 1, last))


class GaussianLSTM(nn.Module):
    """One step of the posterior or the prior: [B, inputs] -> a belief over z."""

    def __init__(self, inputs: int, hidden: int, state: int) -> None:
        super().__init__()
        self.embed = nn.Linear(inputs, hidden)
        self.cell = nn.LSTMCell(hidden, hidden)
        self.mean = nn.Linear(hidden, state)
        self.log_variance = nn.Linear(hidden, state)

    def forward(self, x: Tensor, memory: Memory) -> tuple[Belief, Memory]:
        h, c = self.cell(self.embed(x), memory)
        return Belief(self.mean(h), torch.exp(self.log_variance(h) / 2)), (h, c)


class Predictor(nn.Module):
    """One step of the frame predictor: [B, inputs] -> [B, outputs]."""

    def __init__(self, inputs: int, hidden: int, outputs: int, layers: int = 2) -> None:
        super().__init__()
        self.embed = nn.Linear(inputs, hidden)
        self.cells = nn.ModuleList(nn.LSTMCell(hidden, hidden) for _ in range(layers))
        self.output = nn.Linear(hidden, outputs)

    def forward(self, x: Tensor, memory: list[Memory]) -> tuple[Tensor, list[Memory]]:
        x = self.embed(x)
        after: list[Memory] = []
        for cell, state in zip(self.cells, memory, strict=True):
            x, c = cell(x, state)
            after.append((x, c))
        return torch.tanh(self.output(x)), after


class SVG(nn.Module):
    """The system; frames 0 .. T - 1 are given, frames 1 .. T - 1 are modelled.

    Args:
        encoder: [B, C, H, W] -> ([B, features], skips).
        decoder: ([B, features], skips) -> [B, C, H, W].
        features: Size G of e and d.
        state: Size Z of z.
        hidden: Size of the LSTMs.
    """

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        *,
        features: int = 128,
        state: int = 10,
        hidden: int = 256,
    ) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        self.posterior = GaussianLSTM(features, hidden, state)
        self.prior = GaussianLSTM(features, hidden, state)
        self.predictor = Predictor(features + state, hidden, features)

    def encode(self, video: Tensor, statistics: Statistics) -> tuple[list[Tensor], list[Skips]]:
        """e_t and the skips of every frame."""
        frames = list(video.unbind(1))
        if statistics == "frame":
            both = [self.encoder(frame) for frame in frames]
            return [e for e, _ in both], [skips for _, skips in both]
        e, skips = self.encoder(torch.cat(frames))
        split = {r: x.chunk(len(frames)) for r, x in skips.items()}
        return list(e.chunk(len(frames))), [
            {r: x[t] for r, x in split.items()} for t in range(len(frames))
        ]

    def decode(self, d: list[Tensor], skips: list[Skips], statistics: Statistics) -> Tensor:
        """The mean frames, [B, len(d), C, H, W]."""
        if statistics == "frame":
            frames = [self.decoder(*both) for both in zip(d, skips, strict=True)]
        else:
            joined = {r: torch.cat([per_frame[r] for per_frame in skips]) for r in skips[0]}
            frames = self.decoder(torch.cat(d), joined).chunk(len(d))
        return torch.stack(list(frames), 1)

    def forward(
        self,
        video: Tensor,
        noise: Sequence[Tensor] | Tensor,
        *,
        context: int,
        beta: float = 1e-4,
        frozen: Frozen = "paper",
        statistics: Statistics = "frame",
        latents: Literal["posterior", "prior"] | Sequence[Tensor] = "posterior",
    ) -> dict[str, Any]:
        """One evaluation of the loss under teacher forcing.

        Args:
            video: [B, T, C, H, W] in [0, 1].
            noise: `noise[t - 1]`, [B, Z] standard normal, for frame t.
            context: Frames up to which the skips follow.
            beta: Weight of the KL.
            frozen: Where the skips stop.
            statistics: Of BatchNorm, while training.
            latents: Which belief z is drawn from, or `z[t - 1]` themselves.

        Returns:
            "posterior", "prior": [t - 1] -> Belief of [B, Z];  "z": [t - 1] -> [B, Z];
            "d": [t - 1] -> [B, G];  "kl": [t - 1] -> [B];  "frames": [B, T - 1, C, H, W];
            "mse": [t - 1] -> scalar;  "recon": [B], log N(frames; mean, 1/2), constants kept;
            "loss": scalar;  "negative_elbo": scalar, with the KL times beta D.
        """
        T = video.shape[1]
        e, skips = self.encode(video, statistics)
        memory_q: Memory = None
        memory_p: Memory = None
        memory: list[Memory] = [None] * len(self.predictor.cells)
        posterior, prior, zs, kl, ds = [], [], [], [], []
        for t in range(1, T):
            q, memory_q = self.posterior(e[t], memory_q)
            p, memory_p = self.prior(e[t - 1], memory_p)
            if isinstance(latents, str):
                drawn = q if latents == "posterior" else p
                z = drawn.mean + drawn.std * noise[t - 1]
            else:
                z = latents[t - 1]
            d, memory = self.predictor(torch.cat([e[t - 1], z], 1), memory)
            posterior.append(q)
            prior.append(p)
            zs.append(z)
            ds.append(d)
            kl.append(kl_gaussian(q, p))

        read = [skips[source(t, context, frozen)] for t in range(1, T)]
        frames = self.decode(ds, read, statistics)
        mse = [((frames[:, t - 1] - video[:, t]) ** 2).mean() for t in range(1, T)]
        recon = log_normal(video[:, 1:], frames, math.sqrt(0.5)).flatten(1).sum(1)
        loss = torch.stack([m + beta * k.mean() for m, k in zip(mse, kl, strict=True)]).sum()
        D = video[0, 0].numel()
        return {
            "posterior": posterior,
            "prior": prior,
            "z": zs,
            "d": ds,
            "kl": kl,
            "frames": frames,
            "mse": mse,
            "recon": recon,
            "loss": loss,
            "negative_elbo": (beta * D * torch.stack(kl).sum(0) - recon).mean(),
        }

    def generate(
        self,
        given: Tensor,
        noise: Sequence[Tensor] | Tensor,
        *,
        frozen: Frozen = "paper",
        feedback: Tensor | None = None,
    ) -> dict[str, Any]:
        """Goes on where the context ends, each frame made from the one made before.

        z comes from the posterior in the context and from the prior after it. BatchNorm does as
        the module's mode says: call `eval()` before, or have the statistics of each step.

        Args:
            given: The context, [B, n, C, H, W].
            noise: `noise[t - 1]`, [B, Z], for frames t = 1 .. T - 1; its length says T.
            frozen: Where the skips stop.
            feedback: Frames to go on from in the place of the generated ones, [B, T, C, H, W].

        Returns:
            "z": [t - 1] -> [B, Z];  "frames": [B, T - n, C, H, W].
        """
        n, T = given.shape[1], len(noise) + 1
        encoded = [self.encoder(frame) for frame in given.unbind(1)]
        memory_q: Memory = None
        memory_p: Memory = None
        memory: list[Memory] = [None] * len(self.predictor.cells)
        zs, frames = [], []
        for t in range(1, T):
            e, _ = encoded[t - 1]
            p, memory_p = self.prior(e, memory_p)
            drawn = p
            if t < n:
                drawn, memory_q = self.posterior(encoded[t][0], memory_q)
            z = drawn.mean + drawn.std * noise[t - 1]
            d, memory = self.predictor(torch.cat([e, z], 1), memory)
            zs.append(z)
            if t >= n:
                frames.append(self.decoder(d, encoded[source(t, n, frozen)][1]))
                if t < T - 1:
                    past = frames[-1] if feedback is None else feedback[:, t]
                    encoded.append(self.encoder(past))
        return {"z": zs, "frames": torch.stack(frames, 1)}


def random_noise(*, frames: int, batch: int, state: int, seed: int = 0) -> Tensor:
    """[T - 1, B, Z]."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(frames - 1, batch, state, dtype=torch.float64, generator=generator)


def randomise(module: nn.Module, *, seed: int = 0, scale: float = 1.5) -> None:
    """Weights from N(0, scale^2 / fan-in), biases from N(0, 0.1^2), BatchNorm's scales near 1."""
    generator = torch.Generator().manual_seed(seed)
    norms = {id(m.weight) for m in module.modules() if isinstance(m, nn.BatchNorm2d)}
    transposed = {id(m.weight) for m in module.modules() if isinstance(m, nn.ConvTranspose2d)}
    with torch.no_grad():
        for parameter in module.parameters():
            drawn = torch.randn(parameter.shape, dtype=torch.float64, generator=generator)
            if parameter.ndim == 1:
                parameter.copy_(0.1 * drawn + (id(parameter) in norms))
            else:
                inputs = parameter.transpose(0, 1) if id(parameter) in transposed else parameter
                parameter.copy_(drawn * scale / math.sqrt(inputs[0].numel()))
