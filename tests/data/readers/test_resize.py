"""Cutting, shrinking and graying of a frame, against the formulas summed out."""

import numpy as np
import pytest
from numpy.typing import NDArray

from pyrovp.data.readers.resize import Crop, fit


def noise(seed: int, *shape: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def weights(old: int, new: int) -> NDArray[np.float64]:
    """Row i: how much each old pixel counts in new pixel i, whose centre lies at (i + 1/2) s."""
    scale = old / new
    matrix = np.zeros((new, old))
    for i in range(new):
        for j in range(old):
            distance = abs(j + 0.5 - (i + 0.5) * scale) / max(scale, 1.0)
            matrix[i, j] = max(0.0, 1.0 - distance)
    return matrix / matrix.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("size", [(48, 64), (33, 17), (16, 16), (9, 40), (5, 7)])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_whole_frame_is_squeezed(seed: int, size: tuple[int, int], channels: int) -> None:
    """A frame that is larger or smaller; one step of rounding in each direction."""
    frame = noise(seed, *size, 3)
    exact = np.einsum("ih,hwc,jw->ijc", weights(size[0], 16), frame, weights(size[1], 16))
    if channels == 1:
        exact = exact @ [[0.299], [0.587], [0.114]]
    found = fit(frame, 16, channels)
    assert found.shape == (16, 16, channels) and found.dtype == np.uint8
    assert np.abs(found - exact).max() <= 1.6


def test_a_fine_pattern_becomes_its_mean() -> None:
    """Without the widened weights it would become all black, or all white."""
    frame = np.zeros((64, 64, 3), np.uint8)
    frame[::2, ::2] = 255
    inner = fit(frame, 8, 3)[1:-1, 1:-1]
    assert np.abs(inner.astype(int) - 255 / 4).max() <= 1.5


@pytest.mark.parametrize("crop", ["whole", "centre"])
def test_a_frame_of_the_right_size_passes_untouched(seed: int, crop: Crop) -> None:
    frame = noise(seed, 16, 16, 3)
    assert np.array_equal(fit(frame, 16, 3, crop), frame)
    gray = noise(seed, 16, 16, 1)
    assert np.array_equal(fit(gray.repeat(3, axis=2), 16, 1, crop), gray)


def test_gray_is_luma() -> None:
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (10, 200, 90)]
    for colour in colours:
        frame = np.full((16, 16, 3), colour, np.uint8)
        expected = round(0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2])
        assert (fit(frame, 16, 1) == expected).all()


@pytest.mark.parametrize(("size", "top", "left"), [((16, 33), 0, 8), ((40, 16), 12, 0)])
def test_the_square_in_the_middle(seed: int, size: tuple[int, int], top: int, left: int) -> None:
    frame = noise(seed, *size, 3)
    assert np.array_equal(fit(frame, 16, 3, "centre"), frame[top : top + 16, left : left + 16])


def test_cityscapes_keeps_its_middle() -> None:
    frame = np.zeros((1024, 2048, 3), np.uint8)
    frame[:, 512:1536] = 200
    assert (fit(frame, 64, 3, "centre") == 200).all()
    assert (fit(frame, 64, 3, "whole") == 0).any()


def test_gray_frames_may_have_one_channel(seed: int) -> None:
    gray = noise(seed, 20, 30, 1)
    three = gray.repeat(3, axis=2)
    for channels in (1, 3):
        assert np.array_equal(fit(gray, 8, channels), fit(three, 8, channels))


@pytest.mark.parametrize(
    ("shape", "kind", "channels", "crop", "problem"),
    [
        ((8, 8), np.uint8, 3, "whole", r"a frame is \[H, W, 3\], .* of uint8, got \[8, 8\]"),
        ((8, 8, 4), np.uint8, 3, "whole", r"got \[8, 8, 4\] uint8"),
        ((8, 8, 3), np.float32, 3, "whole", r"got \[8, 8, 3\] float32"),
        ((8, 8, 3), np.uint8, 2, "whole", "channels must be 1 .* got 2"),
        ((8, 8, 3), np.uint8, 3, "center", "crop must be .* did you mean 'centre'"),
    ],
)
def test_errors(
    shape: tuple[int, ...], kind: type[np.generic], channels: int, crop: Crop, problem: str
) -> None:
    with pytest.raises(ValueError, match=problem):
        fit(np.zeros(shape, kind), 4, channels, crop)
