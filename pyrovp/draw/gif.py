"""Films as GIF: pages of full colour with one palette, so that still pixels do not flicker.

A GIF has 256 colours. Borders, text and paper have entries of their own; the rest is fitted to a
sample of what is shown. Pages are made, reduced and written one by one.
"""

__all__ = ["DURATION", "write_gif"]

import os
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pyrovp.draw.frames import CONTEXT, PAPER, PREDICTED, TEXT
from pyrovp.files import atomic_write

DURATION = 100
"""How long a page stands, in milliseconds, unless said otherwise."""


def write_gif(
    path: str | os.PathLike[str],
    pages: Iterable[Image.Image],
    count: int,
    sample: NDArray[np.uint8],
    milliseconds: int = DURATION,
) -> None:
    """Writes a film that repeats for ever, whole or not at all.

    Args:
        path: The file to write.
        pages: Pictures of one size, at least one. Pillow merges equal ones that follow each
            other: number them.
        count: How many pages there are.
        sample: Some of the pages' pixels, which the palette is fitted to.
        milliseconds: How long a page stands; the last one stands for a second longer.

    Shapes:
        sample: [..., W, 3]
    """
    palette = _palette(sample)
    reduced = (page.quantize(palette=palette, dither=Image.Dither.NONE) for page in pages)
    durations = [milliseconds] * (count - 1) + [milliseconds + 1000]
    with atomic_write(path) as temporary:
        next(reduced).save(
            temporary, format="GIF", save_all=True, append_images=reduced, duration=durations,
            loop=0, disposal=1, optimize=False,
        )  # fmt: skip


def _palette(sample: NDArray[np.uint8]) -> Image.Image:
    """Pillow looks for the nearest entry in steps of 4: a fitted one near an ink becomes it."""
    inks = np.array([CONTEXT, PREDICTED, PAPER, TEXT])
    own = np.concatenate([inks, (inks[[0, 1, 3]] + inks[2]) // 2])  # half-tones of the text
    strip = Image.fromarray(sample.reshape(-1, sample.shape[-2], 3))
    used = strip.quantize(256 - len(own), method=Image.Quantize.MEDIANCUT).getpalette() or []
    fitted = np.array(used).reshape(-1, 3)[: 256 - len(own)]
    distance = abs(fitted[:, None] - own).max(-1)  # [fitted, own]
    near = distance.min(-1) <= 8
    fitted[near] = own[distance.argmin(-1)[near]]
    palette = Image.new("P", (1, 1))
    palette.putpalette(np.concatenate([own, fitted]).flatten().tolist())
    return palette
