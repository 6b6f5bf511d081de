"""Gates on levels of maps: what DLH and HVRNN never had together."""

from dataclasses import replace
from functools import cache
from typing import Any, NamedTuple

import pyro
import pytest
import torch
import torch.distributions as td
from pyro import poutine
from pyro.infer import TraceMeanField_ELBO
from torch import Tensor, nn

from pyrovp.cells import FromContext, Learned, NormedConvLSTM
from pyrovp.emission import GaussianLikelihood, UpwardFrames
from pyrovp.evidence import PastFrame
from pyrovp.gates import Forced, Gate, MixtureGate, VaDE
from pyrovp.heads import GaussianMap
from pyrovp.hierarchy import Hierarchy
from pyrovp.infer import HierarchyELBO
from pyrovp.infer.kl import level_kls
from pyrovp.levels import Level
from pyrovp.nets import ResidualEncoder
from pyrovp.predict import open_loop
from pyrovp.programs import PLATE, Filtering, LatentDynamics
from pyrovp.sites import BELIEF, GATE, STATE, site
from pyrovp.state import State
from pyrovp.wiring import Dense
from tests.models.weights import randomise
from tests.oracles.tiny import close, randn
from tests.toys.handlers import SiteNoise, check_particles, run

B, GIVEN, T, WIDTH = 3, 2, 9, 4
TIMES = range(GIVEN, T)
GATE_KINDS = {
    "hard": MixtureGate(size=3),
    "soft": MixtureGate(size=3, rule=VaDE()),
    "of the state": MixtureGate(size=3, inputs="state", static_sample="redraw"),
    "moving on": MixtureGate(size=3, fresh_static=False, block_memory=False),
}
KINDS = pytest.mark.parametrize("kind", GATE_KINDS)
READS = pytest.mark.parametrize("reads", [False, True], ids=["own state", "past frame"])
COPIES = [kind for kind, gate in GATE_KINDS.items() if gate.static_sample == "copy"]


class System(NamedTuple):
    """Model and guide in float64."""

    model: LatentDynamics
    guide: Filtering

    @property
    def hierarchy(self) -> Any:
        return self.model.hierarchy


def build(gates: tuple[Gate | None, ...], reads: bool = False) -> System:
    """Maps of 8, 4 and 1 pixels with weights under which gates open and close.

    Args:
        gates: Of level 2, and of level 3 if there is one.
        reads: Whether the gated levels' memories take in frames; level 1's does.
    """
    encoder = ResidualEncoder(1, resolution=16, width=WIDTH)
    levels = [
        Level(
            memory=NormedConvLSTM(
                encoder.features[r], r, inputs=WIDTH, start=FromContext() if read else Learned()
            ),
            state=GaussianMap(encoder.features[r], r),
            reads=PastFrame() if read else None,
            gate=gate,
        )
        for r, gate, read in zip((8, 4, 1), (None, *gates), (True, reads, reads), strict=False)
    ]
    hierarchy = Hierarchy(
        levels, Dense(), encoder, UpwardFrames(1, 16, GaussianLikelihood(0.5), width=WIDTH),
        given=GIVEN,
    )  # fmt: skip
    model, guide = LatentDynamics(hierarchy).double(), Filtering(hierarchy).double()
    randomise(guide, seed=5)
    with torch.no_grad():
        for module in guide.modules():
            if isinstance(module, nn.GroupNorm):
                module.weight.add_(1.0)
        for level, dynamics, head in zip(levels, hierarchy.parts, guide.heads, strict=True):
            norms: Any = (dynamics.head, head.head)
            for norm, spread in zip((n.norm for n in norms), (1.0, -1.0), strict=True):
                norm.weight.mul_(0.5)
                norm.bias[level.state.size :] += spread
    return System(model, guide)


@cache
def gated(kind: str, levels: int = 3, reads: bool = False) -> System:
    """A system with gates of one kind on all levels but the first."""
    return build((GATE_KINDS[kind],) * (levels - 1), reads)


def clip() -> Tensor:
    """Noise, of which about half of the frames nearly repeat the one before."""
    video = torch.sigmoid(2 * randn(B, T, 1, 16, 16, seed=1))
    for t in range(1, T):
        still = randn(B, seed=t) < 0
        video[still, t] = video[still, t - 1] + 0.01 * video[still, t]
    return video


def states(system: System, video: Tensor, q: Any = None) -> list[State]:
    """The states after each frame, replayed against a guide's trace or drawn."""
    hierarchy, found = system.hierarchy, []
    with poutine.replay(trace=q) if q is not None else SiteNoise():
        with pyro.plate(PLATE, B, dim=-1):
            state = hierarchy.begin(video)
            for t in TIMES:
                state = hierarchy.step(t, state)
                found.append(state)
                state = hierarchy.see(state, video[:, t])
    return found


def decisions(found: list[State], n: int) -> Tensor:
    """e of the level at an index, after the first modelled frame: [T - G - 1, B]."""
    return torch.stack([state.levels[n].e for state in found[1:]])  # type: ignore[misc]


@KINDS
@READS
def test_gates_open_and_close(kind: str, reads: bool) -> None:
    """Under inference and in draws of its own; else what follows would say little."""
    system, video = gated(kind, reads=reads), clip()
    for q in (run(system.guide, video), None):
        for n in (1, 2):
            rate = float(decisions(states(system, video, q), n).double().mean())
            print(kind, reads, q is None, n, rate)
            assert 0.05 < rate < 0.95, (q is None, n, rate)
