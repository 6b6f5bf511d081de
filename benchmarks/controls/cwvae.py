"""CW-VAE's training loss by hand.

Level l ticks every k^l frames. Levels run top-down, each over all of its ticks, since nothing of a
level reaches the levels above it. Inside the loop over ticks stands only what depends on the
sample before:

    u = relu(W1 [z, c] + b1)    h = GRU(u, h)    q = relu(V2 relu(V1 [h, e] + d1) + d2)
    z ~ posterior(q)

Outside it, in one call for all ticks: the convolutions over all B T frames, the evidence MLPs and
window sums, the parts of W1 and V1 that read the parent and the evidence, the noise, the prior's
layers, the KL.

Generation has no posterior, so all levels go frame by frame, and a frame's z is drawn from its
prior; what a parent contributes to its child is computed at the parent's ticks.

Reference:
    Clockwork Variational Autoencoders (Saxena, Ba, Hafner, 2021), https://arxiv.org/abs/2102.09532
"""

__all__ = ["CWVAE"]

from collections.abc import Iterator, Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.controls.gaussian import kl_gaussian, negative_log_likelihood


class Head(nn.Linear):
    """mean = W x + b and std = softplus(W' (x + 0.54) + b') + 1e-4 as one matrix product."""

    def __init__(self, inputs: int, state: int) -> None:
        super().__init__(inputs, 2 * state)
        self.state = state

    def shifted_bias(self) -> Tensor:
        """The bias that does the work of adding 0.54 to the std layer's input."""
        shift = 0.54 * self.weight[self.state :].sum(1)
        return torch.cat([self.bias[: self.state], self.bias[self.state :] + shift])

    def distribution(self, x: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation, each [..., S]."""
        mean, raw = F.linear(x, self.weight, bias).chunk(2, -1)
        return mean, F.softplus(raw) + 1e-4


class Cell(nn.Module):
    """One level: its memory, its posterior and its prior, over all of its ticks."""

    def __init__(self, state: int, memory: int, hidden: int, features: int) -> None:
        super().__init__()
        self.state, self.memory = state, memory
        self.joint = nn.Linear(2 * state + memory, hidden)
        self.gru = nn.GRUCell(hidden, memory)
        self.prior = nn.Linear(memory, hidden)
        self.prior_head = Head(hidden, state)
        self.posterior1 = nn.Linear(memory + features, hidden)
        self.posterior2 = nn.Linear(hidden, hidden)
        self.posterior_head = Head(hidden, state)

    def forward(
        self, evidence: Tensor, parent: Tensor | None, factor: int, noise: Tensor
    ) -> tuple[Tensor, Tensor]:
        """States and KL of all ticks.

        Args:
            evidence: [N, B, X].
            parent: States of the level above, [N', B, S + D]; tick n reads its tick n // factor.
            noise: [N, B, S].

        Returns:
            States [z, h], [N, B, S + D], and the KL summed over everything.
        """
        from_z, from_c = self.joint.weight.split([self.state, self.state + self.memory], 1)
        from_h, from_e = self.posterior1.weight.split([self.memory, evidence.shape[-1]], 1)
        from_z, from_h = from_z.t(), from_h.t()
        drives: list[Tensor]
        if parent is None:
            drives = [self.joint.bias] * len(evidence)
        else:
            held = F.linear(parent, from_c, self.joint.bias).unbind()
            drives = [held[n // factor] for n in range(len(evidence))]
        seen = F.linear(evidence, from_e, self.posterior1.bias).unbind()
        bias = self.posterior_head.shifted_bias()

        z = evidence.new_zeros(evidence.shape[1], self.state)
        h = evidence.new_zeros(evidence.shape[1], self.memory)
        zs, hs, means, stds = [], [], [], []
        for drive, e, epsilon in zip(drives, seen, noise.unbind(), strict=True):
            h = self.gru(torch.addmm(drive, z, from_z).relu(), h)
            q = self.posterior2(torch.addmm(e, h, from_h).relu()).relu()
            mean, std = self.posterior_head.distribution(q, bias)
            z = torch.addcmul(mean, std, epsilon)
            zs.append(z)
            hs.append(h)
            means.append(mean)
            stds.append(std)

        memories = torch.stack(hs)
        p = self.prior(memories).relu()
        prior = self.prior_head.distribution(p, self.prior_head.shifted_bias())
        kl = kl_gaussian(torch.stack(means), torch.stack(stds), *prior).sum()
        return torch.cat([torch.stack(zs), memories], -1), kl


class Dream:
    """One level's state while frames are made."""

    def __init__(self, cell: Cell, batch: int) -> None:
        weight = cell.joint.weight
        from_z, from_c = weight.split([cell.state, cell.state + cell.memory], 1)
        self.cell, self.from_z, self.from_c = cell, from_z.t(), from_c
        self.bias = cell.prior_head.shifted_bias()
        self.drive: Tensor = cell.joint.bias
        self.z = weight.new_zeros(batch, cell.state)
        self.h = weight.new_zeros(batch, cell.memory)

    def follow(self, parent: Tensor) -> None:
        """Takes in the parent's new state, [B, S + D]."""
        self.drive = F.linear(parent, self.from_c, self.cell.joint.bias)

    def tick(self, epsilon: Tensor) -> Tensor:
        """The new state [z, h], [B, S + D]."""
        self.h = self.cell.gru(torch.addmm(self.drive, self.z, self.from_z).relu(), self.h)
        p = self.cell.prior(self.h).relu()
        mean, std = self.cell.prior_head.distribution(p, self.bias)
        self.z = torch.addcmul(mean, std, epsilon)
        return torch.cat([self.z, self.h], -1)


class CWVAE(nn.Module):
    """CW-VAE with the posterior of the authors' implementation; RSSM with `levels=1`.

    Args:
        encoder: [N, C, H, W] -> [N, X], with the attribute `features` = X.
        decoder: [N, S + D] -> [N, C, H, W], with the attribute `inputs` = S + D.
        levels: L.
        factor: k.
        state: S.
        memory: D.
        hidden: Width of the layers inside a cell.
        mlp: Width of the evidence MLPs.
        std: Standard deviation of the frames.

    Shapes:
        video: [B, T, C, H, W]
        noise: per level, fastest first, [ceil(T / k^l), B, S]
        returns: the loss per frame and sequence, a scalar

    Raises:
        ValueError: If the decoder does not read S + D numbers.
    """

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        *,
        levels: int = 3,
        factor: int = 6,
        state: int = 20,
        memory: int = 200,
        hidden: int = 200,
        mlp: int = 1000,
        std: float = 1.0,
    ) -> None:
        super().__init__()
        features, inputs = cast(int, encoder.features), cast(int, decoder.inputs)
        if inputs != state + memory:
            raise ValueError(
                f"the decoder reads {inputs} numbers, but a state and a memory are "
                f"{state} + {memory}; build it with inputs={state + memory}"
            )
        self.encoder, self.decoder = encoder, decoder
        self.factor, self.state, self.std = factor, state, std
        self.cells = nn.ModuleList(Cell(state, memory, hidden, features) for _ in range(levels))
        self.mlps = nn.ModuleList(
            nn.Sequential(
                nn.Linear(features, mlp),
                nn.ReLU(),
                nn.Linear(mlp, mlp),
                nn.ReLU(),
                nn.Linear(mlp, features),
            )
            for _ in range(levels - 1)
        )

    def evidence(self, frames: Tensor, batch: int) -> list[Tensor]:
        """Per level, [N_l, B, X]: the chain of MLPs, summed over the frames of each window."""
        per_frame = self.encoder(frames).unflatten(0, (batch, -1)).transpose(0, 1).contiguous()
        evidence, window = [per_frame], 1
        for mlp in self.mlps:
            per_frame = mlp(per_frame)
            window *= self.factor
            missing = -len(per_frame) % window
            whole = F.pad(per_frame, (0, 0, 0, 0, 0, missing)) if missing else per_frame
            evidence.append(whole.unflatten(0, (-1, window)).sum(1))
        return evidence

    def forward(self, video: Tensor, noise: Sequence[Tensor] | None = None) -> Tensor:
        batch, length = video.shape[:2]
        frames = video.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        evidence = self.evidence(frames, batch)
        if noise is None:
            noise = [e.new_empty(*e.shape[:2], self.state).normal_() for e in evidence]
        states, total = None, video.new_zeros(())
        for cell, e, epsilon in zip(
            reversed(self.cells), reversed(evidence), reversed(noise), strict=True
        ):
            states, kl = cell(e, states, self.factor, epsilon)
            total = total + kl
        assert states is not None
        mean = self.decoder(states.transpose(0, 1).flatten(0, 1))
        total = total + negative_log_likelihood(mean, frames, self.std)
        return total / (batch * length)

    @torch.no_grad()
    def generate(
        self, batch: int, length: int, noise: Sequence[Tensor] | None = None, chunk: int = 50
    ) -> Iterator[Tensor]:
        """Yields frames drawn from the priors, [B, n, C, H, W], n of them at a time.

        Args:
            batch, length: B and T.
            noise: As for the loss.
            chunk: Frames decoded at once.
        """
        cells = [cast(Cell, cell) for cell in self.cells]
        levels = [Dream(cell, batch) for cell in cells]
        periods = [self.factor**n for n in range(len(levels))]
        state = levels[0].z
        for start in range(0, length, chunk):
            states = []
            for t in range(start, min(start + chunk, length)):
                parent: Tensor | None = None
                for n in reversed(range(len(levels))):
                    if t % periods[n]:
                        continue
                    if parent is not None:
                        levels[n].follow(parent)
                    z = levels[n].z
                    epsilon = torch.randn_like(z) if noise is None else noise[n][t // periods[n]]
                    parent = state = levels[n].tick(epsilon)
                states.append(state)
            made = self.decoder(torch.stack(states, 1).flatten(0, 1))
            yield made.unflatten(0, (batch, -1))
