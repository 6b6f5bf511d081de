r"""A toy VTA: a boundary gate that the guide draws for the whole clip before any state.

    m_t = 1 (boundary): read, m_t = 0: copy; the first predicted frame is a boundary
    c_t = m_t cell([z_{t-1}], c_{t-1}) + (1 - m_t) c_{t-1}     p(z_t) = head(c_t) where m_t = 1
    a_t = W [c_t, z_t]                                         else z_t = z_{t-1}
    h_t = m_t a_t + (1 - m_t) cell([s_{t-1}, a_t], h_{t-1})    p(s_t) = head(h_t)
    p(m_{t+1} = 1) = σ(w o_t),  o_t = W [h_t, s_t]             p(x_t) = N(decoder(o_t), σ²)

    guide: all m from a convolution over time, then
    q(z_t) = head([past_{t-1}, suffix_t])   past: frames before t;   suffix: t to its segment's end
    q(s_t) = head([prefix_t, a_t])          prefix: its segment's start to t

The model's gate depends on states that the guide draws after the gate, so no closed form of its KL
would be right: it is a sampled log-ratio. The states' KLs are analytic: whatever the model had
drawn before a state, the guide had drawn too. Gradient reaches the gate through the memories and
the summaries; a held state has none for it.

Notation: the paper's abstract state is z of level 2, its observation state (here s) z of level 1.

Reference:
    Variational Temporal Abstraction (Kim, Ahn, Bengio, 2019), with vectors for feature maps, and
    without the gate one frame past the end.
"""

import abc
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import pyro
import torch
from torch import Tensor, nn

from pyrovp import GRU, Gaussian, GaussianFrames, memo
from pyrovp.cells import Cell
from pyrovp.distributions import (
    DiagonalNormal,
    Held,
    LogitRelaxedBernoulli,
    NestedBernoulli,
    straight_through,
)
from pyrovp.evidence import encode
from pyrovp.programs import PLATE
from pyrovp.sites import FRAMES, GATE, LOGIT_GATE, STATE, site
from tests.toys.hvrnn import Decoder, Encoder

__all__ = ["VTA", "Boundary", "Hard", "Relaxed", "Summaries", "VTAGuide", "summarise"]


class Boundary(abc.ABC):
    """How a gate of level 2 is drawn from its log-odds."""

    @abc.abstractmethod
    def draw(self, t: int, logit: Tensor) -> Tensor:
        """The gate m_t [..., B], 0 or 1."""


@dataclass(frozen=True)
class Relaxed(Boundary):
    """In logit space at a temperature, then straight through."""

    temperature: float = 0.5

    def draw(self, t: int, logit: Tensor) -> Tensor:
        """m_t, with the gradient of its soft value."""
        relaxed = LogitRelaxedBernoulli(logit.new_tensor(self.temperature), logit)
        return straight_through(pyro.sample(site(LOGIT_GATE, 2, t), relaxed))


class Hard(Boundary):
    """A Bernoulli, which does have a closed-form KL: one that would be wrong here."""

    def draw(self, t: int, logit: Tensor) -> Tensor:
        """m_t, without gradient."""
        return pyro.sample(site(GATE, 2, t), NestedBernoulli(logit))


class Belief(NamedTuple):
    """What the generative side carries: abstract and observation states and memories."""

    z: Tensor
    c: Tensor
    a: Tensor
    s: Tensor
    h: Tensor


class VTA(nn.Module):
    """The generative program.

    Args:
        context: Number of frames that are given and not scored.
        size: Size of memories and features.
        state: Size of both states.
        boundary: How gates are drawn, here and in the guide.
    """

    def __init__(
        self,
        *,
        context: int = 2,
        size: int = 4,
        state: int = 2,
        boundary: Boundary = Relaxed(),  # noqa: B008
    ) -> None:
        super().__init__()
        self.context, self.size, self.state, self.boundary = context, size, state, boundary
        self.encoder = Encoder(size)
        self.past = GRU(size).cell(size)
        self.abstract = GRU(size).cell(state)
        self.observation = GRU(size).cell(state, size)
        self.feature = nn.Linear(size + state, size)
        self.output = nn.Linear(size + state, size)
        self.gate = nn.Linear(size, 1)
        self.heads = nn.ModuleList(Gaussian(state, hidden=(5,)).head(size) for _ in range(2))
        self.emission = GaussianFrames(Decoder, 0.3).build((size,))

    def forward(self, video: Tensor) -> Tensor:
        """Scores the frames [B, T, C, H, W] after the context."""
        past = self.seen(video)[1][:, self.context - 1]
        outputs: list[Tensor] = []
        with pyro.plate(PLATE, video.shape[0], dim=-1):
            now = self.initial(past)
            for t in range(self.context, video.shape[1]):
                if t == self.context:
                    m = past.new_ones(past.shape[:-1])
                else:
                    m = self.boundary.draw(t, self.gate(outputs[-1]).squeeze(-1))
                c = past if t == self.context else self.read(now, m)
                z = draw(2, t, Held(DiagonalNormal(self.heads[1](c)), now.z, m))
                now, h = self.descend(now, m, c, z)
                s = draw(1, t, DiagonalNormal(self.heads[0](h)))
                now = now._replace(s=s, h=h)
                outputs.append(self.output(_join(h, s)))
            frames = self.emission((torch.stack(torch.broadcast_tensors(*outputs), -2),)).frames
            return pyro.sample(FRAMES, frames, obs=video[:, self.context :])

    def seen(self, video: Tensor) -> tuple[Tensor, Tensor]:
        """Features of all frames and the memory of the past after each, both [B, T, F]."""
        x = memo(encode)(self.encoder, video)
        assert isinstance(x, Tensor)
        return x, memo(self.past.scan)(memo(self.past.initial)(x.shape[0], x), x)

    def initial(self, past: Tensor) -> Belief:
        """Everything before the first predicted frame: zeros."""
        zero = past.new_zeros(past.shape[0], self.state)
        return Belief(z=zero, c=past, a=past, s=zero, h=torch.zeros_like(past))

    def read(self, now: Belief, m: Tensor) -> Tensor:
        """c: the abstract memory moves on at a boundary."""
        return _mix(m, self.abstract.step(now.c, now.z), now.c)

    def descend(self, now: Belief, m: Tensor, c: Tensor, z: Tensor) -> tuple[Belief, Tensor]:
        """(c, z and a in place; h): a boundary resets the lower belief to the parent's feature."""
        a = self.feature(_join(c, z))
        h = _mix(m, a, self.observation.step(now.h, now.s, a))
        return now._replace(z=z, c=c, a=a), h


class Summaries(NamedTuple):
    """What the guide's states see of the frames, each [..., B, T, F]."""

    past: Tensor
    suffix: Tensor
    prefix: Tensor


class VTAGuide(nn.Module):
    """The guide: gates, then the summaries of the segments that they cut, then states."""

    def __init__(self, model: VTA) -> None:
        super().__init__()
        self.model = model
        size = model.size
        self.convolution = nn.Conv1d(size, 1, kernel_size=3, padding=1)
        self.suffix, self.prefix = GRU(size).cell(size), GRU(size).cell(size)
        self.heads = nn.ModuleList(
            Gaussian(model.state, hidden=(5,)).head(size, size) for _ in range(2)
        )

    def forward(self, video: Tensor) -> None:
        """Draws gates and states of the frames after the context."""
        model, first = self.model, self.model.context
        x, past = model.seen(video)
        logits = self.convolution(x.transpose(1, 2)).squeeze(1)  # [B, T]
        with pyro.plate(PLATE, video.shape[0], dim=-1):
            gates = [model.boundary.draw(t, logits[:, t]) for t in range(first + 1, x.shape[1])]
            m = [x.new_ones(x.shape[0]), *gates]
            seen = summarise(self.suffix, self.prefix, past[:, first - 1 : -1], x[:, first:], m)
            now = model.initial(past[:, first - 1])
            for i, t in enumerate(range(first, x.shape[1])):
                c = past[:, first - 1] if i == 0 else model.read(now, m[i])
                q = self.heads[1](seen.past[..., i, :], seen.suffix[..., i, :])
                z = draw(2, t, Held(DiagonalNormal(q), now.z, m[i]))
                now, h = model.descend(now, m[i], c, z)
                q = self.heads[0](seen.prefix[..., i, :], now.a)
                now = now._replace(s=draw(1, t, DiagonalNormal(q)), h=h)


def summarise(
    suffix: Cell, prefix: Cell, past: Tensor, x: Tensor, m: Sequence[Tensor]
) -> Summaries:
    """Memories that start again at each boundary, from behind and from the front.

    Args:
        suffix, prefix: Cells.
        past: Handed through.
        x: Features [B, T, F].
        m: Boundaries, T of [..., B]; the first is one.
    """
    boundary = torch.stack(torch.broadcast_tensors(*m), -1)
    # Backwards, a memory starts again before the last frame of a segment: the next is a boundary.
    ends = torch.cat((boundary[..., 1:], torch.ones_like(boundary[..., :1])), -1)
    batch = x.shape[0]
    return Summaries(
        past,
        suffix.scan(suffix.initial(batch, x), x, reset=ends, reverse=True),
        prefix.scan(prefix.initial(batch, x), x, reset=boundary),
    )


def draw(level: int, t: int, belief: pyro.distributions.TorchDistribution) -> Tensor:
    """A state."""
    return pyro.sample(site(STATE, level, t), belief)


def _mix(m: Tensor, read: Tensor, copy: Tensor) -> Tensor:
    m = m.unsqueeze(-1)
    return m * read + (1 - m) * copy


def _join(*parts: Tensor) -> Tensor:
    leading = torch.broadcast_shapes(*(part.shape[:-1] for part in parts))
    return torch.cat([part.expand(*leading, -1) for part in parts], -1)
