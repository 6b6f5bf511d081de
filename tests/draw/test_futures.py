"""Films of several futures: what stands in their pixels."""

import sys
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image, ImageSequence

from pyrovp.data.errors import DataError
from pyrovp.draw.frames import CONTEXT, PAPER, PREDICTED
from pyrovp.draw.futures import Futures, futures_gif, futures_mp4

G, N, S = 3, 4, 2
TILE, GAP, LABEL = 128 + 2 * 3, 4, 22


def shown(truth: int = 2, samples: int = S) -> Futures:
    """Even frames: given 0.2, sample s at its n-th frame 0.3 + 0.2 s + 0.05 n, truth 0.9."""
    level = 0.3 + 0.2 * torch.arange(samples)[:, None] + 0.05 * torch.arange(N)
    return Futures(
        given=torch.full((G, 1, 8, 8), 0.2),
        samples=level[..., None, None, None].expand(-1, -1, 1, 8, 8),
        truth=torch.full((truth, 1, 8, 8), 0.9),
        start=7,
    )


def gif(path: Path, futures: Futures, **options: int) -> list[NDArray[Any]]:
    futures_gif(path / "film.gif", futures, **options)
    with Image.open(path / "film.gif") as image:
        return [np.asarray(page.convert("RGB")) for page in ImageSequence.Iterator(image)]


def mp4(path: Path, futures: Futures) -> list[NDArray[Any]]:
    futures_mp4(path / "film.mp4", futures)
    with av.open(str(path / "film.mp4")) as container:
        assert container.streams.video[0].average_rate == 10
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def tile(page: NDArray[Any], i: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Colours of the border and of the middle of the i-th tile of the first line."""
    row, left = page[LABEL + TILE // 2].astype(int), GAP + i * (TILE + GAP)
    return row[left + 1], row[left + 60]


@pytest.mark.parametrize("form", [gif, mp4])
def test_tiles_show_the_given_frames_and_then_their_own(form: Any, tmp_path: Path) -> None:
    pages = form(tmp_path, shown())
    assert len(pages) == G + N + (10 if form is mp4 else 0), "the last one stands a second longer"
    for t, page in enumerate(pages[: G + N]):
        n = t - G
        for i, expected in enumerate((0.9, 0.3 + 0.05 * n, 0.5 + 0.05 * n)):
            border, middle = tile(page, i)
            if i == 0 and n >= 2:
                assert abs(border - PAPER).max() < 12 and abs(middle - PAPER).max() < 12
                continue
            assert abs(border - (CONTEXT if n < 0 else PREDICTED)).max() < 30
            assert abs(middle - 255 * (0.2 if n < 0 else expected)).max() < 4


def test_without_a_known_future_there_is_no_tile_for_it(tmp_path: Path) -> None:
    pages = gif(tmp_path, shown(truth=0))
    assert pages[0].shape[1] == S * (TILE + GAP) + GAP
    assert abs(tile(pages[G], 0)[1] - 255 * 0.3).max() < 4


def test_many_samples_take_several_lines(tmp_path: Path) -> None:
    page = gif(tmp_path, shown(truth=0, samples=8))[0]
    assert page.shape == (2 * (TILE + LABEL) + 24, 4 * (TILE + GAP) + GAP, 3)


def test_a_long_film_shows_every_second_frame(tmp_path: Path) -> None:
    assert len(gif(tmp_path, shown(), limit=5)) == 4


def test_odd_sizes_can_be_encoded(tmp_path: Path) -> None:
    futures = Futures(
        torch.rand(1, 3, 27, 33), torch.rand(2, 1, 3, 27, 33), torch.rand(0, 3, 27, 33)
    )
    pages = mp4(tmp_path, futures)
    assert all(side % 2 == 0 for side in pages[0].shape[:2])


@pytest.mark.parametrize(
    ("given", "samples", "truth"),
    [
        ((0, 1, 8, 8), (2, 3, 1, 8, 8), (0, 1, 8, 8)),
        ((2, 1, 8, 8), (2, 3, 1, 8, 9), (0, 1, 8, 8)),
        ((2, 1, 8, 8), (3, 1, 8, 8), (0, 1, 8, 8)),
        ((2, 1, 8, 8), (2, 3, 1, 8, 8), (1, 3, 8, 8)),
    ],
)
def test_refuses_what_does_not_fit(given: Any, samples: Any, truth: Any) -> None:
    with pytest.raises(ValueError, match=r"given and truth must be \[T, C, H, W\]"):
        Futures(torch.zeros(given), torch.zeros(samples), torch.zeros(truth))


def test_without_an_encoder_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(DataError, match=r"writing MP4 files needs the package av.*pyrovp\[data\]"):
        futures_mp4(tmp_path / "film.mp4", shown())
    assert not list(tmp_path.iterdir())
