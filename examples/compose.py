"""Composes a hierarchy from primitives and draws who reads what.

python examples/compose.py [PICTURE]
"""

from functools import partial

import torch
from _trained import picture

import pyrovp
from pyrovp import GRU, DCGANDecoder, DCGANEncoder, Every, Gaussian, GaussianFrames, Level

hierarchy = pyrovp.Hierarchy(
    levels=[
        Level(memory=GRU(64), state=Gaussian(8)),  # ticks at every frame
        Level(memory=GRU(64), state=Gaussian(8), gate=pyrovp.MixtureGate()),  # when it must
        Level(memory=GRU(64), state=Gaussian(8), clock=Every(4)),  # at every fourth frame
    ],
    wiring=pyrovp.TopDown(64),
    encoder=DCGANEncoder(channels=1, resolution=32, width=0.25),
    emission=GaussianFrames(partial(DCGANDecoder, channels=1, resolution=32, width=0.25), std=0.2),
)
model, guide = pyrovp.LatentDynamics(hierarchy), pyrovp.Filtering(hierarchy)
print(pyrovp.describe(model, guide))

video = torch.rand(2, 8, 1, 32, 32)  # [B, T, C, H, W], floats in [0, 1]
print("loss before training:", pyrovp.HierarchyELBO()(model, guide)(video).item())
pyrovp.draw_hierarchy(model, guide, path=picture("compose.png"))
