"""Continues a video of your own: three futures beside what really came.

python examples/own_video.py [PICTURE] [RUN] [VIDEO]

VIDEO is an .mp4, .gif, .npy, ..., or a folder of images, of what the run was trained on.
"""

import numpy as np
import torch
from _trained import arguments, ball, picture

from pyrovp.analysis import Strip
from pyrovp.data.readers.clip import read_clip
from pyrovp.draw import strip_png
from pyrovp.predict import OnlineFilter

run = ball()
example = run.videos("test", length=24)[5]["video"]  # [T, C, H, W]
if len(arguments) > 2:
    path = arguments[2]
else:  # a stand-in for a video of yours: an array [T, H, W, C]
    path = "my_video.npy"
    np.save(path, example.movedim(1, -1).numpy())
channels, _, size = example.shape[1:]
film = torch.stack(list(read_clip(path, resolution=size, channels=channels)))  # [T, C, R, R]
given = len(film) // 2

online = OnlineFilter(run.model, run.guide, particles=3)
for frame in film[:given]:
    online.update(frame[None])  # a batch of one; nothing but the present state is kept
futures = online.forecast(len(film) - given).frames[:, 0]  # [particles, horizon, C, R, R]
rows = {"video": film}
for n, future in enumerate(futures, 1):
    rows[f"future {n}"] = torch.cat([film[:given], future.clamp(0, 1)])
strip_png(picture("own_video.png"), Strip("How the video goes on", rows, seen=given))
