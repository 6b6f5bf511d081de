r"""VTA: two levels, of which the slow one begins a new segment where a boundary gate says so.

    abstract      c_t = m_t GRU(z_{t-1}^2, c_{t-1}) + (1 - m_t) c_{t-1}
                  z_t^2 ~ N(c_t) where m_t = 1,  = z_{t-1}^2 where m_t = 0
                  a_t = W [c_t, z_t^2]
    observation   h_t = m_t a_t + (1 - m_t) GRU([z_{t-1}^1, a_t], h_{t-1})
                  z_t^1 ~ N(h_t)
                  o_t = W [h_t, z_t^1],   p(x_t) = N((1 + tanh(deconv(o_t))) / 2, σ²)
    boundary      p(m_{t+1} = 1) = σ(w·o_t)

The first predicted frame begins a segment, with a GRU's memory of the given frames for its c. A
boundary overwrites h by its parent's feature, so only the abstract level crosses it. In training
a prior bounds the number and the length of segments, and a tail follows the predicted frames,
which only the guide's gates look at.

Notation: the paper's abstract state z is z^2 and its observation state s is z^1, its abstract
belief is c, its observation belief h. Level 1 is the observation, level 2 the abstraction.

Reference:
    Variational Temporal Abstraction (Kim, Ahn, Bengio, 2019). https://arxiv.org/abs/1910.00775
Where the paper and the released code differ we follow the code: its limits on segments, a last
gate one frame past the last predicted one, its pixels. Those lie in [-1, 1] there, with a mean
tanh(.) and σ = 1. Ours lie in [0, 1]: the encoder sees 2 x - 1, the mean is (1 + tanh(.)) / 2 and
σ = 1/2, so that squared errors and what they weigh against the KLs are the code's; its log-density
is ours less log 2 for each pixel and channel. The gate's density is taken in logit space.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple, Protocol, cast

import pyro
import torch
from pyro.distributions import TorchDistribution
from torch import Tensor, nn

from pyrovp.cells import GRU
from pyrovp.distributions import DiagonalNormal, Held
from pyrovp.emission import GaussianFrames, LearnedStd
from pyrovp.evidence import encode
from pyrovp.gates import Boundary, Counts, SegmentPrior
from pyrovp.heads import Gaussian
from pyrovp.infer import Exponential
from pyrovp.lazy import Deferred, Lazy, stack_frames
from pyrovp.levels import Level
from pyrovp.memo import memo
from pyrovp.nets import Joint, SignedPixels, StridedDecoder, StridedEncoder, UnitTanh
from pyrovp.outline import LevelOutline, Outline, Value, brief
from pyrovp.programs import LatentDynamics
from pyrovp.segments import past, reset_or_update, update_or_copy
from pyrovp.sites import STATE, site
from pyrovp.state_space import StateSpace

__all__ = ["VTA", "Given", "Posterior", "VTAState", "vta"]

TEMPERATURE = Exponential(start=1.0, rate=0.999, floor=0.1, every=100)
"""τ = 0.9 · 0.999^(step / 100) + 0.1, the released code's."""


class Given(NamedTuple):
    """Where VTA begins: the memory of the frames up to each, [B, T, D]."""

    past: Tensor


class VTAState(NamedTuple):
    """What VTA carries from one frame to the next.

    Args:
        z, c: Abstract state [..., S] and memory [..., D].
        s, h: Observation state [..., S] and memory [..., D].
        m: Boundary at this frame [..., B].
        counts: Of the segment prior.
        ahead: Boundary at the next frame [..., B].
    """

    z: Tensor
    c: Tensor
    s: Tensor
    h: Tensor
    m: Tensor
    counts: Counts | None
    ahead: Tensor


class Posterior(Protocol):
    """What a guide puts in the place of priors; None: the prior stands."""

    def abstract(self, t: int) -> Tensor | Lazy | None:
        """Packed parameters [..., 2S] of q(z_t^2)."""

    def observation(self, t: int, m: Tensor, a: Tensor) -> Tensor | None:
        """Packed parameters [..., 2S] of q(z_t^1), given the boundary and the parent's feature."""

    def boundary(self, t: int) -> Tensor | None:
        """m_t [..., B], drawn before all states."""


class VTA(StateSpace):
    """The state space of `vta`, which see.

    Args:
        levels: The observation and the abstraction, the latter with a `Boundary`.
        encoder: Features of frames, [N, C, H, W] -> [N, F], with an attribute `features` (F).
        emission: Describes the distribution of frames given o [..., F].
        given, tail: Frames of a training clip before and behind those that are predicted.

    Raises:
        ValueError: If nothing is given or there is no tail, or for levels of another kind.
    """

    encoder: StridedEncoder

    def __init__(
        self,
        levels: tuple[Level, Level],
        encoder: StridedEncoder,
        emission: GaussianFrames,
        *,
        given: int,
        tail: int,
    ) -> None:
        super().__init__()
        if not all(isinstance(frames, int) and frames >= 1 for frames in (given, tail)):
            raise ValueError(
                "VTA starts from 1 or more given frames, and its guide draws a last gate at the "
                f"first frame of a tail of 1 or more, whole numbers; got given={given!r}, "
                f"tail={tail!r}"
            )
        self.levels, self.given, self.tail = levels, given, tail
        below, above = levels
        gate = above.gate
        if not isinstance(gate, Boundary) or below.gate is not None:
            raise ValueError("VTA's level 2 has a Boundary for a gate, and its level 1 has none")
        self.encoder = encoder
        features = encoder.features
        self.past = above.memory.cell(features)
        self.abstract = above.memory.cell(above.state.size)
        self.observation = below.memory.cell(below.state.size, below.memory.size)
        self.heads = nn.ModuleList(level.state.head(level.memory.size) for level in levels)
        self.parent = Joint((above.memory.size, above.state.size), below.memory.size)
        self.output = Joint((below.memory.size, below.state.size), features)
        self.gate = gate.build(features)
        self.emits = emission
        self.emission = emission.build((features,))

    def begin(self, video: Tensor) -> Given:
        """The memories of a video's frames [B, T, C, H, W]; step t starts from that of t - 1."""
        return Given(memo(past)(self.past, self.features(video)))

    def features(self, video: Tensor) -> Tensor:
        """Of all frames, [B, T, C, H, W] -> [B, T, F]; one computation for both programs."""
        return cast(Tensor, memo(encode)(self.encoder, video))

    def takes(self, context: int) -> int:
        """All of a context is given: the memory of the past takes in any number of frames."""
        return max(context, super().takes(context))

    def step(
        self, t: int, state: VTAState | Given, posterior: Posterior | None = None
    ) -> VTAState:
        """Draws the latents of frame t, and the gate of frame t + 1.

        Args:
            t: The frame.
            state: Of the frame before.
            posterior: What stands in for the priors; None: the generative model.
        """
        now = memo(self._first)(state.past, t) if isinstance(state, Given) else state
        m, c = now.ahead, now.c
        if now is state:
            c = memo(update_or_copy)(self.abstract, m, c, now.z)
        q = posterior.abstract(t) if posterior else None
        belief = DiagonalNormal(self._prior(2, c) if q is None else q)
        z = pyro.sample(site(STATE, 2, t), Held(belief, now.z, m))
        a = memo(self.parent)(c, z)
        h = memo(reset_or_update)(self.observation, m, now.h, a, now.s, a)
        q = posterior.observation(t, m, a) if posterior else None
        s = pyro.sample(site(STATE, 1, t), DiagonalNormal(self._prior(1, h) if q is None else q))
        counts = self.gate.count(now.counts, m)
        ahead = posterior.boundary(t + 1) if posterior else None
        if ahead is None:
            ahead = self.gate.draw(2, t + 1, self._ahead(h, s, counts))
        return VTAState(z, c, s, h, m, counts, ahead)

    def emit(self, states: Sequence[VTAState]) -> TorchDistribution:
        """The distribution of the frames of consecutive states."""
        h, s = (stack_frames(parts) for parts in zip(*((x.h, x.s) for x in states), strict=True))
        return self.emission((self.output(h, s),)).frames

    def changes(self, t: int, state: VTAState) -> list[Tensor | None]:
        """The observation changes at every frame, the abstraction at boundaries."""
        return [torch.ones_like(state.m), state.m.detach()]

    def outline(self) -> Outline:
        """Who reads what; level 2's state and memory come down as one feature a."""
        below, above = self.levels
        parent, output = (Value("z", 2), Value("h", 2)), (Value("z", 1), Value("h", 1))
        return Outline(
            levels=(
                LevelOutline(below, (Value("z", 1, True), *parent), (Value("h", 1),)),
                LevelOutline(
                    above,
                    takes=(Value("z", 2, True),),
                    predicts=(Value("h", 2),),
                    decides=tuple(value._replace(last=True) for value in output),
                    starts=True,
                ),
            ),
            wiring=f"z_2 and h_2 as one feature of {below.memory.size}, h_1 itself at a boundary",
            encoder=f"{brief(self.encoder)}, {self.encoder.features} features",
            emission=brief(self.emits),
            emits=output,
            given=self.given,
            tail=self.tail,
        )

    def _first(self, past: Tensor, t: int) -> VTAState:
        """Before the first predicted frame: zeros, and a boundary ahead."""
        c, batch = past[:, t - 1], past.shape[0]
        below, above = self.levels
        m = c.new_ones(batch)
        return VTAState(
            z=c.new_zeros(batch, above.state.size),
            c=c,
            s=c.new_zeros(batch, below.state.size),
            h=self.observation.initial(batch, c),
            m=m,
            counts=self.gate.initial(batch, c),
            ahead=m,
        )

    def _prior(self, level: int, memory: Tensor) -> Lazy:
        """A level's prior; a bound computes it for all frames at once."""
        head = self.heads[level - 1]
        packed = self.levels[level - 1].state.packed
        return Deferred(head, (memory,), (*memory.shape[:-1], *packed))

    def _ahead(self, h: Tensor, s: Tensor, counts: Counts | None) -> Lazy:
        """The prior's log-odds of a boundary ahead, in the same way."""
        inputs = (h, s, *(counts or ()))
        return Deferred(self._log_odds, inputs, s.shape[:-1], 0, (1, 1, 0, 0)[: len(inputs)])

    def _log_odds(self, h: Tensor, s: Tensor, *counts: Tensor) -> Tensor:
        return self.gate.log_odds(self.output(h, s), Counts(*counts) if counts else None)


def vta(
    *,
    belief: int = 128,
    state: int = 8,
    features: int = 128,
    channels: int = 3,
    resolution: int = 64,
    given: int = 5,
    tail: int = 5,
    segments: SegmentPrior | None = SegmentPrior(),  # noqa: B008
    temperature: Callable[[int], float] = TEMPERATURE,
    std: float | None = 0.5,
) -> LatentDynamics[VTA]:
    """Variational Temporal Abstraction's generative program; the defaults are the paper's.

    Args:
        belief, state: D and S, the sizes of memories and of states, on both levels.
        features: F, of the features of frames and of every convolution.
        channels, resolution: C and H = W of the frames (a power of two from 16 on).
        given: Frames before the predicted ones.
        tail: Frames of a training clip after them.
        segments: Limits on segments in training; None: none.
        temperature: τ of the boundary's relaxation, by training step.
        std: σ of the pixels, which lie in [0, 1]; None learns it.

    Raises:
        ValueError: For sizes that do not fit, no given frame or no tail, or segments of another
            kind.

    Example:
        >>> model = vta(resolution=16, features=8)
        >>> len(model.scored(30))  # five frames are given, five more close the clip
        20
    """
    if not isinstance(segments, SegmentPrior | None):
        raise ValueError(
            "segments are limited by SegmentPrior(number=5, length=10), say, or by None not at "
            f"all, got {segments!r}"
        )
    level = Level(
        memory=GRU(belief),
        state=Gaussian(state, hidden=(), std=torch.sigmoid, min_std=0.0),
    )
    return LatentDynamics(
        VTA(
            levels=(level, replace(level, gate=Boundary(temperature, segments))),
            encoder=StridedEncoder(channels, resolution, features, input=SignedPixels()),
            emission=GaussianFrames(
                partial(
                    StridedDecoder, channels=channels, resolution=resolution, output=UnitTanh()
                ),
                std=LearnedStd() if std is None else std,
            ),
            given=given,
            tail=tail,
        )
    )
