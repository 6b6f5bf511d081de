"""Several futures of one video side by side, as a film.

    video        sample 1     sample 2
    [ ]          [ ]          [ ]
    predicted  t = 37 / 135

All tiles show the given frames first, in blue borders; then, in vermilion ones, each sample as it
was predicted, and the video as far as it is known.
"""

__all__ = ["Futures", "futures_gif", "futures_mp4"]

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from pyrovp.draw.frames import CONTEXT, PAPER, PREDICTED, TEXT, enlargement, tiles, to_rgb
from pyrovp.draw.gif import write_gif
from pyrovp.draw.mp4 import write_mp4
from pyrovp.fonts import font

_GAP = 4  # pixels between tiles
_ABREAST = 6  # tiles in a line
_LABEL, _FOOT = 22, 24  # heights of the words above tiles and below all


@dataclass(frozen=True)
class Futures:
    """What is shown.

    Args:
        given: The last given frames, at least one.
        samples: What may follow.
        truth: What did follow, as far as it is known; perhaps no frame.
        start: Time of the first given frame that is shown.

    Shapes:
        given: [G, C, H, W] in [0, 1] with C 1 or 3
        samples: [S, N, C, H, W]
        truth: [M, C, H, W]; frames beyond N are not shown

    Raises:
        ValueError: If the shapes do not fit together.
    """

    given: Tensor
    samples: Tensor
    truth: Tensor
    start: int = 0

    def __post_init__(self) -> None:
        shapes = {name: list(getattr(self, name).shape) for name in ("given", "samples", "truth")}
        frame = shapes["given"][1:]
        fits = (
            [len(shape) for shape in shapes.values()] == [4, 5, 4]
            and shapes["samples"][2:] == shapes["truth"][1:] == frame
            and min(self.given.numel(), self.samples.numel()) > 0
        )
        if not fits:
            raise ValueError(
                "given and truth must be [T, C, H, W] and samples [S, N, C, H, W], frames of one "
                f"size, given and samples not empty; got {shapes}"
            )

    @property
    def frames(self) -> int:
        """How many times are shown."""
        return len(self.given) + self.samples.shape[1]


def futures_gif(path: str | os.PathLike[str], futures: Futures, limit: int = 300) -> None:
    """Writes the film as GIF.

    Args:
        path: The file to write.
        futures: What is shown.
        limit: Greatest number of pages; a longer film shows every second, third, ... frame, and
            says so.
    """
    times = range(0, futures.frames, -(-futures.frames // limit))
    some = [next(_pages(futures, [t])) for t in times[:: max(1, len(times) // 8)]]
    sample = np.stack([np.asarray(page) for page in some])
    write_gif(path, _pages(futures, times), len(times), sample)


def futures_mp4(path: str | os.PathLike[str], futures: Futures) -> None:
    """Writes the film as MP4.

    Args:
        path: The file to write.
        futures: What is shown.

    Raises:
        DataError: If the package av is not installed.
    """
    write_mp4(path, _pages(futures, range(futures.frames)))


def _pages(futures: Futures, times: Sequence[int]) -> Iterator[Image.Image]:
    """One full-colour picture for every time."""
    seen = len(futures.given)
    labels = ["video"] if len(futures.truth) else []
    labels += [f"sample {s}" for s in range(1, len(futures.samples) + 1)]
    lines = -(-len(labels) // _ABREAST)
    abreast = -(-len(labels) // lines)
    factor = enlargement(*futures.given.shape[-2:])
    stride = times[1] - times[0] if len(times) > 1 else 1
    last = futures.start + futures.frames - 1
    for t in times:
        colour = CONTEXT if t < seen else PREDICTED
        images = tiles(to_rgb(_frames(futures, t)), factor, colour)
        if t - seen >= len(futures.truth) > 0:
            images[0] = PAPER  # nobody knows
        _, high, wide, _ = images.shape
        width = max(abreast * (wide + _GAP) + _GAP, 250)
        page = Image.new("RGB", (width, lines * (high + _LABEL) + _FOOT), PAPER)
        draw = ImageDraw.Draw(page)
        for i, (label, image) in enumerate(zip(labels, images, strict=True)):
            x = _GAP + i % abreast * (wide + _GAP)
            y = i // abreast * (high + _LABEL)
            draw.text((x + wide / 2, y + _LABEL / 2), label, TEXT, font(14), anchor="mm")
            page.paste(Image.fromarray(image), (x, y + _LABEL))
        words = f"{'given' if t < seen else 'predicted'}  t = {futures.start + t} / {last}"
        words += f", every {stride}." if stride > 1 else ""
        draw.text((_GAP, page.height - _FOOT / 2), words, colour, font(14), anchor="lm")
        yield page


def _frames(futures: Futures, t: int) -> Tensor:
    """What the tiles show, [N, C, H, W]; black where the video is not known."""
    seen, known = len(futures.given), len(futures.truth)
    if t < seen:
        return futures.given[t].expand(len(futures.samples) + (known > 0), -1, -1, -1)
    made = futures.samples[:, t - seen]
    if not known:
        return made
    truth = futures.truth[t - seen] if t - seen < known else torch.zeros_like(made[0])
    return torch.cat([truth[None].to(made), made])
