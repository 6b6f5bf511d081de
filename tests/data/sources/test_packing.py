"""Frames made small one by one, in one array."""

import numpy as np
import pytest
from numpy.typing import NDArray

from pyrovp.data.errors import DamagedFile
from pyrovp.data.readers.resize import fit
from pyrovp.data.sources.packing import packed


@pytest.mark.parametrize("crop", ["whole", "centre"])
@pytest.mark.parametrize("channels", [1, 3])
def test_each_frame_is_fitted(channels: int, crop: str) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (5, 12, 20, 3), np.uint8)
    video = packed(iter(frames), 8, channels, crop, "a file")  # type: ignore[arg-type]
    assert video.shape == (5, 8, 8, channels) and video.dtype == np.uint8
    for small, frame in zip(video, frames, strict=True):
        np.testing.assert_array_equal(small, fit(frame, 8, channels, crop))  # type: ignore[arg-type]


def test_no_frames() -> None:
    with pytest.raises(DamagedFile, match="a file: found no frames, expected at least one"):
        packed([], 8, 3, "whole", "a file")


@pytest.mark.parametrize("channels", [1, 3])
def test_gray_frames_have_a_channel_or_none(channels: int) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (5, 12, 20), np.uint8)
    video = packed(frames, 8, channels, "centre", "a file")
    np.testing.assert_array_equal(
        video, packed(frames[..., None], 8, channels, "centre", "a file")
    )


@pytest.mark.parametrize(
    ("frame", "found"),
    [
        (np.zeros((4, 4, 4), np.uint8), r"a frame \[4, 4, 4\] of uint8"),
        (np.zeros((4, 4, 3), np.float32), r"a frame \[4, 4, 3\] of float32"),
        (np.zeros(4, np.uint8), r"a frame \[4\] of uint8"),
    ],
)
def test_another_frame_is_a_damaged_file(frame: NDArray[np.uint8], found: str) -> None:
    with pytest.raises(
        DamagedFile, match=rf"a file: found {found}, expected \[H, W, 3\], or gray"
    ):
        packed([frame], 8, 3, "whole", "a file")
