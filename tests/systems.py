"""Tiny systems in float64, 16 x 16 pixels, for the tests of bounds and prediction."""

__all__ = ["Programs", "clip", "tiny_cwvae", "tiny_dlh", "tiny_mixed"]

from functools import partial

import torch
from torch import Tensor

from pyrovp.cells import GRU
from pyrovp.clocks import Every
from pyrovp.emission import GaussianFrames
from pyrovp.filtering import Filtering
from pyrovp.gates import Gate, MixtureGate, Rule
from pyrovp.guides import cwvae as cwvae_guide
from pyrovp.guides import dlh as dlh_guide
from pyrovp.heads import Gaussian
from pyrovp.hierarchy import Hierarchy
from pyrovp.levels import Level
from pyrovp.models import cwvae, dlh
from pyrovp.nets import DCGANDecoder, DCGANEncoder
from pyrovp.programs import LatentDynamics
from pyrovp.wiring import Parent

Programs = tuple[LatentDynamics[Hierarchy], Filtering]


def clip(frames: int, *, batch: int = 2, seed: int = 5) -> Tensor:
    """A video of noise that stands almost still here and there: there is a reason to close."""
    generator = torch.Generator().manual_seed(seed)
    video = torch.rand(batch, frames, 1, 16, 16, dtype=torch.float64, generator=generator) * 4 - 2
    for t in range(2, frames, 2):
        noise = torch.randn(batch, 1, 16, 16, dtype=torch.float64, generator=generator)
        video[:, t] = video[:, t - 1] + 0.3 * noise
    return video


def tiny_cwvae(
    *, levels: int = 3, factor: int = 2, seed: int = 3, std: float | None = 2.0
) -> Programs:
    """A CW-VAE and its guide."""
    torch.manual_seed(seed)
    model = cwvae(
        levels=levels,
        factor=factor,
        state=2,
        memory=3,
        hidden=4,
        resolution=16,
        width=0.03,
        std=std,
    )
    guide = cwvae_guide(model, lift=(4,))
    model.double(), guide.double()
    return model, guide


def tiny_dlh(
    *,
    levels: int = 3,
    gate: Gate | None = None,
    rule: Rule | None = None,
    seed: int = 8,
    std: float | None = 2.0,
) -> Programs:
    """A DLH and its guide, with weights under which gates open at some ticks and not at others.

    Fresh networks hardly look at the frames and their gates stay shut: features are scaled up,
    priors made wide and posteriors narrow.
    """
    torch.manual_seed(seed)
    if gate is None:
        gate = MixtureGate(size=3) if rule is None else MixtureGate(rule=rule, size=3)
    model = dlh(
        std=std,
        levels=levels,
        state=2,
        memory=3,
        context=3,
        hidden=(4,),
        gate=gate,
        resolution=16,
        width=0.02,
    )
    guide = dlh_guide(model, lift=(4,))
    model.double(), guide.double()
    factors = {"hierarchy.encoder": 3.0, "ladder": 2.5, "heads": 1.5, "hierarchy.dynamics": 1.3}
    with torch.no_grad():
        for name, parameter in guide.named_parameters():
            for prefix, factor in factors.items():
                if name.startswith(prefix):
                    parameter.mul_(factor)
            if name.endswith("head.output.bias"):
                parameter[2:] = 0.5 if "dynamics" in name else -0.5
    return model, guide


def tiny_mixed(*, rule: Rule | None = None, seed: int = 8) -> Programs:
    """Composed of everything: two clocks under two gated levels, contexts joined at the cells."""
    torch.manual_seed(seed)
    gate = MixtureGate(size=3) if rule is None else MixtureGate(rule=rule, size=3)
    hierarchy = Hierarchy(
        levels=[
            Level(memory=GRU(3), state=Gaussian(2, hidden=(4,))),
            Level(clock=Every(2), memory=GRU(3, inputs=4), state=Gaussian(2, hidden=(4,))),
            Level(clock=Every(2), memory=GRU(3), state=Gaussian(2, hidden=(4,)), gate=gate),
            Level(clock=Every(4), memory=GRU(2), state=Gaussian(3, hidden=(4,)), gate=gate),
        ],
        wiring=Parent(),
        encoder=DCGANEncoder(1, resolution=16, width=0.02, outputs=3),
        emission=GaussianFrames(partial(DCGANDecoder, channels=1, resolution=16, width=0.02), 2.0),
    )
    model, guide = LatentDynamics(hierarchy), Filtering(hierarchy, lift=(4,))
    model.double(), guide.double()
    with torch.no_grad():
        for name, parameter in guide.named_parameters():
            if name.startswith(("ladder", "hierarchy.encoder")):
                parameter.mul_(3.0)
    return model, guide
