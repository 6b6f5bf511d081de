"""VTA, one frame at a time: a literal transcription of its loss, its predictions and its jumps.

A clip has G given frames, T predicted ones (t = G .. G + T - 1) and a tail of at least one frame.
m_t = 1 is a boundary ("read"), m_t = 0 a copy. x_t = encode(frame t); N() are the heads.

    gates    lq_t = log-odds of m_t = 1: the first of two outputs of convolutions over time, less
             the second
             y_t = (lq_t + logistic noise) / tau,  m_t = 1 if y_t > 0 else 0, with the gradient of
             sigmoid(y_t); forced to 1 (no gradient) for t <= G and for t >= G + T
    summaries
             fwd_t = GRU(x_t, fwd_{t-1})
             bwd_t = GRU(x_t, (1 - m_{t+1}) bwd_{t+1})               of t .. the segment's end
             obsfwd_t = GRU(x_t, (1 - m_t) obsfwd_{t-1})             of the segment's start .. t
    abstract c_G = fwd_{G-1},  c_t = m_t GRU(z_{t-1}, c_{t-1}) + (1 - m_t) c_{t-1}
             p(z) = N(c_t),  q(z) = N(fwd_{t-1}, bwd_t),  z_t = m_t sample + (1 - m_t) z_{t-1}
             a_t = Linear[c_t, z_t]
    observed h_t = m_t a_t + (1 - m_t) GRU([s_{t-1}, a_t], h_{t-1})
             p(s) = N(h_t),  q(s) = N(obsfwd_t, a_t),  s_t = sample
             o_t = Linear[h_t, s_t],  mean of frame t = decode(o_t)
             lp_{t+1} = log-odds of m_{t+1} = 1: two outputs of Linear(o_t), first less second
    loss     the mean over clips and predicted frames of
             -log N(frame; mean, sigma) + m_t KL[q(z) || p(z)] + KL[q(s) || p(s)]
             + log q(y_{t+1}) - log p(y_{t+1})

The KL of z is weighted by m_t's value alone. Both gate densities are those of a logistic variable
of location l and scale 1, divided by tau (a relaxed Bernoulli in logit space); they score y as it
was drawn, forced or not, so the last one lies one frame past the last predicted.

In training, lp_{t+1} gives way to two rules on the predicted frames' m up to t, whose segments
are counted from frame G on: after 5 boundaries it is -2 ln 999, and where the current segment is
8 frames long it is +2 ln 999; the second rule wins.

Prediction: c = fwd of the context's last frame, then all of the above with p for q and
m_{t+1} = 1 if lp_{t+1} + noise > 0 (noise 0: the likelier one; logistic noise: a sample). A jump
predicts one frame a segment: c = GRU(z, c), z ~ N(c), a, h = a, s ~ N(h).

Reference:
    Variational Temporal Abstraction (Kim, Ahn, Bengio, 2019), https://arxiv.org/abs/1910.00775,
    and its authors' implementation, https://github.com/taesupkim/vta.
"""

__all__ = [
    "LIMIT",
    "VTA",
    "Noise",
    "Summaries",
    "gate_log_density",
    "generate",
    "jump",
    "random_noise",
    "regulated",
    "straight_through",
    "summaries",
    "vta",
]

import math
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.oracles.equations import Belief, kl_gaussian, log_normal

LIMIT = 2 * math.log(999.0)


class Noise(NamedTuple):
    """The random numbers of one evaluation.

    Shapes:
        gates: [B, T], logistic; entry i belongs to frame G + 1 + i
        z, s: [B, T, S], standard normal; entry i belongs to frame G + i
    """

    gates: Tensor
    z: Tensor
    s: Tensor


class Summaries(NamedTuple):
    """What the inference GRUs hold after each frame of a clip, each [B, G + T + tail, D]."""

    fwd: Tensor
    bwd: Tensor
    obsfwd: Tensor


class Head(nn.Module):
    """N(Linear, sigmoid(Linear)) of the inputs side by side."""

    def __init__(self, inputs: int, state: int) -> None:
        super().__init__()
        self.mean = nn.Linear(inputs, state)
        self.std = nn.Linear(inputs, state)

    def forward(self, *inputs: Tensor) -> Belief:
        joined = torch.cat(inputs, -1)
        return Belief(self.mean(joined), torch.sigmoid(self.std(joined)))


class Encoder(nn.Module):
    """Convolutions of kernel 4 that halve down to 4 x 4 pixels, and one from there to a vector.

    Shapes:
        frames: [N, C, R, R]
        returns: [N, F]
    """

    def __init__(self, channels: int, features: int, resolution: int) -> None:
        super().__init__()
        self.halvings = int(math.log2(resolution // 4))
        self.convolutions = nn.ModuleList(
            nn.Conv2d(
                channels if i == 0 else features,
                features,
                kernel_size=4,
                stride=2 if i < self.halvings else 1,
                padding=1 if i < self.halvings else 0,
                bias=False,
            )
            for i in range(self.halvings + 1)
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(features) for _ in self.convolutions)

    def forward(self, frames: Tensor) -> Tensor:
        x = frames
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            x = F.elu(norm(convolution(x)))
        return x[:, :, 0, 0]


class Decoder(nn.Module):
    """The encoder's mirror, with a bias and tanh at the end.

    Shapes:
        o: [N, F]
        returns: [N, C, R, R]
    """

    def __init__(self, channels: int, features: int, resolution: int) -> None:
        super().__init__()
        doublings = int(math.log2(resolution // 4))
        self.convolutions = nn.ModuleList(
            nn.ConvTranspose2d(
                features,
                features if i < doublings else channels,
                kernel_size=4,
                stride=1 if i == 0 else 2,
                padding=0 if i == 0 else 1,
                bias=i == doublings,
            )
            for i in range(doublings + 1)
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(features) for _ in range(doublings))

    def forward(self, o: Tensor) -> Tensor:
        x = o[:, :, None, None]
        for convolution, norm in zip(self.convolutions[:-1], self.norms, strict=True):
            x = F.elu(norm(convolution(x)))
        return torch.tanh(self.convolutions[-1](x))


class PosteriorGate(nn.Module):
    """Four convolutions over time, zeros beyond both ends of the clip.

    Shapes:
        x: [B, frames, F]
        returns: log-odds [B, frames] of m = 1
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(
            nn.Conv1d(features, features, kernel_size=3, padding=1, bias=False) for _ in range(3)
        )
        self.norms = nn.ModuleList(nn.BatchNorm1d(features) for _ in range(3))
        self.out = nn.Conv1d(features, 2, kernel_size=3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        y = x.transpose(1, 2)
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            y = F.elu(norm(convolution(y)))
        two = self.out(y)
        return two[:, 0] - two[:, 1]


class VTA(nn.Module):
    """VTA's networks; training mode and evaluation mode differ in BatchNorm alone.

    Args:
        channels: C of the frames.
        resolution: R, a power of two from 8 on.
        features: F, of the encoder, of o and of all convolutions.
        belief: D of c, h, a and the summaries.
        state: S of z and s.
    """

    def __init__(
        self,
        channels: int = 3,
        resolution: int = 32,
        *,
        features: int = 128,
        belief: int = 128,
        state: int = 8,
    ) -> None:
        super().__init__()
        self.encoder = Encoder(channels, features, resolution)
        self.decoder = Decoder(channels, features, resolution)
        self.posterior_gate = PosteriorGate(features)
        self.prior_gate = nn.Linear(features, 2)
        self.fwd = nn.GRUCell(features, belief)
        self.bwd = nn.GRUCell(features, belief)
        self.obsfwd = nn.GRUCell(features, belief)
        self.abstract_cell = nn.GRUCell(state, belief)
        self.observed_cell = nn.GRUCell(state + belief, belief)
        self.abstract_feature = nn.Linear(belief + state, belief)
        self.observed_feature = nn.Linear(belief + state, features)
        self.prior_z = Head(belief, state)
        self.posterior_z = Head(2 * belief, state)
        self.prior_s = Head(belief, state)
        self.posterior_s = Head(2 * belief, state)

    def encode(self, video: Tensor) -> Tensor:
        """x [B, frames, F] of frames [B, frames, C, R, R], all in one batch."""
        x: Tensor = self.encoder(video.flatten(0, 1))
        return x.unflatten(0, video.shape[:2])

    def decode(self, o: Tensor) -> Tensor:
        """Frames [B, T, C, R, R] of o [B, T, F], all in one batch."""
        frames: Tensor = self.decoder(o.flatten(0, 1))
        return frames.unflatten(0, o.shape[:2])

    def a(self, c: Tensor, z: Tensor) -> Tensor:
        """The abstract level's feature."""
        feature: Tensor = self.abstract_feature(torch.cat([c, z], -1))
        return feature

    def o(self, h: Tensor, s: Tensor) -> Tensor:
        """The observation level's feature."""
        feature: Tensor = self.observed_feature(torch.cat([h, s], -1))
        return feature

    def observe(self, s: Tensor, a: Tensor, h: Tensor) -> Tensor:
        """The observation level's next memory inside a segment."""
        memory: Tensor = self.observed_cell(torch.cat([s, a], -1), h)
        return memory

    def prior_logit(self, o: Tensor) -> Tensor:
        """Log-odds [...] of a boundary at the frame after o's."""
        two: Tensor = self.prior_gate(o)
        return two[..., 0] - two[..., 1]


def random_noise(*, batch: int, frames: int, state: int, seed: int = 0) -> Noise:
    """Float64 noise of its own seed."""
    generator = torch.Generator().manual_seed(seed)
    u = torch.rand(batch, frames, dtype=torch.float64, generator=generator)
    z, s = torch.randn(2, batch, frames, state, dtype=torch.float64, generator=generator)
    return Noise(torch.log(u) - torch.log(1 - u), z, s)


def straight_through(y: Tensor) -> Tensor:
    """1 where y > 0, else 0, with the gradient of sigmoid(y)."""
    soft = torch.sigmoid(y)
    return (y > 0).to(y.dtype) + (soft - soft.detach())


def gate_log_density(y: Tensor, logit: Tensor, temperature: Tensor | float) -> Tensor:
    """log tau + d - 2 log(1 + exp d) with d = logit - tau y."""
    d = logit - temperature * y
    tau = torch.as_tensor(temperature, dtype=y.dtype)
    return torch.log(tau) + d - 2 * torch.logaddexp(d, torch.zeros_like(d))


def regulated(logits: Tensor, m: Tensor, *, number: int = 5, length: int = 8) -> Tensor:
    """Prior log-odds under the two rules of training.

    Args:
        logits: [B, T], of m_{t+1} for the predicted frames t.
        m: [B, T], of the predicted frames t themselves.
        number: Boundaries after which there are no more.
        length: Frames after which a segment ends.
    """
    rows = []
    for b in range(logits.shape[0]):
        boundaries, frames, row = 0, 0, []
        for i in range(logits.shape[1]):
            if m[b, i] > 0.5:
                boundaries, frames = boundaries + 1, 1
            else:
                frames = frames + 1
            if frames >= length:
                row.append(torch.full_like(logits[b, i], LIMIT))
            elif boundaries >= number:
                row.append(torch.full_like(logits[b, i], -LIMIT))
            else:
                row.append(logits[b, i])
        rows.append(torch.stack(row))
    return torch.stack(rows)


def summaries(network: VTA, x: Tensor, m: Tensor) -> Summaries:
    """The three inference GRUs over all frames.

    Shapes:
        x: [B, frames, F]
        m: [B, frames]
    """
    frames = x.shape[1]
    zeros = x.new_zeros(x.shape[0], network.fwd.hidden_size)
    fwd, bwd, obsfwd = zeros, zeros, zeros
    fwds: list[Tensor] = []
    bwds: list[Tensor] = []
    obsfwds: list[Tensor] = []
    for t in range(frames):
        fwd = network.fwd(x[:, t], fwd)
        fwds.append(fwd)
        obsfwd = network.obsfwd(x[:, t], (1 - m[:, t, None]) * obsfwd)
        obsfwds.append(obsfwd)
    for t in reversed(range(frames)):
        bwd = network.bwd(x[:, t], bwd)
        bwds.insert(0, bwd)
        bwd = (1 - m[:, t, None]) * bwd
    return Summaries(torch.stack(fwds, 1), torch.stack(bwds, 1), torch.stack(obsfwds, 1))


def vta(
    video: Tensor,
    network: VTA,
    noise: Noise,
    *,
    given: int,
    tail: int,
    temperature: Tensor | float = 1.0,
    std: float = 1.0,
    number: int = 5,
    length: int = 8,
    regulate: bool = True,
    forced: Tensor | None = None,
) -> dict[str, Any]:
    """One evaluation of the loss.

    Args:
        video: [B, G + T + tail, C, R, R], in the range of the decoder, [-1, 1].
        network: In training mode, or BatchNorm takes its running statistics.
        noise: See `Noise`.
        given: G, at least 1.
        tail: Frames after the predicted ones, at least 1.
        temperature: tau.
        std: Standard deviation sigma of the frames.
        number, length: Of the rules on the prior's log-odds.
        regulate: Whether those rules act; they do in training alone.
        forced: [B, T - 1], m of frames G + 1 .. G + T - 1 in the place of the drawn ones; the
            gate term scores the drawn ones all the same.

    Returns:
        Of all frames, [B, G + T + tail, ...]: "x", "m", and "fwd", "bwd", "obsfwd".
        Of the predicted frames, [B, T, ...]: "c", "z", "a", "h", "s", "o", the mean "frames";
        the beliefs "prior_z", "posterior_z", "prior_s", "posterior_s"; "nll", "kl_z" (times m),
        "kl_s" in nats, [B, T].
        Of the frames after them, G + 1 .. G + T, [B, T]: "posterior_logits", "y",
        "free_prior_logits" and, under the rules, "prior_logits"; "gate", the gate term.
        "loss": a scalar.
    """
    B, T = video.shape[0], video.shape[1] - given - tail
    x = network.encode(video)
    posterior_logits = network.posterior_gate(x)[:, given + 1 : given + T + 1]
    y = (posterior_logits + noise.gates) / temperature
    free = straight_through(y)[:, :-1] if forced is None else forced
    m = torch.cat([x.new_ones(B, given + 1), free, x.new_ones(B, tail)], 1)
    fwd, bwd, obsfwd = summaries(network, x, m)

    c = z = h = s = x.new_zeros(0)  # the first predicted frame reads none of them
    states: dict[str, list[Tensor]] = {name: [] for name in "czahso"}
    beliefs: dict[str, list[Belief]] = {
        name: [] for name in ("prior_z", "posterior_z", "prior_s", "posterior_s")
    }
    for t in range(given, given + T):
        i, read = t - given, m[:, t, None]
        q = network.posterior_z(fwd[:, t - 1], bwd[:, t])
        drawn = q.mean + q.std * noise.z[:, i]
        if t == given:
            c, z = fwd[:, t - 1], drawn
        else:
            c = read * network.abstract_cell(z, c) + (1 - read) * c
            z = read * drawn + (1 - read) * z
        beliefs["posterior_z"].append(q)
        beliefs["prior_z"].append(network.prior_z(c))
        a = network.a(c, z)

        if t == given:
            h = a
        else:
            h = read * a + (1 - read) * network.observe(s, a, h)
        q = network.posterior_s(obsfwd[:, t], a)
        s = q.mean + q.std * noise.s[:, i]
        beliefs["posterior_s"].append(q)
        beliefs["prior_s"].append(network.prior_s(h))
        for name, value in zip("czahso", (c, z, a, h, s, network.o(h, s)), strict=True):
            states[name].append(value)

    out: dict[str, Any] = {name: torch.stack(values, 1) for name, values in states.items()}
    for name, found in beliefs.items():
        out[name] = Belief(*(torch.stack(parts, 1) for parts in zip(*found, strict=True)))
    predicted = slice(given, given + T)
    free_prior_logits = network.prior_logit(out["o"])
    prior_logits = free_prior_logits
    if regulate:
        prior_logits = regulated(free_prior_logits, m[:, predicted], number=number, length=length)
    gate = gate_log_density(y, posterior_logits, temperature) - gate_log_density(
        y, prior_logits, temperature
    )
    frames = network.decode(out["o"])
    nll = -log_normal(video[:, predicted], frames, std).sum((2, 3, 4))
    kl_z = m[:, predicted].detach() * kl_gaussian(out["posterior_z"], out["prior_z"])
    kl_s = kl_gaussian(out["posterior_s"], out["prior_s"])
    return out | {
        "x": x,
        "m": m,
        "fwd": fwd,
        "bwd": bwd,
        "obsfwd": obsfwd,
        "posterior_logits": posterior_logits,
        "y": y,
        "free_prior_logits": free_prior_logits,
        "prior_logits": prior_logits,
        "frames": frames,
        "nll": nll,
        "kl_z": kl_z,
        "kl_s": kl_s,
        "gate": gate,
        "loss": nll.mean() + kl_z.mean() + kl_s.mean() + gate.mean(),
    }


def _remember(network: VTA, context: Tensor) -> Tensor:
    """fwd of the context's last frame."""
    x = network.encode(context)
    fwd = x.new_zeros(x.shape[0], network.fwd.hidden_size)
    for t in range(x.shape[1]):
        fwd = network.fwd(x[:, t], fwd)
    return fwd


def _sample(belief: Belief, noise: Tensor) -> Tensor:
    return belief.mean + belief.std * noise


def generate(network: VTA, context: Tensor, noise: Noise) -> dict[str, Tensor]:
    """Predicts as many frames as there is noise for.

    Args:
        network: In evaluation mode.
        context: [B, G, C, R, R].
        noise: Gate noise of zeros takes the likelier gate each time.

    Returns:
        "m" [B, T]; "c", "z", "a", "h", "s", "o" [B, T, ...]; "logits" [B, T], of the boundary
        after each frame; "frames" [B, T, C, R, R].
    """
    c = _remember(network, context)
    z = h = s = context.new_zeros(0)  # the first frame reads none of them
    m = context.new_ones(context.shape[0], 1)
    record: dict[str, list[Tensor]] = {name: [] for name in ("m", *"czahso", "logits")}
    for i in range(noise.z.shape[1]):
        if i > 0:
            c = m * network.abstract_cell(z, c) + (1 - m) * c
        drawn = _sample(network.prior_z(c), noise.z[:, i])
        z = drawn if i == 0 else m * drawn + (1 - m) * z
        a = network.a(c, z)
        h = a if i == 0 else m * a + (1 - m) * network.observe(s, a, h)
        s = _sample(network.prior_s(h), noise.s[:, i])
        o = network.o(h, s)
        logits = network.prior_logit(o)
        values = (m[:, 0], c, z, a, h, s, o, logits)
        for name, value in zip(record, values, strict=True):
            record[name].append(value)
        m = (logits + noise.gates[:, i] > 0).to(context.dtype)[:, None]
    out = {name: torch.stack(values, 1) for name, values in record.items()}
    return out | {"frames": network.decode(out["o"])}


def jump(network: VTA, context: Tensor, z_noise: Tensor, s_noise: Tensor) -> Tensor:
    """The first frame of each of the next segments.

    Args:
        network: In evaluation mode.
        context: [B, G, C, R, R].
        z_noise, s_noise: [B, segments, S], standard normal.

    Returns:
        [B, segments, C, R, R].
    """
    c = _remember(network, context)
    features = []
    for i in range(z_noise.shape[1]):
        z = _sample(network.prior_z(c), z_noise[:, i])
        h = network.a(c, z)
        features.append(network.o(h, _sample(network.prior_s(h), s_noise[:, i])))
        c = network.abstract_cell(z, c)
    return network.decode(torch.stack(features, 1))
