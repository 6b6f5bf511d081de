"""Predictions beside the truth: a still strip (`predictions.png`) and a film (`predictions.gif`).

    t        0    12   24   35 |  36   37   40   49  ...      context | predicted
    truth    [ ]  [ ]  [ ]  [ ] | [ ]  [ ]  [ ]  [ ]
    model    [ ]  [ ]  [ ]  [ ] | [ ]  [ ]  [ ]  [ ]           reconstruction | prediction
    error    [ ]  [ ]  [ ]  [ ] | [ ]  [ ]  [ ]  [ ]

Borders are blue on context frames and vermilion on predicted ones. In the context the model's
row shows its reconstruction. The error is |model - truth|, black where it is 0; its brightest
colour is the largest error shown, which the picture states.
"""

__all__ = ["columns", "predictions_gif", "predictions_png"]

import os
from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageDraw
from torch import Tensor

from pyrovp.draw.frames import CONTEXT, PAPER, PREDICTED, TEXT
from pyrovp.draw.gif import DURATION, write_gif
from pyrovp.draw.rollouts import ROWS, Film, check_rollout, tile_rollout
from pyrovp.files import atomic_write
from pyrovp.fonts import font

_GAP = 4  # pixels between tiles


def columns(context: int, horizon: int, limit: int = 12) -> list[int]:
    """The frames that a strip shows: all if they fit, else a few of the context and then more.

    A quarter of the strip goes to the context, evenly spaced up to its last frame. Predicted
    frames are spaced geometrically from the first to the last one: the near future, where
    sequences still agree, closely, and the far one as a sample.

    Args:
        context: Number of context frames.
        horizon: Number of predicted frames.
        limit: Greatest number of columns, at least 4.

    Returns:
        Increasing frame numbers t, 0 being the first context frame.

    Example:
        >>> columns(context=36, horizon=100, limit=8)
        [0, 35, 36, 38, 41, 51, 75, 135]
    """
    if context + horizon <= limit:
        return list(range(context + horizon))
    given = min(context, max(limit // 4, limit - horizon))
    predicted = min(horizon, limit - given)
    before = np.linspace(0, context - 1, given) if given > 1 else np.array([context - 1.0])
    after = np.geomspace(1, horizon, predicted).round() if predicted > 1 else np.array([1.0])
    # Rounding may repeat the first few: push each beyond the one before it.
    after = np.maximum.accumulate(after - np.arange(predicted)) + np.arange(predicted)
    return [*before.round().astype(int).tolist(), *(context - 1 + after).astype(int).tolist()]


def predictions_png(
    path: str | os.PathLike[str],
    *,
    context: Tensor,
    truth: Tensor,
    reconstruction: Tensor,
    prediction: Tensor,
    sequences: int = 3,
    limit: int = 12,
) -> None:
    """Writes a strip of frames for a few sequences.

    Args:
        path: The file to write.
        context: The given frames, in [0, 1].
        truth: The true future.
        reconstruction: The model's reconstruction of the context.
        prediction: The model's prediction of the future.
        sequences: Greatest number of sequences shown, from the first of the batch on.
        limit: Greatest number of columns.

    Shapes:
        context, reconstruction: [B, Tc, C, H, W] with C 1 or 3
        truth, prediction: [B, horizon, C, H, W]

    Raises:
        ValueError: If the shapes do not fit together or the frames are neither gray nor RGB.
    """
    check_rollout(context, truth, reconstruction, prediction)
    times = columns(context.shape[1], truth.shape[1], limit)
    film = tile_rollout(context, truth, reconstruction, prediction, sequences, times)
    _, shown, count, high, wide, _ = film.tiles.shape

    left, top, between, foot = 84, 36, 18, 34
    # The boundary between context and prediction gets a wider gap.
    lefts = [left + i * (wide + _GAP) + (3 * _GAP if t >= film.context else 0)
             for i, t in enumerate(times)]  # fmt: skip
    group = 3 * (high + _GAP) + between
    picture = Image.new(
        "RGB", (lefts[-1] + wide + _GAP, top + shown * group - between + foot), PAPER
    )
    draw = ImageDraw.Draw(picture)
    for x, t in zip(lefts, times, strict=True):
        label = f"t = {t}" if x == lefts[0] else str(t)
        draw.text((x + wide / 2, top / 2), label, film.colour(t), font(20), anchor="mm")
    for s in range(shown):
        for row, name in enumerate(ROWS):
            y = top + s * group + row * (high + _GAP)
            draw.text((left - 10, y + high / 2), name, TEXT, font(20), anchor="rm")
            for i, x in enumerate(lefts[:count]):
                picture.paste(Image.fromarray(film.tiles[row, s, i]), (x, y))
    _legend(draw, film, (left, picture.height - foot / 2 - 2), picture.width - _GAP)
    with atomic_write(path) as temporary:
        picture.save(temporary, format="PNG")


def predictions_gif(
    path: str | os.PathLike[str],
    *,
    context: Tensor,
    truth: Tensor,
    reconstruction: Tensor,
    prediction: Tensor,
    sequences: int = 3,
    limit: int = 300,
    milliseconds: int = DURATION,
) -> None:
    """Writes a film: truth, model and error side by side, one line a sequence.

    Args:
        path: The file to write.
        context: The given frames, in [0, 1].
        truth: The true future.
        reconstruction: The model's reconstruction of the context.
        prediction: The model's prediction of the future.
        sequences: Greatest number of sequences shown, from the first of the batch on.
        limit: Greatest number of frames in the file; a longer video shows every second, third, ...
            frame, and says so.
        milliseconds: How long a frame stands; the last one stands for a second longer.

    Shapes:
        context, reconstruction: [B, Tc, C, H, W] with C 1 or 3
        truth, prediction: [B, horizon, C, H, W]

    Raises:
        ValueError: If the shapes do not fit together or the frames are neither gray nor RGB.
    """
    check_rollout(context, truth, reconstruction, prediction)
    length = context.shape[1] + truth.shape[1]
    stride = -(-length // limit)
    times = list(range(0, length, stride))
    film = tile_rollout(context, truth, reconstruction, prediction, sequences, times)
    sample = film.tiles[:, :, :: max(1, len(times) // 16)]
    write_gif(path, _pages(film), len(times), sample, milliseconds)


def _legend(draw: ImageDraw.ImageDraw, film: Film, at: tuple[float, float], right: float) -> None:
    x, y = at
    size = 18
    words = f"error: black 0, brightest {film.scale:.2f}"
    for colour, text in ((CONTEXT, "context"), (PREDICTED, "predicted"), (None, words)):
        if x + 24 + draw.textlength(text, font(size)) > right:
            return  # a strip of very few columns
        if colour is not None:
            draw.rectangle((x, y - 8, x + 16, y + 8), outline=colour, width=3)
            x += 24
        draw.text((x, y), text, TEXT, font(size), anchor="lm")
        x += draw.textlength(text, font(size)) + 28


def _pages(film: Film) -> Iterator[Image.Image]:
    """One full-colour picture for every frame of the film."""
    _, shown, _, high, wide, _ = film.tiles.shape
    top, foot = 24, 24
    width = 3 * wide + 4 * _GAP
    height = top + shown * (high + _GAP) + foot
    stride = film.times[1] - film.times[0] if len(film.times) > 1 else 1
    for i, t in enumerate(film.times):
        page = Image.new("RGB", (width, height), PAPER)
        draw = ImageDraw.Draw(page)
        for row, name in enumerate(ROWS):
            x = _GAP + row * (wide + _GAP)
            draw.text((x + wide / 2, top / 2), name, TEXT, font(14), anchor="mm")
            for s in range(shown):
                picture = Image.fromarray(film.tiles[row, s, i])
                page.paste(picture, (x, top + s * (high + _GAP)))
        phase = "context" if t < film.context else "predicted"
        skipped = f", every {stride}." if stride > 1 else ""
        y = height - foot / 2 - 1
        draw.text((_GAP, y), f"{phase}  t = {t} / {film.frames - 1}{skipped}", film.colour(t),
                  font(14), anchor="lm")  # fmt: skip
        draw.text((width - _GAP, y), f"error 0 … {film.scale:.2f}", TEXT, font(13), anchor="rm")
        yield page
