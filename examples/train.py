"""Trains a small CW-VAE on moving digits, step by step, and draws how that went.

python examples/train.py [PICTURE]
"""

from itertools import islice

import torch
from _trained import picture, steps

from pyrovp import Linear, Objective, guides, models
from pyrovp.data import MovingDigits, batches
from pyrovp.draw import training_png
from pyrovp.train import Update, adam

torch.manual_seed(0)
model = models.cwvae(
    levels=2, factor=4, state=16, memory=128, hidden=128, resolution=32, width=0.5, std=0.2
)
guide = guides.cwvae(model, lift=[128])
objective = Objective(model, guide, per="frame", beta=Linear(0.01, 1.0, steps=200))
update = Update(objective, adam(objective.parameters(), lr=1e-3), clip=1000.0)

videos = MovingDigits("train", length=24, resolution=32)
rows = []
for step, batch in enumerate(islice(batches(videos, 16), steps(400))):
    objective.set_step(step)  # the weight of the KLs rises with it
    outcome = update(batch["video"])  # [16, 24, 1, 32, 32], floats in [0, 1]
    parts = {name: part.item() for name, part in outcome.parts.items()}  # nats per sequence
    rows.append({"step": step, "loss": outcome.loss.item(), **parts})
    if step % 50 == 0:
        print(rows[-1])
training_png(picture("train.png"), rows)
