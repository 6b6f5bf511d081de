"""One picture of a data set: a few videos of each split, and their frames from first to last.

    train  person01_boxing_d1_uncomp.avi  348 frames
    [ 0 ][ 39 ][ 77 ] ... [ 347 ]
    train  ...

What a preparation may get wrong without any error, such as colours in another order, a frame that
is cut, or a split with the wrong people in it, is seen here at a glance.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from pyrovp.data.store import Prepared
from pyrovp.files import atomic_write
from pyrovp.fonts import font, legible
from pyrovp.words import counted

__all__ = ["FRAMES", "VIDEOS", "Strip", "contact_sheet", "spread", "strips"]

FRAMES = 10
"""Frames of a video that are shown."""
VIDEOS = 4
"""Videos of a split that are shown."""

_SIDE = 64  # px, at least, of a frame in the picture
_GAP = 2  # px between frames
_CAPTION = 18  # px above each row


class Strip(NamedTuple):
    """A row of the picture.

    Args:
        caption: The text above it.
        frames: What it shows.

    Shapes:
        frames: [n, R, R, 1 or 3] uint8
    """

    caption: str
    frames: NDArray[np.uint8]


def strips(prepared: Prepared) -> Iterator[Strip]:
    """A few videos of each split, spread over it, with a few frames spread over each."""
    for split, stored in prepared.splits.items():
        if not stored.videos:
            yield Strip(f"{split}  no videos", stored.frames[:0])
        for video in spread(stored.videos, VIDEOS):
            first, length = stored.starts[video], stored.lengths[video]
            shown = stored.frames[first + spread(length, FRAMES)]
            yield Strip(f"{split}  {stored.names[video]}  {counted(length, 'frame')}", shown)


def contact_sheet(rows: Sequence[Strip], path: Path) -> None:
    """Draws rows of frames into a PNG.

    Args:
        rows: At least one; all frames of the same size.
        path: The file, written whole or not at all.
    """
    side = rows[0].frames.shape[1]
    scale = -(-_SIDE // side)  # whole, so that every pixel stays a square
    step, widest = side * scale + _GAP, max(FRAMES, *(len(row.frames) for row in rows))
    letters = font(11)
    sheet = Image.new("RGB", (widest * step + _GAP, len(rows) * (step + _CAPTION) + _GAP), "white")
    pen = ImageDraw.Draw(sheet)
    for n, row in enumerate(rows):
        top = n * (step + _CAPTION)
        pen.text((_GAP, top + _GAP), _fitting(row.caption, sheet.width, letters), "black", letters)
        for place, frame in enumerate(row.frames):
            shown = Image.fromarray(frame.squeeze(-1) if frame.shape[-1] == 1 else frame)
            large = shown.resize((side * scale,) * 2, Image.Resampling.NEAREST)
            sheet.paste(large, (_GAP + place * step, top + _CAPTION))
    with atomic_write(path) as temporary:
        sheet.save(temporary)


def spread(count: int, most: int) -> NDArray[np.int64]:
    """Up to `most` of the indices 0 to count - 1, from the first to the last."""
    return np.linspace(0, count - 1, min(count, most)).round().astype(np.int64)


def _fitting(text: str, width: int, letters: ImageFont.FreeTypeFont) -> str:
    """The text in letters that the font has, shortened in its middle to fit."""
    text, room = legible(text), width - 2 * _GAP
    half = int(len(text) * room / (2 * max(letters.getlength(text), 1)))
    whole = text
    while letters.getlength(text) > room and half:
        text = f"{whole[:half]}...{whole[-half:]}"
        half -= 1
    return text
