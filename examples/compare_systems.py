"""Compares two systems, frame by frame, the further they predict.

python examples/compare_systems.py [PICTURE]
"""

from _trained import clips, digits, picture
from torch import Tensor

from pyrovp.analysis import Curve, Line
from pyrovp.draw import curve_png
from pyrovp.metrics import psnr
from pyrovp.predict import open_loop


def line(frames: Tensor, truth: Tensor) -> Line:
    """Mean over clips, and its standard error on each side."""
    score = psnr(frames.clamp(0, 1), truth)  # [B, horizon], dB
    mean, error = score.mean(0), score.std(0) / len(score) ** 0.5
    steps = range(1, len(mean) + 1)
    return Line(mean.tolist(), (mean - error).tolist(), (mean + error).tolist(), list(steps))


lines = {}
for system in ("cwvae", "dlh"):
    run = digits(system)
    video = clips(run, count=64, length=36).video
    context, future = video[:, :12], video[:, 12:]
    lines[system] = line(open_loop(run.model, run.guide, context, 24).prediction, future)
lines["copy of the last frame"] = line(context[:, -1:].expand_as(future), future)
lines["black frame"] = line(future * 0, future)
curve = Curve("PSNR of predictions, 64 clips", "frames after the context", "PSNR [dB]", lines)
curve_png(picture("compare_systems.png"), curve)
