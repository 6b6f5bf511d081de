"""Checks of what users hand in: the message names the thing, the need and a remedy."""

from typing import Any

import pytest
import torch

from pyrovp.checks import check_video, nearest


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_takes_videos_of_floats(dtype: torch.dtype) -> None:
    check_video(torch.zeros(2, 3, 1, 4, 4, dtype=dtype))


@pytest.mark.parametrize(
    ("video", "message"),
    [
        (torch.zeros(3, 1, 4, 4), r"the clip has shape \[3, 1, 4, 4\], but \[B, T, C, H, W\]"),
        (torch.zeros(1, 2, 3, 1, 4, 4), r"shape \[1, 2, 3, 1, 4, 4\]"),
        (torch.zeros(2, 0, 1, 4, 4), r"the clip of shape \[2, 0, 1, 4, 4\] is empty"),
        ([[0.0]], r"the clip is a list, but a tensor \[B, T, C, H, W\]"),
        (torch.zeros(2, 3, 1, 4, 4, dtype=torch.uint8), r"torch.uint8 pixels.*float\(\) / 255"),
    ],
)
def test_refuses_the_rest_in_words(video: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_video(video, "clip")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("cwave", "did you mean cwvae? known: cwvae, dlh, rssm"),
        ("DLH", "known: cwvae, dlh, rssm"),
        ("zzz", "known: cwvae, dlh, rssm"),
    ],
)
def test_a_near_miss_is_guessed(name: str, expected: str) -> None:
    assert nearest(name, ["rssm", "dlh", "cwvae"]) == expected
