"""Strips and films: the written files are opened again and their pixels looked at."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageSequence

from pyrovp.draw import predictions_gif, predictions_png
from pyrovp.draw.frames import BORDER, CONTEXT, PREDICTED, enlargement, error_rgb, to_rgb
from pyrovp.draw.predictions import columns

WHITE = (255, 255, 255)


def video(batch: int = 2, context: int = 3, horizon: int = 4, channels: int = 1) -> dict[str, Any]:
    """A rollout of 32 x 32 frames: reconstruction exact, prediction off by noise."""
    frames = torch.rand(batch, context + horizon, channels, 32, 32)
    truth = frames[:, context:]
    return {
        "context": frames[:, :context],
        "truth": truth,
        "reconstruction": frames[:, :context].clone(),
        "prediction": truth + 0.3 * torch.randn_like(truth),
    }


def length(film: Image.Image) -> int:
    """Number of frames in an animated picture."""
    return len(list(ImageSequence.Iterator(film)))


def lines(image: Image.Image, y: int) -> list[tuple[tuple[int, ...], int]]:
    """Runs of equal colour along a row of pixels."""
    runs: list[tuple[tuple[int, ...], int]] = []
    for pixel in np.asarray(image.convert("RGB"))[y].tolist():
        if runs and runs[-1][0] == tuple(pixel):
            runs[-1] = (runs[-1][0], runs[-1][1] + 1)
        else:
            runs.append((tuple(pixel), 1))
    return runs


def first_border(image: Image.Image, x: int) -> int:
    """The first row of pixels from the top that has a border colour at column x."""
    pixels = np.asarray(image.convert("RGB"))[:, x]
    return int(np.argmax([tuple(pixel) in (CONTEXT, PREDICTED) for pixel in pixels.tolist()]))


@pytest.mark.parametrize("channels", [1, 3])
def test_strip(tmp_path: Path, channels: int) -> None:
    made = video(channels=channels)
    predictions_png(tmp_path / "predictions.png", **made)
    assert [file.name for file in tmp_path.iterdir()] == ["predictions.png"]
    image = Image.open(tmp_path / "predictions.png")
    tile = 32 * 4 + 2 * BORDER
    top = first_border(image, 84 + tile // 2 + 40)
    borders = [run for run in lines(image, top) if run[0] != WHITE]
    assert borders == [(CONTEXT, tile)] * 3 + [(PREDICTED, tile)] * 4, "7 tiles, 3 of them given"
    assert image.height > 2 * 3 * tile, "two sequences of three rows"
    # The first tile is the first frame, every pixel 4 x 4 times.
    left = 84 + BORDER
    pixels = np.asarray(image)[top + BORDER : top + BORDER + 128, left : left + 128]
    expected = to_rgb(made["context"][0, 0]).repeat(4, 0).repeat(4, 1)
    assert np.array_equal(pixels, expected)
    # The third row is the error: zero, that is black, for the exact reconstruction.
    y = top + 2 * (tile + 4) + BORDER
    assert not np.asarray(image)[y : y + 128, left : left + 128].max() > 4
    right = image.width - 4 - BORDER - 128
    assert np.asarray(image)[y : y + 128, right : right + 128].max() > 200


@pytest.mark.parametrize("channels", [1, 3])
def test_film(tmp_path: Path, channels: int) -> None:
    predictions_gif(tmp_path / "predictions.gif", **video(channels=channels))
    assert [file.name for file in tmp_path.iterdir()] == ["predictions.gif"]
    with Image.open(tmp_path / "predictions.gif") as film:
        assert length(film) == 7
        assert film.info["loop"] == 0, "for ever"
        tile = 32 * 4 + 2 * BORDER
        assert film.width == 3 * tile + 4 * 4
        for t in range(7):
            film.seek(t)
            y = first_border(film, 40)
            borders = [run for run in lines(film, y) if run[0] != WHITE]
            assert borders == [(CONTEXT if t < 3 else PREDICTED, tile)] * 3
            assert film.info["duration"] == (100 if t < 6 else 1100)


def test_film_shows_the_frames(tmp_path: Path) -> None:
    """Within the 256 colours of a GIF, whose noise here is worth about 4 of 255."""
    made = video()
    predictions_gif(tmp_path / "film.gif", **made)
    with Image.open(tmp_path / "film.gif") as film:
        for t, name, index in [(0, "context", 0), (2, "context", 2), (6, "truth", 3)]:
            film.seek(t)
            y, x = first_border(film, 40) + BORDER, 4 + BORDER
            shown = np.asarray(film.convert("RGB"))[y : y + 128, x : x + 128].astype(float)
            expected = to_rgb(made[name][0, index]).repeat(4, 0).repeat(4, 1)
            assert abs(shown - expected).mean() < 6


def test_a_still_video_keeps_all_its_frames(tmp_path: Path) -> None:
    """Pillow merges equal pictures; the frame number in each keeps them apart."""
    still: dict[str, Any] = {name: torch.zeros_like(value) for name, value in video().items()}
    predictions_gif(tmp_path / "film.gif", **still)
    with Image.open(tmp_path / "film.gif") as film:
        assert length(film) == 7


def test_a_long_film_is_thinned_out(tmp_path: Path) -> None:
    predictions_gif(tmp_path / "film.gif", **video(1, 3, 8), limit=5)
    with Image.open(tmp_path / "film.gif") as film:
        assert length(film) == 4, "frames 0, 3, 6 and 9 of 11"


def test_only_a_few_sequences(tmp_path: Path) -> None:
    heights = {}
    for batch, limit in [(1, 3), (4, 1), (4, 2)]:
        predictions_png(tmp_path / "strip.png", **video(batch), sequences=limit)
        with Image.open(tmp_path / "strip.png") as image:
            heights[batch, limit] = image.height
    assert heights[1, 3] == heights[4, 1] < heights[4, 2]


@pytest.mark.parametrize("context", [1, 2, 5, 36])
@pytest.mark.parametrize("horizon", [1, 2, 9, 10, 28, 100, 1000])
@pytest.mark.parametrize("limit", [4, 12])
def test_columns(context: int, horizon: int, limit: int) -> None:
    times = columns(context, horizon, limit)
    assert len(times) == min(limit, context + horizon)
    assert times == sorted(set(times)), "increasing, none twice"
    assert times[0] >= 0
    assert times[-1] == context + horizon - 1, "the farthest frame"
    assert {context - 1, context} <= set(times), "both sides of the boundary"


def test_given_and_predicted_frames_look_different() -> None:
    assert max(abs(a - b) for a, b in zip(CONTEXT, PREDICTED, strict=True)) > 100


def test_conversion() -> None:
    gray = torch.tensor([-1.0, 0.0, 0.5, 2.0, float("nan")])[None, None]
    assert to_rgb(gray)[0].tolist() == [[v] * 3 for v in (0, 0, 128, 255, 0)]
    colour = torch.tensor([1.0, 0.0, 0.2])[:, None, None]
    assert to_rgb(colour).tolist() == [[[255, 0, 51]]]
    with pytest.raises(ValueError, match="one channel"):
        to_rgb(torch.rand(2, 4, 4))


def test_error_is_of_what_is_shown() -> None:
    """An unclipped prediction of 1.5 is shown as 1 and has no error against 1."""
    truth = torch.ones(1, 2, 2)
    assert np.array_equal(error_rgb(truth + 0.5, truth, 1.0), error_rgb(truth, truth, 1.0))
    assert error_rgb(truth - 1, truth, 1.0).min() > error_rgb(truth, truth, 1.0).max()


@pytest.mark.parametrize(
    ("side", "factor"), [(8, 16), (16, 8), (28, 5), (64, 2), (128, 1), (256, 1)]
)
def test_enlargement(side: int, factor: int) -> None:
    assert enlargement(side, side) == factor


@pytest.mark.parametrize("write", [predictions_png, predictions_gif])
@pytest.mark.parametrize("name", ["context", "truth", "reconstruction", "prediction"])
def test_refusals(tmp_path: Path, write: Callable[..., None], name: str) -> None:
    made = video()
    made[name] = made[name][:, :-1]
    if name == "context":
        made[name] = made[name][:0]
    with pytest.raises(ValueError, match=r"\[B, Tc, C, H, W\]"):
        write(tmp_path / "file", **made)
    assert not list(tmp_path.iterdir())
