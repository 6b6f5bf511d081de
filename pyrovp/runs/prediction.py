"""A prediction of what follows a video of one's own: read it, follow it, predict, show.

    runs/NAME/seed0 + my.mp4 -> given frames -> samples -> predictions/my/

        prediction.json   written last: settings, weights, how many frames
        samples.gif       samples.mp4    the last given frames, and each sample, side by side
        samples.npz       the same as arrays

Frames are read one by one and the model follows them (`pyrovp.predict.OnlineFilter`), so however
long a video is, only its last frames are held.
"""

import json
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Literal, cast

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from pyrovp.data.checks import one_of
from pyrovp.data.errors import DataError
from pyrovp.data.readers.clip import read_clip
from pyrovp.draw.futures import Futures, futures_gif, futures_mp4
from pyrovp.environment import environment
from pyrovp.errors import RunError
from pyrovp.files import atomic_write
from pyrovp.predict import OnlineFilter
from pyrovp.randomness import seed_noise, undisturbed
from pyrovp.runs.trained import load
from pyrovp.words import counted

__all__ = ["Prediction", "PredictionSettings"]

SHOWN = 100
"""Given frames that are shown and stored at most, the last ones."""

PARTICLES = 16
"""Samples that are drawn at once at most; further ones share what is believed of the video."""


@dataclass
class PredictionSettings:
    """What is predicted, and from what.

    Args:
        video: A video file, a .npy or .npz file, or a folder of images.
        runs: The folder of the run that predicts.
        number: Which video, from 0, of a file that holds several.
        context: Frames that are given; None: all. The video's frames after them are shown beside.
        horizon: Frames that are predicted; None: as many as in the run's evaluation.
        samples: Futures.
        crop: "centre", the largest square in a frame's middle, or "whole", squeezed to a square.
        out: Folder of the files; None: one named after the video in the run's, and after its
            path as well where another video of that name was there first.
        weights: "last", or "best" on validation data.
        seed: Key of the noise.
        device: "auto" (a GPU where there is one), "cpu", "cuda" or "cuda:1".
    """

    video: str | None = None
    runs: list[str] = field(default_factory=list)
    number: int | None = None
    context: int | None = None
    horizon: int | None = None
    samples: int = 3
    crop: str = "centre"
    out: str | None = None
    weights: str = "last"
    seed: int = 0
    device: str = "auto"

    def __post_init__(self) -> None:
        if not self.video:
            raise ValueError(
                "no video given: video=my.mp4, or a .gif, .npy or .npz file, or a folder of images"
            )
        for name, least in (("context", 1), ("horizon", 1), ("samples", 1), ("seed", 0)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ValueError(f"{name} must be a whole number of at least {least}, got {value}")
        one_of("crop", self.crop, ["centre", "whole"])
        one_of("weights", self.weights, ["last", "best"])


class Prediction:
    """A prediction that is ready to be made.

    Args:
        settings: What to predict.
        folder: Of the run.

    Raises:
        ValueError: If there is no such run or video, or the run's guide cannot follow one.
    """

    def __init__(self, settings: PredictionSettings, folder: str | Path) -> None:
        self.settings = settings
        weights = cast(Literal["last", "best"], settings.weights)
        self.trained = load(folder, weights=weights, device=settings.device)
        stored = self.trained.settings
        self.horizon = settings.horizon or stored.evaluate.horizon
        self.video = Path(cast(str, settings.video)).expanduser()
        self.frames = read_clip(
            self.video,
            self._resolution(),
            stored.channels,
            crop=cast(Literal["centre", "whole"], settings.crop),
            number=settings.number,
        )
        self.online = OnlineFilter(
            self.trained.model, self.trained.guide, particles=min(settings.samples, PARTICLES)
        )
        self.path = self._own() if settings.out is None else Path(settings.out).expanduser()

    def run(self, say: Callable[[str], None] = print) -> None:
        """Follows the video, predicts, and writes what there is to see.

        Args:
            say: Told what happens, in lines.

        Raises:
            DataError: If the video cannot be read, or is shorter than the context asked for.
            RunError: If the folder cannot be written.
        """
        run, settings = self.trained, self.settings
        with undisturbed():
            seed_noise(settings.seed, 0, run.device)
            given, truth = self._follow()
            future = self.online.forecast(self.horizon, settings.samples)
        seen = self.online.seen
        futures = Futures(given, future.frames[:, 0].float().cpu(), truth, seen - len(given))
        beside = f", beside {len(truth)} that did follow" if len(truth) else ""
        say(
            f"{run.name} trained on {run.data} for {counted(run.step, 'step')}, on {run.device}: "
            f"after {counted(seen, 'frame')} of {self.video.name}, "
            f"{counted(settings.samples, 'sample')} of {counted(self.horizon, 'frame')}{beside}"
        )
        try:
            self._write(futures, future.changes[:, 0].cpu(), say)
        except OSError as error:
            raise RunError(
                f"cannot write to {self.path} ({error.strerror}); choose another folder, for "
                "example out=/tmp/prediction"
            ) from None

    def _own(self) -> Path:
        """A folder of the run's, named after the video and, if another has the name, its path."""
        whole = self.video.resolve()
        name = (
            whole.stem if self.settings.number is None else f"{whole.stem}-{self.settings.number}"
        )
        path = self.trained.path / "predictions" / name
        with suppress(OSError, ValueError):
            facts = json.loads((path / "prediction.json").read_text())
            if (facts.get("video"), facts["asked"]["number"]) != (
                str(whole),
                self.settings.number,
            ):
                return path.with_name(f"{name}-{sha256(str(whole).encode()).hexdigest()[:8]}")
        return path

    def _resolution(self) -> int:
        """Of the run's frames; asks the data set, which may be elsewhere, only if it must."""
        data = self.trained.settings.data
        asked = data.get("resolution") if hasattr(data, "get") else None
        return asked if isinstance(asked, int) else self.trained.videos("test").resolution

    def _follow(self) -> tuple[Tensor, Tensor]:
        """Lets the filter see the given frames; the last of them, and the frames after them."""
        context, given = self.settings.context, deque[Tensor](maxlen=SHOWN)
        truth: list[Tensor] = []
        for frame in tqdm(self.frames, desc="following", unit=" frames", disable=None):
            if context is None or self.online.seen < context:
                self.online.update(frame[None].to(self.trained.device))
                given.append(frame)
            else:
                truth.append(frame)
            if len(truth) == self.horizon:
                break
        seen = self.online.seen
        if context is not None and seen < context:
            raise DataError(
                f"{self.video} has {counted(seen, 'frame')}, but context={context} should be "
                f"given; use context={seen} or fewer"
            )
        frames = torch.stack(list(given))
        return frames, torch.stack(truth) if truth else frames[:0]

    def _write(self, futures: Futures, changes: Tensor, say: Callable[[str], None]) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        (self.path / "prediction.json").unlink(missing_ok=True)
        with atomic_write(self.path / "samples.npz") as temporary:
            np.savez_compressed(
                temporary,
                given=futures.given.numpy(),
                samples=futures.samples.numpy(),
                truth=futures.truth.numpy(),
                changes=changes.numpy(),
            )
        written = ["samples.npz", "samples.gif"]
        futures_gif(self.path / "samples.gif", futures)
        try:
            futures_mp4(self.path / "samples.mp4", futures)
            written.append("samples.mp4")
        except DataError as error:  # the same is in the GIF
            say(f"no samples.mp4: {error}")
        run = self.trained
        facts = {
            "model": run.name,
            "data": run.data,
            "step": run.step,
            "asked": asdict(self.settings),
            "video": str(self.video.resolve()),
            "given": self.online.seen,
            "horizon": self.horizon,
            "truth": len(futures.truth),
            "files": written,
            "environment": environment(run.device),
        }
        with atomic_write(self.path / "prediction.json") as temporary:
            temporary.write_text(json.dumps(facts, indent=2) + "\n")
        say(f"files in {self.path}:\n  {', '.join(['prediction.json', *written])}")
