"""HVRNN's training loss by hand, with the default of every option.

Under teacher forcing nothing in a memory depends on a sample but the decoder's, so the system runs
part by part, each over all frames. Per latent map, coarsest first, for prior and posterior:

    drive_t = GN(Conv pre(e_t))                               all frames at once
    h_t, c_t = cell(drive_t + GN(Conv h_{t-1}), c_{t-1})      the only loop over frames
    mean, raw = head[h_t, all coarser z_t]                    all frames at once, and so z and KL

and then the decoder's cells in the same way, one resolution after the other, with the transposed
convolutions between them over all frames.

On 1 x 1 maps a 3 x 3 kernel is its middle and a matrix product, as is the transposed convolution
from 1 x 1 to 4 x 4. A 1 x 1 convolution of a repeated map is the repeated convolution: the heads
read coarser z at their own resolutions. All maps are time-major [T B, C, r, r] and channels_last,
parameters too.

Reference:
    Improved Conditional VRNNs for Video Prediction (Castrejon, Ballas, Courville, 2019),
    https://arxiv.org/abs/1904.12165
"""

__all__ = ["HVRNN"]

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Memory(NamedTuple):
    """A cell's h and c, each [B, C, r, r]."""

    h: Tensor
    c: Tensor


def group_norm(channels: int, groups: int, resolution: int) -> nn.GroupNorm:
    """With up to `groups` groups that divide the channels; on 1 x 1 maps none of one channel."""
    most = groups if resolution > 1 else max(1, min(groups, channels // 2))
    return nn.GroupNorm(max(g for g in range(1, most + 1) if channels % g == 0), channels)


def convolution(
    weight: Tensor, bias: Tensor | None, resolution: int
) -> Callable[[Tensor], Tensor]:
    """A convolution that keeps its map's size; made once per scan, since it slices the weight."""
    middle = weight.shape[-1] // 2
    if resolution > 1:
        return lambda x: F.conv2d(x, weight, bias, padding=middle)
    matrix = weight[:, :, middle, middle]
    return lambda x: F.linear(x.flatten(1), matrix, bias)[:, :, None, None]


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """A convolution that is called once."""
    return convolution(weight, bias, x.shape[-1])(x)


def add_repeated(fine: Tensor, coarse: Tensor) -> Tensor:
    """[N, C, r, r] + [N, C, s, s], each value of which stands for a square of r / s pixels."""
    r, s = fine.shape[-1], coarse.shape[-1]
    if s in (1, r):
        return fine + coarse
    blocks = fine.unflatten(3, (s, r // s)).unflatten(2, (s, r // s))
    return (blocks + coarse[:, :, :, None, :, None]).flatten(4, 5).flatten(2, 3)


class Start(nn.Module):
    """Maps of the context, [B, n F, r, r] -> h and c of a cell."""

    def __init__(
        self, features: int, context: int, size: int, resolution: int, kernel: int = 1
    ) -> None:
        super().__init__()
        self.first = nn.Conv2d(context * features, 2 * size, kernel, padding=kernel // 2)
        self.first_norm = group_norm(2 * size, 4, resolution)
        self.second = nn.Conv2d(2 * size, 2 * size, 1)
        self.second_norm = group_norm(2 * size, 1 if resolution == 1 else 16, resolution)

    def forward(self, context: Tensor) -> Memory:
        x = self.first_norm(convolve(context, self.first.weight, self.first.bias))
        x = convolve(F.leaky_relu(x, 0.2), self.second.weight, self.second.bias)
        return Memory(*self.second_norm(x).chunk(2, 1))


class NormedCell(nn.Module):
    """gates = GN(Conv x) + GN(Conv h); the normed c is carried."""

    def __init__(self, inputs: int, size: int, resolution: int) -> None:
        super().__init__()
        self.size = size
        self.input = nn.Conv2d(inputs, 4 * size, 3, padding=1)
        self.recurrent = nn.Conv2d(size, 4 * size, 3, padding=1)
        self.input_norm = group_norm(4 * size, 16, resolution)
        self.recurrent_norm = group_norm(4 * size, 16, resolution)
        self.memory_norm = group_norm(size, 16, resolution)

    def forward(self, x: Tensor, memory: Memory) -> Tensor:
        """[T B, inputs, r, r] -> the h of all frames, [T B, C, r, r]."""
        h, c = memory
        drives = self.input_norm(convolve(x, self.input.weight, self.input.bias)).split(len(h))
        recurrent = convolution(self.recurrent.weight, self.recurrent.bias, x.shape[-1])
        sizes = [2 * self.size, self.size, self.size]
        hs = []
        for drive in drives:
            gates = drive + self.recurrent_norm(recurrent(h))
            both, g, o = gates.split(sizes, 1)
            i, f = both.sigmoid().chunk(2, 1)
            c = self.memory_norm(torch.addcmul(i * g.tanh(), f, c))
            h = o.sigmoid() * c.tanh()
            hs.append(h)
        return torch.cat(hs)


class PlainCell(nn.Module):
    """gates = Conv[x, h] on 1 x 1 maps."""

    def __init__(self, inputs: int, size: int) -> None:
        super().__init__()
        self.inputs, self.size = inputs, size
        self.gates = nn.Conv2d(inputs + size, 4 * size, 3, padding=1)

    def forward(self, x: Tensor, memory: Memory) -> Tensor:
        """[T B, inputs, 1, 1] -> the h of all frames, [T B, C, 1, 1]."""
        h, c = memory.h.flatten(1), memory.c.flatten(1)
        from_x, from_h = self.gates.weight[:, :, 1, 1].split([self.inputs, self.size], 1)
        drives = F.linear(x.flatten(1), from_x, self.gates.bias).split(len(h))
        from_h, sizes = from_h.t(), [2 * self.size, self.size, self.size]
        hs = []
        for drive in drives:
            both, g, o = torch.addmm(drive, h, from_h).split(sizes, 1)
            i, f = both.sigmoid().chunk(2, 1)
            c = torch.addcmul(i * g.tanh(), f, c)
            h = o.sigmoid() * c.tanh()
            hs.append(h)
        return torch.cat(hs)[:, :, None, None]


class Twin(nn.Module):
    """Prior or posterior of a latent map; `coarser` holds the channels of each coarser z."""

    def __init__(self, size: int, context: int, resolution: int, coarser: Sequence[int]) -> None:
        super().__init__()
        groups = 1 if resolution == 1 else 16
        self.parts = [size, *coarser]
        self.start = Start(size, context, size, resolution)
        self.pre = nn.Conv2d(size, size, 1)
        self.pre_norm = group_norm(size, groups, resolution)
        self.cell = NormedCell(size, size, resolution)
        self.head = nn.Conv2d(sum(self.parts), 2 * size, 1)
        self.head_norm = group_norm(2 * size, groups, resolution)
        nn.init.zeros_(self.head_norm.weight)
        nn.init.normal_(self.head_norm.bias, std=1e-3)

    def forward(
        self, x: Tensor, context: Tensor, coarser: Sequence[Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Mean and variance of all frames, each [T B, C, r, r]."""
        x = self.pre_norm(convolve(x, self.pre.weight, self.pre.bias))
        h = self.cell(x, self.start(context))
        own, *others = self.head.weight.split(self.parts, 1)
        y = convolve(h, own, self.head.bias)
        if coarser:
            read = convolve(coarser[0], others[0])
            for z, weight in zip(coarser[1:], others[1:], strict=True):
                read = add_repeated(convolve(z, weight), read)
            y = add_repeated(y, read)
        mean, raw = self.head_norm(y).chunk(2, 1)
        return mean, F.softplus(raw)


class Up(nn.Module):
    """LReLU(GN(transposed convolution)): [N, I, r, r] -> [N, O, 2r, 2r], or 1 x 1 -> 4 x 4."""

    def __init__(self, inputs: int, outputs: int, resolution: int) -> None:
        super().__init__()
        stride, padding = (1, 0) if resolution == 4 else (2, 1)
        self.conv = nn.ConvTranspose2d(inputs, outputs, 4, stride, padding)
        self.norm = group_norm(outputs, 4, resolution)

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[-1] == 1:
            matrix = self.conv.weight.permute(0, 2, 3, 1).flatten(1)  # [I, O, 4, 4] -> [I, 16 O]
            y = (x.flatten(1) @ matrix).unflatten(1, (4, 4, -1)) + self.conv.bias
            return F.leaky_relu(self.norm(y.permute(0, 3, 1, 2)), 0.2)
        return F.leaky_relu(self.norm(self.conv(x)), 0.2)


class Decoder(nn.Module):
    """All frames' means from e_1 of the frames before them, all z, and the context's maps."""

    def __init__(
        self, features: Mapping[int, int], latents: Sequence[int], channels: int, context: int
    ) -> None:
        super().__init__()
        self.starts, self.ups, self.cells = nn.ModuleDict(), nn.ModuleDict(), nn.ModuleDict()
        self.resolutions = sorted(features)
        below = features[1]
        for r in self.resolutions:
            size = features[r]
            inputs = 2 * size if r in latents else size
            self.starts[str(r)] = Start(size, context, size, r, kernel=3 if r == 4 else 1)
            if r == 1:
                self.cells["1"] = PlainCell(inputs, size)
            else:
                self.ups[str(r)] = Up(below, size, r)
                self.cells[str(r)] = NormedCell(inputs, size, r)
            below = size
        self.smooth = nn.Conv2d(below, below, 3, padding=1)
        self.smooth_norm = group_norm(below, 4, self.resolutions[-1])
        self.last = nn.Conv2d(below, channels, 3, padding=1)

    def forward(self, x: Tensor, z: Mapping[int, Tensor], context: Mapping[int, Tensor]) -> Tensor:
        for r in self.resolutions:
            if r > 1:
                x = self.ups[str(r)](x)
            if r in z:
                x = torch.cat([x, z[r]], 1)
            x = self.cells[str(r)](x, self.starts[str(r)](context[r]))
        x = F.leaky_relu(self.smooth_norm(self.smooth(x)), 0.2)
        return torch.sigmoid(self.last(x))


class HVRNN(nn.Module):
    """HVRNN with dense connections, Laplace likelihood of scale 1 and analytic KL.

    Args:
        encoder: (frames [T B, C, R, R], T) -> maps [T B, F_r, r, r] by resolution r, with the
            attribute `features`: F_r by resolution. It is given the layout channels_last.
        channels: C.
        context: Frames n that are given and not predicted.
        latents: Resolutions of the latent maps, coarsest first.

    Shapes:
        video: [B, T, C, R, R]
        beta: a scalar
        noise: by resolution, [T - n, B, F_r, r, r]
        returns: the loss per sequence, a scalar

    Raises:
        ValueError: If the encoder has no maps at the resolution of a latent map.
    """

    def __init__(
        self,
        encoder: nn.Module,
        *,
        channels: int = 3,
        context: int = 2,
        latents: Sequence[int] = (1, 8, 32),
    ) -> None:
        super().__init__()
        features = cast(dict[int, int], encoder.features)
        if missing := set(latents) - set(features):
            raise ValueError(
                f"there is no map for latents at {sorted(missing)}; the encoder has maps at "
                f"{sorted(features)}, choose among these"
            )
        self.encoder, self.context, self.latents = encoder, context, tuple(latents)
        self.prior, self.posterior = nn.ModuleDict(), nn.ModuleDict()
        for n, r in enumerate(self.latents):
            coarser = [features[s] for s in self.latents[:n]]
            for twins in (self.prior, self.posterior):
                twins[str(r)] = Twin(features[r], context, r, coarser)
        self.decoder = Decoder(features, self.latents, channels, context)
        self.to(memory_format=torch.channels_last)

    def forward(
        self,
        video: Tensor,
        beta: float | Tensor = 1.0,
        noise: Mapping[int, Tensor] | None = None,
    ) -> Tensor:
        batch, length = video.shape[:2]
        given = self.context * batch
        frames = video.transpose(0, 1).flatten(0, 1).contiguous(memory_format=torch.channels_last)
        maps: Mapping[int, Tensor] = self.encoder(frames, length)
        context = {r: torch.cat(e[:given].split(batch), 1) for r, e in maps.items()}
        z: dict[int, Tensor] = {}
        kl = video.new_zeros(())
        for r in self.latents:
            before, now = maps[r][given - batch : -batch], maps[r][given:]
            coarser = list(z.values())
            mean, variance = self.posterior[str(r)](now, context[r], coarser)
            p_mean, p_variance = self.prior[str(r)](before, context[r], coarser)
            ratio = variance / p_variance
            kl = kl + (ratio - 1 - ratio.log() + (mean - p_mean) ** 2 / p_variance).sum() / 2
            epsilon = torch.randn_like(mean) if noise is None else noise[r].flatten(0, 1)
            z[r] = torch.addcmul(mean, variance.sqrt(), epsilon)
        means = self.decoder(maps[1][given - batch : -batch], z, context)
        target = frames[given:]
        reconstruction = F.l1_loss(means, target, reduction="sum") + target.numel() * math.log(2)
        return (reconstruction + beta * kl) / batch
