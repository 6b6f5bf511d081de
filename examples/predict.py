"""Predicts how held-out clips go on, beside the truth.

python examples/predict.py [PICTURE] [RUN]
"""

from _trained import clips, digits, picture

from pyrovp.draw import predictions_png
from pyrovp.metrics import psnr
from pyrovp.predict import open_loop

run = digits()
video = clips(run).video  # [B, T, C, H, W], floats in [0, 1]
context, future = video[:, :12], video[:, 12:]
rollout = open_loop(run.model, run.guide, context, horizon=future.shape[1])

scores = {
    "model": psnr(rollout.prediction.clamp(0, 1), future).mean(0),
    "copy of the last frame": psnr(context[:, -1:].expand_as(future), future).mean(0),
}
for name, score in scores.items():
    print(f"{name}: {score[0]:.1f} dB one frame ahead, {score.mean():.1f} dB on average")

predictions_png(
    picture("predict.png"),
    context=context,
    truth=future,
    reconstruction=rollout.reconstruction,
    prediction=rollout.prediction,
    sequences=2,
)
