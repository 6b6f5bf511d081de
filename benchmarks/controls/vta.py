"""VTA's training loss by hand.

With G given frames, T predicted ones and a tail, m_t = 1 a boundary, N() the heads:

    c_t = m GRU(z_{t-1}, c_{t-1}) + (1 - m) c_{t-1}        z_t = m z~_t + (1 - m) z_{t-1}
    z~_t ~ q = N(fwd_{t-1}, bwd_t)      p(z) = N(c_t)      a_t = Linear[c_t, z_t]
    h_t = m a_t + (1 - m) GRU([s_{t-1}, a_t], h_{t-1})     o_t = Linear[h_t, s_t]
    s_t ~ q = N(obsfwd_t, a_t)          p(s) = N(h_t)      frame, next gate's prior from o_t

Nothing of h reaches s, z or c, and nothing of c reaches z. So there are four recurrences, one
after the other: the plain fwd; bwd and obsfwd side by side, reset at boundaries; c; h. Of their
matrix products only the memories' stay in the loops: inputs are projected, states drawn and heads
evaluated for all T frames in one call. Frames pass the encoder and the decoder once.

The gates' log-ratio is that of two logistic densities of tau y = logit + noise; tau itself cancels
in it, value and gradient, and is left to the gradient of m. Segments are counted without a loop.

Reference:
    Variational Temporal Abstraction (Kim, Ahn, Bengio, 2019), https://arxiv.org/abs/1910.00775
"""

__all__ = ["VTA", "Noise"]

import math
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.controls.gaussian import kl_gaussian, negative_log_likelihood

_LIMIT = 2 * math.log(999.0)


class Noise(NamedTuple):
    """The random numbers of one evaluation.

    Shapes:
        gates: [T, B], logistic, of frames G + 1 to G + T
        z, s: [T, B, S], standard normal, of frames G to G + T - 1
    """

    gates: Tensor
    z: Tensor
    s: Tensor


class Head(nn.Linear):
    """Mean and standard deviation, sigmoid(raw), as one matrix product."""

    def __init__(self, inputs: int, state: int) -> None:
        super().__init__(inputs, 2 * state)

    def belief(self, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Both [..., S], of the inputs side by side."""
        joined = inputs[0] if len(inputs) == 1 else torch.cat(inputs, -1)
        mean, raw = self(joined).chunk(2, -1)
        return mean, torch.sigmoid(raw)


class PosteriorGate(nn.Module):
    """Convolutions over time: [L, B, X] -> log-odds [L, B] of a boundary."""

    def __init__(self, features: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for _ in range(3):
            layers += [
                nn.Conv1d(features, features, kernel_size=3, padding=1, bias=False),
                nn.BatchNorm1d(features),
                nn.ELU(inplace=True),
            ]
        self.layers = nn.Sequential(*layers, nn.Conv1d(features, 2, kernel_size=3, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        read, copy = self.layers(x.permute(1, 2, 0)).unbind(1)
        return cast(Tensor, (read - copy).t())


class Drives(NamedTuple):
    """What inputs contribute to a GRU's gates, by step: reset and update, and the new memory."""

    gates: tuple[Tensor, ...]
    new: tuple[Tensor, ...]


def drives(projected: Tensor, dim: int = 0) -> Drives:
    """Of W u + b [..., 3D], whose steps are on dimension `dim`."""
    size = projected.shape[-1] // 3
    gates, new = projected.split([2 * size, size], -1)
    return Drives(gates.unbind(dim), new.unbind(dim))


def advance(gates: Tensor, new: Tensor, hidden: Tensor, h: Tensor) -> Tensor:
    """A GRU's next memory, given what its inputs and its memory contribute to the gates."""
    size = h.shape[-1]
    from_h, recalled = hidden.split([2 * size, size], -1)
    reset, update = torch.sigmoid(gates + from_h).chunk(2, -1)
    return torch.lerp(torch.tanh(torch.addcmul(new, reset, recalled)), h, update)


class VTA(nn.Module):
    """VTA with the rules of segment number and length on the prior of its gates.

    Args:
        encoder: [N, C, H, W] -> [N, X], with the attribute `features` = X.
        decoder: [N, Y] -> [N, C, H, W], with the attribute `inputs` = Y.
        given: Frames G before the predicted ones, at least 1.
        tail: Frames after them, at least 1.
        belief: Size D of c, h, a and the summaries.
        state: Size S of z and s.
        number: Boundaries after which the prior expects no more.
        length: Frames after which it expects one.
        std: Standard deviation of the frames.

    Shapes:
        video: [B, G + T + tail, C, H, W], in the decoder's range
        temperature: a scalar
        returns: the loss per predicted frame and sequence, a scalar

    Raises:
        ValueError: If `given` or `tail` is below 1; in a call, if no frame is left to predict.
    """

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        *,
        given: int = 5,
        tail: int = 5,
        belief: int = 128,
        state: int = 8,
        number: int = 5,
        length: int = 8,
        std: float = 1.0,
    ) -> None:
        super().__init__()
        if min(given, tail) < 1:
            raise ValueError(
                f"VTA needs at least one frame before and after the predicted ones, "
                f"got given={given} and tail={tail}"
            )
        features, inputs = cast(int, encoder.features), cast(int, decoder.inputs)
        self.encoder, self.decoder = encoder, decoder
        self.given, self.tail, self.state, self.std = given, tail, state, std
        self.number, self.length = number, length
        self.posterior_gate = PosteriorGate(features)
        self.prior_gate = nn.Linear(inputs, 2)
        self.fwd = nn.GRU(features, belief)
        self.bwd = nn.GRUCell(features, belief)
        self.obsfwd = nn.GRUCell(features, belief)
        self.abstract_cell = nn.GRUCell(state, belief)
        self.observed_cell = nn.GRUCell(state + belief, belief)
        self.abstract_feature = nn.Linear(belief + state, belief)
        self.observed_feature = nn.Linear(belief + state, inputs)
        self.prior_z, self.posterior_z = Head(belief, state), Head(2 * belief, state)
        self.prior_s, self.posterior_s = Head(belief, state), Head(2 * belief, state)

    def segment_summaries(self, x: Tensor, m: Tensor) -> tuple[Tensor, Tensor]:
        """bwd and obsfwd, [T, B, D] each, of x [T, B, X] and m [T, B]."""
        cells = (self.bwd, self.obsfwd)
        weight_ih, weight_hh, bias_ih, bias_hh = (
            torch.stack([getattr(cell, name) for cell in cells])
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        both = torch.stack([x.flip(0), x])  # [2, T, B, X], bwd in its own order
        projected = torch.baddbmm(bias_ih[:, None], both.flatten(1, 2), weight_ih.mT)
        steps = drives(projected.unflatten(1, x.shape[:2]), dim=1)
        # bwd starts anew where the frame after is a boundary, as the one after the last is.
        after = torch.cat([m[1:], torch.ones_like(m[:1])])
        kept = (1 - torch.stack([after.flip(0), m], 1)).unsqueeze(-1)  # [T, 2, B, 1]
        weight, bias = weight_hh.mT, bias_hh[:, None]
        h = x.new_zeros(2, x.shape[1], self.bwd.hidden_size)
        memories = []
        for gates, new, keep in zip(*steps, kept, strict=True):
            h = h * keep
            h = advance(gates, new, torch.baddbmm(bias, h, weight), h)
            memories.append(h)
        bwd, obsfwd = torch.stack(memories, 1)
        return bwd.flip(0), obsfwd

    def abstract(self, fwd: Tensor, drawn: Tensor, m: Tensor) -> tuple[Tensor, Tensor]:
        """c and z, [T, B, ...], of fwd one frame before, samples of q(z) and m [T, B, 1]."""
        z, reads = drawn[0], m.unbind()[1:]
        zs = [z]
        for sample, read in zip(drawn.unbind()[1:], reads, strict=True):
            z = torch.lerp(z, sample, read)
            zs.append(z)
        z = torch.stack(zs)
        cell = self.abstract_cell
        weight, bias = cell.weight_hh.t(), cell.bias_hh
        c = fwd[0]
        cs = [c]
        steps = drives(F.linear(z[:-1], cell.weight_ih, cell.bias_ih))
        for gates, new, read in zip(*steps, reads, strict=True):
            c = torch.lerp(c, advance(gates, new, torch.addmm(bias, c, weight), c), read)
            cs.append(c)
        return torch.stack(cs), z

    def observed(self, a: Tensor, s: Tensor, m: Tensor) -> Tensor:
        """h, [T, B, D], of a, s and m [T, B, 1]."""
        cell = self.observed_cell
        weight, bias = cell.weight_hh.t(), cell.bias_hh
        resets = a.unbind()
        h = resets[0]
        hs = [h]
        steps = drives(F.linear(torch.cat([s[:-1], a[1:]], -1), cell.weight_ih, cell.bias_ih))
        for gates, new, reset, read in zip(*steps, resets[1:], m.unbind()[1:], strict=True):
            h = torch.lerp(advance(gates, new, torch.addmm(bias, h, weight), h), reset, read)
            hs.append(h)
        return torch.stack(hs)

    def prior_logits(self, o: Tensor, read: Tensor) -> Tensor:
        """Log-odds [T, B] of the gates one frame after o's, under the two rules.

        Args:
            o: [T, B, Y].
            read: m without gradient, [T, B].
        """
        index = torch.arange(len(o), dtype=o.dtype, device=o.device)[:, None]
        begun = (index * read).cummax(0).values
        two = self.prior_gate(o)
        logits = two[..., 0] - two[..., 1]
        logits = logits.masked_fill(read.cumsum(0) >= self.number, -_LIMIT)
        return logits.masked_fill(index - begun + 1 >= self.length, _LIMIT)

    def noise(self, like: Tensor, frames: int, batch: int) -> Noise:
        """Fresh random numbers."""
        u = torch.rand(frames, batch, dtype=like.dtype, device=like.device)
        normal = like.new_empty(2, frames, batch, self.state).normal_()
        return Noise(torch.logit(u, eps=torch.finfo(u.dtype).eps), *normal)

    def forward(
        self, video: Tensor, temperature: Tensor | float = 1.0, noise: Noise | None = None
    ) -> Tensor:
        batch, given, tail = len(video), self.given, self.tail
        length = video.shape[1] - given - tail
        if length < 1:
            raise ValueError(
                f"clips of {video.shape[1]} frames leave none to predict between {given} given "
                f"ones and a tail of {tail}; use at least {given + tail + 1}"
            )
        if noise is None:
            noise = self.noise(video, length, batch)
        frames = video.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        x = self.encoder(frames).unflatten(0, (batch, -1)).transpose(0, 1).contiguous()

        scaled = self.posterior_gate(x)[given + 1 : given + 1 + length] + noise.gates
        soft = torch.sigmoid(scaled[:-1] / temperature)
        free = (scaled[:-1] > 0).to(soft.dtype) + (soft - soft.detach())
        m = torch.cat([torch.ones_like(scaled[:1]), free])
        read = m.detach()

        fwd = self.fwd(x[: given + length - 1])[0][given - 1 :]
        bwd, obsfwd = self.segment_summaries(x[given : given + length], m)
        q_z = self.posterior_z.belief(fwd, bwd)
        c, z = self.abstract(fwd, torch.addcmul(q_z[0], q_z[1], noise.z), m.unsqueeze(-1))
        a = self.abstract_feature(torch.cat([c, z], -1))
        q_s = self.posterior_s.belief(obsfwd, a)
        s = torch.addcmul(q_s[0], q_s[1], noise.s)
        h = self.observed(a, s, m.unsqueeze(-1))
        o = self.observed_feature(torch.cat([h, s], -1))

        kl = read * kl_gaussian(*q_z, *self.prior_z.belief(c)).sum(-1)
        kl = kl + kl_gaussian(*q_s, *self.prior_s.belief(h)).sum(-1)
        below = self.prior_logits(o, read) - scaled
        gate = _log_logistic(noise.gates) - _log_logistic(below)
        mean = self.decoder(o.transpose(0, 1).flatten(0, 1)).unflatten(0, (batch, length))
        nll = negative_log_likelihood(mean, video[:, given : given + length], self.std)
        return nll / (batch * length) + (kl + gate).mean()


def _log_logistic(d: Tensor) -> Tensor:
    """log density of the standard logistic distribution, an even function."""
    return F.logsigmoid(d) + F.logsigmoid(-d)
