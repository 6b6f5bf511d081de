r"""A toy HVRNN: twin levels that see evidence only, joined at their heads, and a stateful decoder.

    f_t^n = ladder(encoder(x_t))
    p(z_t^n | z_t^{>n}, x_{<t}) = head_p([h_t^n, z_t^{>n}]),  h_t^n = cell_p(f_{t-1}^n, h_{t-1}^n)
    q(z_t^n | z_t^{>n}, x_{≤t}) = head_q([h_t^n, z_t^{>n}]),  h_t^n = cell_q(f_t^n, h_{t-1}^n)
    p(x_t | z_{≤t}, x_{<t}) = N(decoder(d_t), σ²),            d_t = cell([f_{t-1}^1, z_t], d_{t-1})

Memories start from the context frames; only the frames after them are scored. With true frames
given, cells see nothing that is drawn, so a level's cell scans the whole clip before its states
are drawn (level-major); generation walks frame by frame and feeds back its own means.

Reference:
    Improved Conditional VRNNs for Video Prediction (Castrejon, Ballas, Courville, 2019), with
    vectors for feature maps.
"""

from collections.abc import Sequence

import pyro
import torch
from torch import Tensor, nn

from pyrovp import GRU, MLP, Gaussian, GaussianFrames, memo
from pyrovp.distributions import DiagonalNormal
from pyrovp.evidence import Ladder, encode
from pyrovp.programs import PLATE
from pyrovp.sites import FRAMES, STATE, site

__all__ = ["HVRNN", "Decoder", "Encoder", "HVRNNGuide", "Twin"]


class Encoder(nn.Module):
    """Features of tiny frames, [N, 1, 2, 2] -> [N, X]."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.features = features
        self.layer = nn.Linear(4, features)

    def forward(self, frames: Tensor) -> Tensor:
        """Features."""
        return torch.tanh(self.layer(frames.flatten(1)))


class Decoder(nn.Module):
    """Tiny frames, [N, I] -> [N, 1, 2, 2]."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.layers = MLP(inputs, [6], 4, torch.tanh)

    def forward(self, inputs: Tensor) -> Tensor:
        """Frames."""
        return self.layers(inputs).unflatten(-1, (1, 2, 2))


class Twin(nn.Module):
    """Prior or posterior: at each level a cell on evidence, and a head that sees all above it.

    Args:
        features: X_n, sizes of the levels' features.
        states: Z_n.
        memory: D.
        context: Number of context frames.
    """

    def __init__(
        self, features: Sequence[int], states: Sequence[int], memory: int, context: int
    ) -> None:
        super().__init__()
        self.starts = nn.ModuleList(nn.Linear(context * size, memory) for size in features)
        self.cells = nn.ModuleList(GRU(memory).cell(size) for size in features)
        self.heads = nn.ModuleList(
            Gaussian(size, hidden=(6,)).head(memory, *reversed(states[n + 1 :]))
            for n, size in enumerate(states)
        )

    def initial(self, context: Sequence[Tensor]) -> list[Tensor]:
        """The memories [B, D] before the first predicted frame, from features [B, Tc, X_n]."""
        return [start(f.flatten(1)) for start, f in zip(self.starts, context, strict=True)]

    def level_major(self, h: list[Tensor], evidence: Sequence[Tensor], first: int) -> list[Tensor]:
        """Draws each level from evidence [B, T, X_n]: states [..., B, T, Z_n], top first."""
        drawn: list[Tensor] = []
        for n in reversed(range(len(h))):
            memories = self.cells[n].scan(h[n], evidence[n])  # type: ignore[operator]
            beliefs = self.heads[n](memories, *drawn)
            z = [_draw(n, t, belief) for t, belief in enumerate(beliefs.unbind(-2), first)]
            drawn.append(torch.stack(z, -2))
        return drawn

    def step(self, t: int, h: list[Tensor], evidence: Sequence[Tensor]) -> list[Tensor]:
        """Draws frame t from its evidence [B, X_n], top first; moves the memories h in place."""
        drawn: list[Tensor] = []
        for n in reversed(range(len(h))):
            h[n] = self.cells[n].step(h[n], evidence[n])  # type: ignore[operator]
            drawn.append(_draw(n, t, self.heads[n](h[n], *drawn)))
        return drawn


def _draw(n: int, t: int, belief: Tensor) -> Tensor:
    return pyro.sample(site(STATE, n + 1, t), DiagonalNormal(belief))


class HVRNN(nn.Module):
    """The generative program.

    Args:
        context: Number of frames that are given and not scored.
        features, states: Sizes for each level, from level 1.
        memory: Size of every memory.
        std: σ of the pixels.
    """

    def __init__(
        self,
        *,
        context: int = 2,
        features: Sequence[int] = (5, 4, 3),
        states: Sequence[int] = (2, 3, 2),
        memory: int = 4,
        std: float = 0.3,
    ) -> None:
        super().__init__()
        self.context, self.sizes = context, (features, states, memory, context)
        self.encoder = Encoder(features[0])
        self.ladder = Ladder([nn.Linear(*pair) for pair in zip(features, features[1:])])  # noqa: B905
        self.prior = Twin(*self.sizes)
        self.start = nn.Linear(context * features[0], memory)
        self.cell = GRU(memory).cell(features[0], *reversed(states))
        self.emission = GaussianFrames(Decoder, std).build((memory,))

    def features(self, video: Tensor) -> list[Tensor]:
        """The levels' features [B, T, X_n]; one computation for both programs."""
        return memo(self.ladder)(memo(encode)(self.encoder, video))

    def forward(self, video: Tensor) -> Tensor:
        """Scores the frames [B, T, C, H, W] after the context, level-major."""
        f = self.features(video)
        past = [rung[:, self.context - 1 : -1] for rung in f]
        with pyro.plate(PLATE, video.shape[0], dim=-1):
            z = self.prior.level_major(self._initial(f), past, self.context)
            d = self.cell.scan(self._start(f), past[0], *z)
            frames = self.emission((d,)).frames
            return pyro.sample(FRAMES, frames, obs=video[:, self.context :])

    def generate(self, given: Tensor, length: int) -> Tensor:
        """Frame by frame: feeds back the true frame while one is given, else its own mean.

        Args:
            given: [B, T_given, C, H, W], at least the context.
            length: T, the frames before and after the context together.

        Returns:
            The means of the frames after the context, [B, T - Tc, C, H, W].
        """
        f = self.features(given[:, : self.context])
        h, d, frame = self._initial(f), self._start(f), given[:, self.context - 1]
        means = []
        with pyro.plate(PLATE, given.shape[0], dim=-1):
            for t in range(self.context, length):
                evidence = [rung[:, 0] for rung in self.features(frame.unsqueeze(1))]
                z = self.prior.step(t, h, evidence)
                d = self.cell.step(d, evidence[0], *z)
                means.append(self.emission((d.unsqueeze(-2),)).frames.mean.squeeze(-4))
                frame = given[:, t] if t < given.shape[1] else means[-1]
        return torch.stack(means, -4)

    def _initial(self, f: list[Tensor]) -> list[Tensor]:
        return self.prior.initial([rung[:, : self.context] for rung in f])

    def _start(self, f: list[Tensor]) -> Tensor:
        return self.start(f[0][:, : self.context].flatten(1))


class HVRNNGuide(nn.Module):
    """The guide: the prior's twin, whose evidence is the frame itself."""

    def __init__(self, model: HVRNN) -> None:
        super().__init__()
        self.model = model
        self.posterior = Twin(*model.sizes)

    def forward(self, video: Tensor) -> None:
        """Draws the states of the frames after the context, level-major."""
        h, evidence = self._prepare(video)
        with pyro.plate(PLATE, video.shape[0], dim=-1):
            self.posterior.level_major(h, evidence, self.model.context)

    def time_major(self, video: Tensor) -> None:
        """The same frame by frame."""
        h, evidence = self._prepare(video)
        with pyro.plate(PLATE, video.shape[0], dim=-1):
            for i in range(video.shape[1] - self.model.context):
                now = [rung[:, i] for rung in evidence]
                self.posterior.step(self.model.context + i, h, now)

    def _prepare(self, video: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        f, context = self.model.features(video), self.model.context
        h = self.posterior.initial([rung[:, :context] for rung in f])
        return h, [rung[:, context:] for rung in f]
