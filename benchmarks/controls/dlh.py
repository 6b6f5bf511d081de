"""DLH's training loss by hand, with the default of every option.

Per frame, for the whole batch with masks:

    gates, bottom-up, without gradient, c~ the contexts of the frame before:
        e^n = e^{n-1} and KL[q(x, c~) || p(d, c~)] < KL[q(x, c~) || q_old]
    states, top-down: q(x, c) and s ~ q where e^{n-1} = 1, else the old ones;  c = MLP([s, c])
    memories: d = GRU(s, d) where e^n = 1

Outside the loop over frames, in one call for all of them: the convolutions, the bottom-up MLPs and
their part of the posteriors' first layers, the noise, the prior factors (nothing in the loop reads
them), the change priors under the final contexts, both KLs.

Reference:
    Long-horizon video prediction using a dynamic latent hierarchy (Zakharov, Guo, Fountas, 2022),
    https://arxiv.org/abs/2212.14376
"""

__all__ = ["DLH"]

from collections.abc import Iterator, Sequence
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.controls.gaussian import kl_gaussian, negative_log_likelihood


class Belief(NamedTuple):
    """Mean and standard deviation, each [..., S]."""

    mean: Tensor
    std: Tensor


class Contextual(nn.Module):
    """MLP([a, c]), ELU, with a's part of the first layer apart: it can be computed beforehand.

    The top level has no context: c = None stands for zeros.
    """

    def __init__(self, inputs: int, context: int, hidden: Sequence[int], outputs: int) -> None:
        super().__init__()
        self.project = nn.Linear(inputs, hidden[0])
        self.context = nn.Linear(context, hidden[0], bias=False)
        rest: list[nn.Module] = [nn.ELU()]
        for i, o in zip(hidden[:-1], hidden[1:], strict=True):
            rest += [nn.Linear(i, o), nn.ELU()]
        self.rest = nn.Sequential(*rest, nn.Linear(hidden[-1], outputs))

    def forward(self, projected: Tensor, c: Tensor | None) -> Tensor:
        if c is not None:
            projected = torch.addmm(projected, c, self.context.weight.t())
        return cast(Tensor, self.rest(projected))

    def belief(self, projected: Tensor, c: Tensor | None) -> Belief:
        """The output read as a Gaussian."""
        mean, raw = self(projected, c).chunk(2, -1)
        return Belief(mean, F.softplus(raw) + 1e-4)


class Level(nn.Module):
    """The networks of one level; `gated` levels have a prior factor."""

    def __init__(
        self, state: int, memory: int, width: int, hidden: int, head: int, gated: bool
    ) -> None:
        super().__init__()
        self.context = Contextual(state, width, [hidden], width)
        self.temporal = nn.GRUCell(state, memory)
        self.posterior = Contextual(width, width, [head] * 3, 2 * state)
        self.prior = Contextual(memory, width, [head] * 3, 2 * state)
        self.factor = nn.GRU(memory, memory) if gated else None
        self.factor_out = nn.Linear(memory, 1) if gated else None


class Track:
    """What the loop leaves of one level, one entry a frame; `change` is e, True where 1."""

    def __init__(self) -> None:
        self.belief: list[Belief] = []
        self.s: list[Tensor] = []
        self.d: list[Tensor] = []
        self.c: list[Tensor] = []  # stays empty at the top
        self.change: list[Tensor] = []


class DLH(nn.Module):
    """DLH with nested gates by comparison of KLs.

    Args:
        encoder: [N, C, H, W] -> [N, F], with the attribute `features` = F.
        decoder: [N, width] -> [N, C, H, W], with the attribute `inputs` = width.
        levels: N.
        state: Size S of s.
        memory: Size D of d and h.
        width: Size of the bottom-up features x and of the contexts c.
        hidden: Width of the MLPs between levels.
        head: Width of the three layers of posteriors and priors.
        std: Standard deviation of the frames.

    Shapes:
        video: [B, T, C, H, W]
        beta: a scalar
        noise: per level, fastest first, [T, B, S]
        returns: the loss per sequence, a scalar

    Raises:
        ValueError: If the decoder does not read `width` numbers.
    """

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        *,
        levels: int = 3,
        state: int = 20,
        memory: int = 200,
        width: int = 200,
        hidden: int = 200,
        head: int = 40,
        std: float = 1.0,
    ) -> None:
        super().__init__()
        features, inputs = cast(int, encoder.features), cast(int, decoder.inputs)
        if inputs != width:
            raise ValueError(
                f"the decoder reads {inputs} numbers, but a context has {width}; "
                f"build it with inputs={width}"
            )
        self.encoder, self.decoder = encoder, decoder
        self.state, self.memory, self.std = state, memory, std
        self.embed = nn.Linear(features, width)
        self.upward = nn.ModuleList(
            nn.Sequential(nn.Linear(width, hidden), nn.ELU(), nn.Linear(hidden, width))
            for _ in range(levels - 1)
        )
        self.levels = nn.ModuleList(
            Level(state, memory, width, hidden, head, gated=n > 0) for n in range(levels)
        )

    def stack(self) -> list[Level]:
        """The levels, fastest first, with their type."""
        return [cast(Level, level) for level in self.levels]

    def evidence(self, frames: Tensor, batch: int) -> list[tuple[Tensor, ...]]:
        """Per level and frame, what x contributes to the posterior's first layer."""
        x = self.embed(self.encoder(frames)).unflatten(0, (batch, -1)).transpose(0, 1).contiguous()
        projected = []
        for n, level in enumerate(self.stack()):
            x = self.upward[n - 1](x) if n > 0 else x
            projected.append(level.posterior.project(x).unbind())
        return projected

    @torch.no_grad()
    def gates(
        self, seen: tuple[Tensor, ...], d: list[Tensor], tracks: list[Track]
    ) -> list[Tensor]:
        """e of every level, [B] each, under the beliefs and contexts of the frame before."""
        change = [tracks[0].change[0]]
        for n, (level, track) in enumerate(zip(self.stack(), tracks, strict=True)):
            if n == 0:
                continue
            c = track.c[-1] if track.c else None
            q = level.posterior.belief(seen[n], c)
            p = level.prior.belief(level.prior.project(d[n]), c)
            difference = kl_gaussian(*q, *p) - kl_gaussian(*q, *track.belief[-1])
            change.append(change[-1] & (difference.sum(-1) < 0))
        return change

    def run(
        self, evidence: list[tuple[Tensor, ...]], noise: Sequence[Tensor]
    ) -> tuple[list[Track], Tensor]:
        """The loop over frames: a track per level, and the contexts c^0, [T, B, width]."""
        levels = self.stack()
        batch = evidence[0][0].shape[0]
        d = [evidence[0][0].new_zeros(batch, self.memory) for _ in levels]
        everyone = torch.ones(batch, dtype=torch.bool, device=d[0].device)
        tracks = [Track() for _ in levels]
        images: list[Tensor] = []
        per_frame = zip(*(level.unbind() for level in noise), strict=True)
        for seen, epsilon in zip(zip(*evidence, strict=True), per_frame, strict=True):
            first = not images
            change = [everyone] * len(levels) if first else self.gates(seen, d, tracks)
            c: Tensor | None = None
            for n in reversed(range(len(levels))):
                level, track = levels[n], tracks[n]
                q = level.posterior.belief(seen[n], c)
                s = torch.addcmul(q.mean, q.std, epsilon[n])
                if n > 1 and not first:  # the gates of the two fastest levels are always open
                    opened, old = change[n - 1][:, None], track.belief[-1]
                    q = Belief(
                        torch.where(opened, q.mean, old.mean), torch.where(opened, q.std, old.std)
                    )
                    s = torch.where(opened, s, track.s[-1])
                track.belief.append(q)
                track.s.append(s)
                track.d.append(d[n])
                track.change.append(change[n])
                if c is not None:
                    track.c.append(c)
                c = level.context(level.context.project(s), c)
                advanced = level.temporal(s, d[n])
                if n > 0 and not first:
                    advanced = torch.where(change[n][:, None], advanced, d[n])
                d[n] = advanced
            assert c is not None
            images.append(c)
        return tracks, torch.stack(images)

    def penalty(self, tracks: list[Track]) -> Tensor:
        """kl_s + kl_e, summed over everything."""
        total = tracks[0].d[0].new_zeros(())
        opened: Tensor | None = None  # e of the level below, [T, B]
        for level, track in zip(self.stack(), tracks, strict=True):
            mean = torch.stack([belief.mean for belief in track.belief])
            std = torch.stack([belief.std for belief in track.belief])
            d, change = torch.stack(track.d), torch.stack(track.change)
            c = torch.cat(track.c) if track.c else None
            p = level.prior.belief(level.prior.project(d.flatten(0, 1)), c)
            kl = kl_gaussian(mean, std, p.mean.view_as(mean), p.std.view_as(std)).sum(-1)
            if opened is None or level.factor is None or level.factor_out is None:
                total = total + kl.sum()
            else:
                static = kl_gaussian(mean[1:], std[1:], mean[:-1], std[:-1]).sum(-1)
                later = torch.where(change[1:], kl[1:], static)
                logit = level.factor_out(level.factor(d)[0]).squeeze(-1)[1:]
                later = later + F.softplus(torch.where(change[1:], -logit, logit))
                total = total + kl[0].sum() + torch.where(opened[1:], later, 0.0).sum()
            opened = change
        return total

    def forward(
        self, video: Tensor, beta: Tensor | float = 1.0, noise: Sequence[Tensor] | None = None
    ) -> Tensor:
        batch, length = video.shape[:2]
        frames = video.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        evidence = self.evidence(frames, batch)
        if noise is None:
            drawn = video.new_empty(len(self.levels), length, batch, self.state).normal_()
            noise = drawn.unbind()
        tracks, images = self.run(evidence, noise)
        mean = self.decoder(images.transpose(0, 1).flatten(0, 1))
        nll = negative_log_likelihood(mean, frames, self.std)
        return (nll + beta * self.penalty(tracks)) / batch

    @torch.no_grad()
    def generate(
        self,
        batch: int,
        length: int,
        noise: Sequence[Tensor] | None = None,
        uniforms: Sequence[Tensor] | None = None,
        chunk: int = 50,
    ) -> Iterator[Tensor]:
        """Yields frames drawn from the priors, [B, n, C, H, W], n of them at a time.

        Args:
            batch, length: B and T.
            noise: As for the loss.
            uniforms: Per level, [T, B] in [0, 1): a gate below its probability changes.
            chunk: Frames decoded at once.
        """
        levels = self.stack()
        weight = levels[0].prior.project.weight
        d = [weight.new_zeros(batch, self.memory) for _ in levels]
        memories = list(d)
        s = [weight.new_zeros(batch, self.state) for _ in levels]
        belief = [Belief(z, z) for z in s]
        everyone = torch.ones(batch, dtype=torch.bool, device=weight.device)
        for start in range(0, length, chunk):
            images: list[Tensor] = []
            for t in range(start, min(start + chunk, length)):
                change = [everyone]
                for n, level in enumerate(levels[1:], 1):
                    assert level.factor is not None and level.factor_out is not None
                    memories[n] = _gru_step(level.factor, d[n], memories[n])
                    chance = torch.sigmoid(level.factor_out(memories[n]).squeeze(-1))
                    u = torch.rand_like(chance) if uniforms is None else uniforms[n][t]
                    change.append(change[-1] & (u < chance) if t else everyone)
                c: Tensor | None = None
                for n in reversed(range(len(levels))):
                    level, e = levels[n], change[n][:, None]
                    p = level.prior.belief(level.prior.project(d[n]), c)
                    held = zip(p, belief[n], strict=True)
                    belief[n] = Belief(*(torch.where(e, new, old) for new, old in held))
                    z = s[n]
                    epsilon = torch.randn_like(z) if noise is None else noise[n][t]
                    drawn = torch.addcmul(*belief[n], epsilon)
                    s[n] = torch.where(change[max(0, n - 1)][:, None], drawn, z)
                    c = level.context(level.context.project(s[n]), c)
                    d[n] = torch.where(e, level.temporal(s[n], d[n]), d[n])
                assert c is not None
                images.append(c)
            made = self.decoder(torch.stack(images, 1).flatten(0, 1))
            yield made.unflatten(0, (batch, -1))


def _gru_step(gru: nn.GRU, x: Tensor, h: Tensor) -> Tensor:
    """One step of a scan, for a batch [B, D]."""
    return torch.gru_cell(x, h, *cast(list[Tensor], gru.all_weights[0]))
