"""Walks along a video: level by level where the frames alone move a memory, else frame by frame.

Hierarchies that nobody has thought of mix levels that read frames, as vectors or maps, with gated
and clocked ones that read their own states. Whatever is known ahead, the walk is `step` and `see`.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from operator import mul
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pyro import poutine
from pyro.infer import TraceMeanField_ELBO
from torch import Tensor, nn

from pyrovp.cells import GRU, LSTM, ConvLSTM, FromContext, Learned, Memory, NormedConvLSTM
from pyrovp.clocks import Every
from pyrovp.emission import GaussianFrames
from pyrovp.evidence import PastFrame
from pyrovp.gates import MixtureGate, VaDE
from pyrovp.heads import Gaussian, GaussianMap, Latent
from pyrovp.hierarchy import Hierarchy
from pyrovp.infer import HierarchyELBO
from pyrovp.infer.kl import latents, level_kls
from pyrovp.levels import Level
from pyrovp.posteriors import OwnHead, PosteriorHead, Twin
from pyrovp.predict import open_loop
from pyrovp.programs import PLATE, Filtering, LatentDynamics
from pyrovp.state import State
from pyrovp.wiring import Dense, TopDown, Wiring
from tests.hierarchies import gates, profile
from tests.models.weights import randomise
from tests.oracles.tiny import close, randn
from tests.predict.recorder import Recorder
from tests.toys.handlers import SiteNoise, check_particles, run
from tests.toys.hvrnn import Decoder, Encoder

B = 3


class Pyramid(nn.Module):
    """Features of tiny frames: two maps of 2 x 2 pixels, and three numbers."""

    features = {2: 2, 1: 3}

    def __init__(self) -> None:
        super().__init__()
        self.fine = nn.Conv2d(1, 2, 1)
        self.coarse = nn.Conv2d(2, 3, 2)

    def forward(self, frames: Tensor, steps: int = 1) -> dict[int, Tensor]:
        """Maps by resolution."""
        fine = torch.tanh(self.fine(frames))
        return {2: fine, 1: torch.tanh(self.coarse(fine))}


@dataclass(frozen=True)
class Case:
    """What a generated hierarchy is made of.

    Args:
        levels: From level 1.
        wiring: Between them.
        pyramid: Whether the encoder makes maps; else one vector.
        posterior: Of all levels; None: each level's own kind.
        given: Frames that condition the model.
        frames: How many there are after them.
    """

    levels: tuple[Level, ...]
    wiring: Wiring
    pyramid: bool
    posterior: PosteriorHead | None
    given: int
    frames: int


STARTS = st.sampled_from([Learned(), FromContext()])
VECTORS = st.one_of(
    st.builds(GRU, st.just(3), start=STARTS),
    st.builds(LSTM, st.just(3), start=STARTS),
    st.builds(LSTM, st.just(2), inputs=st.just(3), layers=st.just(2), start=STARTS),
)


@st.composite
def parts(draw: st.DrawFn, wiring: Wiring, finest: int) -> dict[str, Any]:
    """Memory, state and input of a level; maps of at most so many pixels, 0: none."""
    reads = draw(st.sampled_from([None, PastFrame(), PastFrame()]))
    vectors = {"memory": draw(VECTORS), "state": Gaussian(2, hidden=(4,)), "reads": reads}
    kinds = ["vectors"]
    if finest and isinstance(wiring, Dense):
        kinds += ["maps", "maps"]
    if finest and reads is not None:
        kinds += ["map memory"] + ["map state"] * isinstance(wiring, Dense)
    kind = draw(st.sampled_from(kinds))
    resolution = draw(st.sampled_from([r for r in (1, 2) if r <= max(1, finest)]))
    memory = draw(
        st.one_of(
            st.builds(ConvLSTM, st.just(2), st.just(resolution), start=STARTS),
            st.builds(
                NormedConvLSTM, st.just(4), st.just(resolution), inputs=st.just(3), start=STARTS
            ),
        )
    )
    state = GaussianMap(2, resolution)
    options: dict[str, dict[str, Any]] = {
        "vectors": vectors,
        "maps": vectors | {"memory": memory, "state": state},
        "map memory": vectors | {"memory": memory},
        "map state": vectors | {"state": state},
    }
    return options[kind]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """One to three levels, at least one of which reads frames unless chance will not have it."""
    depth = draw(st.integers(1, 3))
    wiring = draw(st.sampled_from([Dense(), Dense(reach=1), TopDown(4)]))
    pyramid = draw(st.booleans())
    factors = draw(st.lists(st.sampled_from([1, 1, 1, 2]), min_size=depth, max_size=depth))
    finest, built = 2 * pyramid, []
    for n, period in enumerate(accumulate(factors, mul)):
        gate = draw(st.none() | st.none() | gates()) if n else None
        made = draw(parts(wiring, finest))
        if isinstance(made["state"], GaussianMap):
            finest = made["state"].resolution  # states above are enlarged to this
        built.append(Level(clock=Every(period), gate=gate, **made))
    return Case(
        levels=tuple(built),
        wiring=wiring,
        pyramid=pyramid,
        posterior=draw(st.sampled_from([None, None, OwnHead(), Twin()])),
        given=draw(st.integers(1, 3)),
        frames=draw(st.integers(1, 5)),
    )


def build(case: Case) -> tuple[LatentDynamics, Filtering]:
    """Model and guide in float64, with random weights under which KLs are a few nats."""
    hierarchy = Hierarchy(
        case.levels,
        case.wiring,
        Pyramid() if case.pyramid else Encoder(4),
        GaussianFrames(Decoder, 0.5),
        given=case.given,
    )
    guide = Filtering(hierarchy, lift=(4,), posterior=case.posterior).double()
    randomise(guide, seed=5)
    with torch.no_grad():
        for module in guide.modules():
            if isinstance(module, nn.GroupNorm):
                module.weight += 1.0
    return LatentDynamics(hierarchy).double(), guide


def video_of(case: Case) -> Tensor:
    return 2 * randn(B, case.given + case.frames, 1, 2, 2, seed=case.frames)


def ticks(case: Case) -> Iterator[tuple[int, int]]:
    """(index of a level, frame) of all ticks; clocks count from the first frame not given."""
    for n, level in enumerate(case.levels):
        times = range(case.given, case.given + case.frames, level.clock.period)
        yield from ((n, t) for t in times)


def time_major(
    hierarchy: Any, video: Tensor, frames: range, posterior: Any = None
) -> tuple[list[State], Any]:
    """What `walk` does, one frame after the other."""
    state, states = hierarchy.begin(video), []
    for t in frames:
        state = hierarchy.step(t, state, posterior)
        states.append(state)
        state = hierarchy.see(state, video[:, t])
    return states, hierarchy._contexts(states)


@contextmanager
def frame_by_frame() -> Iterator[None]:
    """Both programs walk in time."""
    with pytest.MonkeyPatch.context() as patch:
        for place in ("programs", "hierarchy"):
            patch.setattr(f"pyrovp.{place}.walk", time_major)
        yield


@profile(40)
@given(cases())
def test_level_by_level_is_frame_by_frame(case: Case) -> None:
    """The same draws under the same noise, beliefs, frames, bound and gradients."""
    (model, guide), video = build(case), video_of(case)
    found = []
    for walks in (nullcontext, frame_by_frame):
        with walks():
            q = run(guide, video)
            p = run(model, video, given=q)
            with SiteNoise():
                loss = HierarchyELBO().differentiable_loss(model, guide, video)
        gradients = torch.autograd.grad(loss, [*guide.parameters(), *model.parameters()], allow_unused=True, materialize_grads=True)
        found.append((q, p, loss, gradients))
    (q, p, loss, gradients), (q2, p2, loss2, gradients2) = found
    for name in q.stochastic_nodes:
        if name == PLATE: continue
        a,b=q.nodes[name],q2.nodes[name]
        close(a["value"], b["value"])
        close(a["log_prob"],b["log_prob"])
        close(p.nodes[name]["log_prob"],p2.nodes[name]["log_prob"])
    close(loss, loss2)
    for a,b in zip(gradients,gradients2,strict=True): close(a,b,atol=1e-8)
