"""SVG-LP's training loss by hand, skips frozen at the last context frame.

Under teacher forcing no frame waits for another, so that everything runs once, on all frames:

    e, maps = encode(x_0 .. x_{T-1})
    q = head(LSTM(W e_1 .. e_{T-1}))     p = head(LSTM(W e_0 .. e_{T-2}))     head = mean, log var
    z = mean + exp(log var / 2) noise
    d = tanh(U LSTM LSTM(W [e_0 .. e_{T-2}, z]))
    loss = sum_t MSE(decode(d_t, maps of frame min(t - 1, context - 1)), x_t) + beta KL

Time stands in front, [T, B, ...], as the LSTMs and BatchNorm's statistics of each step want it.
The decoder convolves the maps of a source frame once, however many frames read them.

Reference:
    Stochastic Video Generation with a Learned Prior (Denton, Fergus, 2018),
    https://arxiv.org/abs/1802.07687
"""

__all__ = ["SVG", "GaussianLSTM", "Predictor"]

from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class GaussianLSTM(nn.Module):
    """Beliefs of all frames: [T, B, G] -> mean and log variance, [T, B, Z] each."""

    def __init__(self, features: int, hidden: int, state: int) -> None:
        super().__init__()
        self.embed = nn.Linear(features, hidden)
        self.lstm = nn.LSTM(hidden, hidden)
        self.output = nn.Linear(hidden, 2 * state)

    def forward(self, e: Tensor) -> tuple[Tensor, ...]:
        h, _ = self.lstm(self.embed(e))
        return cast(Tensor, self.output(h)).chunk(2, -1)


class Predictor(nn.Module):
    """What is decoded, of all frames: [T, B, G + Z] -> [T, B, G]."""

    def __init__(self, features: int, hidden: int, state: int) -> None:
        super().__init__()
        self.embed = nn.Linear(features + state, hidden)
        self.lstm = nn.LSTM(hidden, hidden, num_layers=2)
        self.output = nn.Linear(hidden, features)

    def forward(self, e: Tensor, z: Tensor) -> Tensor:
        h, _ = self.lstm(self.embed(torch.cat((e, z), -1)))
        return torch.tanh(self.output(h))


class SVG(nn.Module):
    """SVG-LP with networks that have skips.

    Args:
        encoder: [T B, C, H, W], steps=T -> maps by resolution, with the attribute `features`,
            their channels by resolution; the vector, of size G, is the map at 1.
        decoder: [T B, G], maps of source frames [S B, ...], the T steps' source frames ->
            [T B, C, H, W], with the attributes `inputs` = G and `skips`, the maps that it reads.
        state: Size Z of z.
        hidden: Size of the LSTMs.
        context: Frames up to which the skips follow.
        beta: Weight of the KL.

    Shapes:
        video: [B, T, C, H, W]
        noise: [T - 1, B, Z]
        returns: the sum over frames of MSE and weighted KL, a scalar

    Raises:
        ValueError: If the decoder does not read vectors of the encoder's size.
    """

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        *,
        state: int = 10,
        hidden: int = 256,
        context: int = 5,
        beta: float = 1e-4,
    ) -> None:
        super().__init__()
        features = cast(dict[int, int], encoder.features)[1]
        if decoder.inputs != features:
            raise ValueError(
                f"the decoder reads {decoder.inputs} numbers, but the encoder makes {features}; "
                f"build it with features={features}"
            )
        self.encoder, self.decoder = encoder, decoder
        self.state, self.context, self.beta = state, context, beta
        self.posterior = GaussianLSTM(features, hidden, state)
        self.prior = GaussianLSTM(features, hidden, state)
        self.predictor = Predictor(features, hidden, state)

    def decode(self, d: Tensor, maps: dict[int, Tensor]) -> Tensor:
        """The mean frames, [(T - 1) B, C, H, W], from d, [T - 1, B, G]."""
        steps, batch = d.shape[:2]
        sources = min(self.context, steps)
        which = [min(t, sources - 1) for t in range(steps)]
        skips = {r: maps[r][: sources * batch] for r in cast(dict[int, int], self.decoder.skips)}
        return cast(Tensor, self.decoder(d.flatten(0, 1), skips, which))

    def forward(self, video: Tensor, noise: Tensor | None = None) -> Tensor:
        batch, length = video.shape[:2]
        frames = video.transpose(0, 1).flatten(0, 1)
        maps: dict[int, Any] = self.encoder(frames, steps=length)
        e = maps[1].view(length, batch, -1)
        past, seen = e[:-1], e[1:]
        q_mean, q_log = self.posterior(seen)
        p_mean, p_log = self.prior(past)
        if noise is None:
            noise = torch.randn_like(q_mean)
        z = torch.addcmul(q_mean, torch.exp(q_log / 2), noise)
        mean = self.decode(self.predictor(past, z), maps)
        squares = F.mse_loss(mean, frames[batch:], reduction="sum")
        kl = (p_log - q_log - 1 + (q_log.exp() + (q_mean - p_mean) ** 2) * (-p_log).exp()).sum()
        return squares / (batch * video[0, 0].numel()) + self.beta / (2 * batch) * kl
