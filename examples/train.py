"""Trains a small CW-VAE on a bouncing ball and draws how that went.

python examples/train.py [PICTURE]
"""

from itertools import islice

from _trained import STEPS, built, picture, update

from pyrovp.data import MovingBall, batches
from pyrovp.draw import training_png

model, guide = built("cwvae")
step = update(model, guide)  # Adam on the bound: see _trained.py
videos = MovingBall("train", length=20, resolution=32)
rows = []
for n, batch in enumerate(islice(batches(videos, 16), STEPS)):
    step.objective.set_step(n)  # the weight of the KLs rises with it
    outcome = step(batch["video"])  # [16, 20, 3, 32, 32]
    parts = {name: part.item() for name, part in outcome.parts.items()}  # nats per sequence
    rows.append({"step": n, "loss": outcome.loss.item(), **parts})
    if n % 50 == 0:
        print(rows[-1])
training_png(picture("train.png"), rows)
