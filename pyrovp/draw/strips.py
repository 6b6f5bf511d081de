"""Films under each other: a `Strip` as a still picture and as one moving one.

    title
               0    4    8   11   12   14   18   23     the frames shown, of all
    truth     [ ]  [ ]  [ ]  [ ]  [ ]  [ ]  [ ]  [ ]
    blind     [ ]  [ ]  [ ]  [ ]  [ ]  [ ]  [ ]  [ ]

Borders are blue on frames that the model was given and vermilion on all others, as in
`pyrovp.draw.predictions`. The moving picture has the rows side by side, all frames one by one.
"""

__all__ = ["strip_gif", "strip_png"]

import os
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from pyrovp.analysis.findings import Strip
from pyrovp.draw.frames import CONTEXT, PAPER, PREDICTED, TEXT, enlargement, tiles, to_rgb
from pyrovp.draw.gif import write_gif
from pyrovp.draw.predictions import columns
from pyrovp.files import atomic_write
from pyrovp.fonts import font

_GAP = 4  # pixels between tiles
_EDGE = 12  # pixels around everything
_ABREAST = 6  # tiles in a line of the moving picture

Tiles = dict[str, NDArray[np.uint8]]


def strip_png(path: str | os.PathLike[str], strip: Strip, limit: int = 12) -> None:
    """Writes the strip as a still picture.

    Args:
        path: The file to write.
        strip: What is shown.
        limit: Greatest number of columns, at least 4. A longer film shows its first frame, its
            last, and frames between, closest after the given ones.

    Raises:
        ValueError: If there is nothing to show, rows differ in shape, or frames are neither gray
            nor RGB.
    """
    times = _times(strip, limit)
    rows = _tiles(strip, times)
    _, high, wide, _ = next(iter(rows.values())).shape
    left = _EDGE + max(_measure(label, 18) for label in rows) + 10
    lefts = [left + i * (wide + _GAP) + (2 * _GAP if 0 < strip.seen <= t else 0)
             for i, t in enumerate(times)]  # fmt: skip
    width = max(lefts[-1] + wide, left + _measure(_legend(strip), 16)) + _EDGE
    title = _wrapped(strip.title, 20, width - 2 * _EDGE)
    top = _EDGE + 26 * len(title) + 30
    picture = Image.new("RGB", (width, top + len(rows) * (high + _GAP) + 30), PAPER)
    draw = ImageDraw.Draw(picture)
    _lines(draw, title, 20, 26)
    for x, t in zip(lefts, times, strict=True):
        number = str(strip.start + t)
        draw.text((x + wide / 2, top - 14), number, _colour(strip, t), font(18), anchor="mm")
    for i, (label, row) in enumerate(rows.items()):
        y = top + i * (high + _GAP)
        draw.text((left - 10, y + high / 2), label, TEXT, font(18), anchor="rm")
        for x, tile in zip(lefts, row, strict=True):
            picture.paste(Image.fromarray(tile), (x, y))
    draw.text((left, picture.height - 16), _legend(strip), TEXT, font(16), anchor="lm")
    with atomic_write(path) as temporary:
        picture.save(temporary, format="PNG")


def strip_gif(path: str | os.PathLike[str], strip: Strip, limit: int = 300) -> None:
    """Writes the strip as a moving picture.

    Args:
        path: The file to write.
        strip: What is shown.
        limit: Greatest number of pages; a longer film shows every second, third, ... frame, and
            says so.

    Raises:
        ValueError: As `strip_png`.
    """
    length = _length(strip)
    times = list(range(0, length, -(-length // limit)))
    rows = _tiles(strip, times)
    sample = np.stack([row[:: max(1, len(times) // 16)] for row in rows.values()])
    write_gif(path, _pages(strip, rows, times), len(times), sample)


def _length(strip: Strip) -> int:
    """Frames of the strip; refuses one that cannot be shown."""
    shapes = {label: list(frames.shape) for label, frames in strip.rows.items()}
    first = next(iter(shapes.values()), [])
    if len(first) != 4 or 0 in first or any(shape != first for shape in shapes.values()):
        raise ValueError(
            f"the rows of strip {strip.title!r} must be [T, C, H, W] of one shape, none empty; "
            f"got {shapes}"
        )
    return first[0]


def _times(strip: Strip, limit: int) -> list[int]:
    length = _length(strip)
    if 0 < strip.seen < length:
        return columns(strip.seen, length - strip.seen, limit)
    return np.linspace(0, length - 1, min(length, limit)).round().astype(int).tolist()


def _tiles(strip: Strip, times: list[int]) -> Tiles:
    """Enlarged and bordered frames at some times, [N, h, w, 3]."""
    made = {}
    for label, frames in strip.rows.items():
        images = to_rgb(frames[times])
        factor = enlargement(*images.shape[1:3])
        made[label] = np.stack([
            tiles(image, factor, _colour(strip, t)) for image, t in zip(images, times, strict=True)
        ])  # fmt: skip
    return made


def _pages(strip: Strip, rows: Tiles, times: list[int]) -> Iterator[Image.Image]:
    """One full-colour picture for every time, its rows in even lines."""
    _, high, wide, _ = next(iter(rows.values())).shape
    cell = max(wide, *(_measure(label, 14) for label in rows)) + 2 * _GAP
    lines = -(-len(rows) // _ABREAST)
    abreast = -(-len(rows) // lines)
    width = max(abreast * cell, 240) + 2 * _EDGE
    title = _wrapped(strip.title, 14, width - 2 * _EDGE)
    top = _EDGE + 19 * len(title)
    stride = times[1] - times[0] if len(times) > 1 else 1
    last = strip.start + _length(strip) - 1
    for i, t in enumerate(times):
        page = Image.new("RGB", (width, top + lines * (high + 26) + 24), PAPER)
        draw = ImageDraw.Draw(page)
        _lines(draw, title, 14, 19)
        for n, (label, row) in enumerate(rows.items()):
            x, y = _EDGE + n % abreast * cell + cell // 2, top + n // abreast * (high + 26)
            draw.text((x, y + 12), label, TEXT, font(14), anchor="mm")
            page.paste(Image.fromarray(row[i]), (x - wide // 2, y + 24))
        counter = f"{strip.start + t} / {last}" + (f", every {stride}." if stride > 1 else "")
        if strip.seen:
            counter = f"{'given' if t < strip.seen else 'not given'}  {counter}"
        colour = _colour(strip, t)
        draw.text((_EDGE, page.height - 12), counter, colour, font(14), anchor="lm")
        yield page


def _colour(strip: Strip, t: int) -> tuple[int, int, int]:
    """Of frame t's border, counted from the strip's first."""
    return CONTEXT if t < strip.seen else PREDICTED


def _legend(strip: Strip) -> str:
    if not strip.seen:
        return ""
    if strip.seen >= _length(strip):
        return "blue: given to the model"
    return "blue: given to the model, vermilion: not"


def _measure(text: str, size: int) -> int:
    return int(font(size).getlength(text)) + 1


def _wrapped(text: str, size: int, width: int) -> list[str]:
    """The text in lines that are no wider, where its words permit."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and _measure(longer, size) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def _lines(draw: ImageDraw.ImageDraw, lines: list[str], size: int, apart: int) -> None:
    for i, line in enumerate(lines):
        draw.text((_EDGE, _EDGE + i * apart), line, TEXT, font(size), anchor="lt")
