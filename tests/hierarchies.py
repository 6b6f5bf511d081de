"""Hierarchies that nobody has thought of: a hypothesis strategy, and tiny networks for them."""

__all__ = ["Case", "build", "cases", "gates", "profile", "video_of"]

from dataclasses import dataclass
from itertools import accumulate
from operator import mul

import torch
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from torch import Tensor

from pyrovp import (
    GRU,
    Every,
    Filtering,
    Forced,
    Gaussian,
    GaussianFrames,
    Hierarchy,
    KLComparison,
    LatentDynamics,
    Level,
    MixtureGate,
    Parent,
    TopDown,
    VaDE,
)
from pyrovp.gates import Gate
from pyrovp.wiring import Wiring
from tests.toys.hvrnn import Decoder, Encoder

LONGEST = 9
BATCH = 3


def profile(examples: int) -> settings:
    """The same examples in every run, however slow the machine."""
    return settings(
        max_examples=examples,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow],
        phases=[Phase.explicit, Phase.generate, Phase.shrink],
    )


@dataclass(frozen=True)
class Case:
    """What a generated hierarchy is made of; everything but the sizes of its networks.

    Args:
        periods: Of the clocks, from level 1.
        gates: Of the levels.
        wiring: Between them.
        frames: T.
    """

    periods: tuple[int, ...]
    gates: tuple[Gate | None, ...]
    wiring: Wiring
    frames: int


OPTIONS = {
    "fresh_static": st.booleans(),
    "static_sample": st.sampled_from(["copy", "redraw"]),
    "block_memory": st.booleans(),
    "detach_static": st.booleans(),
}


def gates() -> st.SearchStrategy[Gate]:
    """Gates of every kind with every option."""
    mixture = st.builds(
        MixtureGate,
        rule=st.sampled_from([KLComparison(), VaDE()]),
        size=st.just(3),
        inputs=st.sampled_from(["memory", "state"]),
        score=st.sampled_from(["open", "all"]),
        **OPTIONS,
    )
    schedule = st.lists(st.booleans(), min_size=LONGEST, max_size=LONGEST).map(tuple)
    return st.one_of(mixture, mixture, st.builds(Forced, schedule=schedule, **OPTIONS))


@st.composite
def cases(draw: st.DrawFn, *, lowest_gate: int = 1) -> Case:
    """One to four levels of nested clocks, gates anywhere from index `lowest_gate` up."""
    depth = draw(st.integers(1, 4))
    factors = st.lists(st.sampled_from([1, 1, 2, 3]), min_size=depth, max_size=depth)
    above = [draw(st.none() | gates()) for _ in range(lowest_gate, depth)]
    return Case(
        periods=tuple(accumulate(draw(factors), mul)),
        gates=(*[None] * min(lowest_gate, depth), *above),
        wiring=draw(st.sampled_from([Parent(), TopDown(4)])),
        frames=draw(st.integers(1, LONGEST)),
    )


def build(case: Case, seed: int = 0) -> tuple[LatentDynamics[Hierarchy], Filtering]:
    """Model and guide in float64, with weights under which gates open and close.

    Fresh networks hardly look at the frames, and their gates stay shut: features are scaled up,
    priors made wide and posteriors narrow.
    """
    torch.manual_seed(seed)
    hierarchy = Hierarchy(
        [
            Level(clock=Every(period), memory=GRU(3), state=Gaussian(2, hidden=(4,)), gate=gate)
            for period, gate in zip(case.periods, case.gates, strict=True)
        ],
        case.wiring,
        Encoder(4),
        GaussianFrames(Decoder, 0.5),
    )
    model = LatentDynamics(hierarchy).double()
    guide = Filtering(hierarchy, lift=(4,)).double()
    factors = {"hierarchy.encoder": 2, "ladder": 3, "heads": 2}
    with torch.no_grad():
        for name, parameter in guide.named_parameters():
            for part, factor in factors.items():
                if name.startswith(part):
                    parameter.mul_(factor)
            if name.endswith("head.output.bias"):
                parameter[2:] = 0.5 if "dynamics" in name else -0.5
    return model, guide


def video_of(case: Case) -> Tensor:
    """Noise [B, T, 1, 2, 2] of which about half of the frames repeat the one before."""
    generator = torch.Generator().manual_seed(case.frames)
    shape = (BATCH, case.frames, 1, 2, 2)
    video = 2 * torch.randn(shape, dtype=torch.float64, generator=generator)
    for t in range(1, case.frames):
        same = torch.rand(BATCH, generator=generator) < 0.5
        video[same, t] = video[same, t - 1]
    return video
