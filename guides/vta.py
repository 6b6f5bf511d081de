r"""VTA's guide: all gates first, then the segments that they cut, then the states.

    f = encoder(x), of all frames; the gates' convolutions reach into the given ones and the tail
    q(m_t) = σ(conv_t(f))
    past_t = GRU(f_1 ... f_t), the model's own memory of given frames
    suffix_t, prefix_t = GRUs from t to the end of its segment, from its segment's start to t

    q(z_t^2) = N([past_{t-1}, suffix_t]) where m_t = 1       q(z_t^1) = N([a_t, prefix_t])

The first predicted frame begins a segment, and so does the tail. Its first frame has a gate all
the same, whose KL counts.

The model's gate depends on states that the guide draws after the gate, so no closed form of its
KL would be right: it is the sampled log-ratio. The states' KLs are analytic, for whatever the
model had drawn before a state the guide had drawn too; a held state has none. Gradient reaches
the gates straight through memories, summaries and held states.

Reference:
    Variational Temporal Abstraction (Kim, Ahn, Bengio, 2019), Section 2.3.
    https://arxiv.org/abs/1910.00775
"""

from collections.abc import Collection

import pyro
import torch
from torch import Tensor, nn

from pyrovp.checks import check_video
from pyrovp.filtering import check_blind
from pyrovp.lazy import Row, Table
from pyrovp.memo import memo
from pyrovp.models.vta import VTA, Given, VTAState
from pyrovp.nets.temporal import TemporalConvolutions
from pyrovp.outline import Inferred, Value
from pyrovp.programs import PLATE, LatentDynamics, check_model
from pyrovp.segments import prefix, suffix

__all__ = ["VTAGuide", "vta"]


class VTAGuide(nn.Module):
    """The guide of a `VTA`, whose encoder, memories and gate it shares.

    Args:
        hierarchy: The model's state space.
    """

    def __init__(self, hierarchy: VTA) -> None:
        super().__init__()
        below, above = hierarchy.levels
        features = hierarchy.encoder.features
        self.hierarchy = hierarchy
        self.boundary = TemporalConvolutions(features, outputs=2)
        self.suffix = above.memory.cell(features)
        self.prefix = below.memory.cell(features)
        self.abstract = above.state.head(above.memory.size, above.memory.size)
        self.observation = below.state.head(below.memory.size, below.memory.size)

    def forward(
        self, video: Tensor, *, ends: bool = True, blind: Collection[int] = frozenset()
    ) -> None:
        """Draws the latents of a clip's predicted frames.

        Args:
            video: [B, T, C, H, W], the given frames and the tail included.
            ends: False: a context to be continued, all of whose frames are given, so that there
                is nothing to draw.
            blind: Levels (from 1) that follow their prior, while the other infers given that;
                level 2 with its gates.

        Raises:
            ValueError: If the video is malformed or too short, or `blind` names a level that is
                not there.
        """
        check_video(video)
        check_blind(blind, len(self.hierarchy.levels))
        if not ends:
            return
        space = self.hierarchy
        frames = space.scored(video.shape[1])
        with pyro.plate(PLATE, video.shape[0], dim=-1):
            posterior = _Evidence(self, video, frames, blind)
            state: Given | VTAState = memo(space.begin)(video)
            for t in frames:
                state = space.step(t, state, posterior)

    def outline(self) -> tuple[Inferred, ...]:
        """What it does for each level."""
        return (
            Inferred(
                "prefix",
                "its segment so far",
                (Value("z", 2), Value("h", 2)),
                memory="forward",
                resets=True,
            ),
            Inferred(
                "suffix",
                "all frames before, its segment from here on",
                memory="backward",
                resets=True,
                gate="convolutions over all frames",
            ),
        )

    def log_odds(self, x: Tensor) -> Tensor:
        """Of a boundary at each frame, from the features of all: [B, T, F] -> [B, T]."""
        begin, stay = self.boundary(x).unbind(-1)
        return begin - stay


class _Evidence:
    """The guide's posteriors for one clip, its gates drawn."""

    def __init__(
        self, guide: VTAGuide, video: Tensor, frames: range, blind: Collection[int]
    ) -> None:
        space = guide.hierarchy
        self.guide, self.first, self.blind = guide, frames.start, blind
        x = space.features(video)
        self.x = x[:, frames.start : frames.stop]
        self.gates: dict[int, Tensor] = {}
        self.beliefs: list[Row] = []
        self.early: tuple[Tensor, ...] = ()
        self.h = guide.prefix.initial(video.shape[0], x)
        if 2 in blind:
            return
        log_odds = guide.log_odds(x).unbind(1)
        for t in range(frames.start + 1, frames.stop + 1):
            self.gates[t] = space.gate.draw(2, t, log_odds[t])
        # The gate at the tail's first frame cuts nothing: the tail is a segment of its own.
        m = torch.stack([torch.ones_like(self.gates[frames.stop]), *self.gates.values()][:-1], -1)
        past = memo(space.begin)(video).past[:, frames.start - 1 : frames.stop - 1]
        beliefs = guide.abstract(past, suffix(guide.suffix, self.x, m))
        self.beliefs = Table(beliefs, dim=-2).rows()
        if 1 not in blind:
            self.early = guide.observation.early(prefix(guide.prefix, self.x, m)).unbind(-2)

    def boundary(self, t: int) -> Tensor | None:
        """The gate; see `Posterior`."""
        return self.gates.get(t)

    def abstract(self, t: int) -> Row | None:
        """q(z_t^2), computed for all frames at once."""
        return self.beliefs[t - self.first] if self.beliefs else None

    def observation(self, t: int, m: Tensor, a: Tensor) -> Tensor | None:
        """q(z_t^1); where the gates come from the prior, the prefix grows with them."""
        if 1 in self.blind:
            return None
        if self.early:
            return self.guide.observation(a, early=self.early[t - self.first])
        kept = self.h * (1 - m).unsqueeze(-1)
        self.h = self.guide.prefix.step(kept, self.x[:, t - self.first])
        return self.guide.observation(a, self.h)


def vta(model: LatentDynamics[VTA]) -> VTAGuide:
    """The guide of a `pyrovp.models.vta`.

    Args:
        model: The model; its encoder, memories and gate are shared.

    Raises:
        ValueError: If it is another model.
    """
    check_model(model)
    if not isinstance(model.hierarchy, VTA):
        raise ValueError(
            "VTA's guide needs a model of pyrovp.models.vta, but this one's hierarchy is a "
            f"{type(model.hierarchy).__name__}"
        )
    return VTAGuide(model.hierarchy)
