"""Ink: dots whose centre is known, haze, and boxes that leave the frame."""

import pytest
import torch

from pyrovp.metrics.ink import HAZE, brightness, centre_of_ink, crops, ink


def test_the_brightest_channel_counts_and_haze_does_not() -> None:
    frames = torch.tensor([[0.05, 0.6, 2.0], [0.0, 0.3, 0.0], [-1.0, 0.1, 0.0]])[None, :, None, :]
    bright = brightness(frames)
    assert bright.shape == (1, 1, 3)
    assert torch.equal(bright[0, 0], torch.tensor([0.05, 0.6, 1.0]))
    torch.testing.assert_close(ink(bright)[0, 0], torch.tensor([0.0, 0.5, 0.9]))


def test_the_centre_is_that_of_mass() -> None:
    """A dot of weight 1 at (2, 1) and one of weight 3 at (6, 5): three quarters of the way."""
    marks = torch.zeros(2, 3, 8, 9, dtype=torch.float64)
    marks[..., 1, 2], marks[..., 5, 6] = 1.0, 3.0
    centre = centre_of_ink(marks, least=0.5)
    assert centre.shape == (2, 3, 2)
    assert torch.equal(centre, torch.tensor([5.0, 4.0]).double().expand(2, 3, 2))


def test_a_frame_with_hardly_any_ink_has_no_centre() -> None:
    marks = torch.zeros(2, 4, 4)
    marks[1, 2, 3] = 0.5
    assert centre_of_ink(marks, least=0.6).isnan().all()
    assert torch.equal(centre_of_ink(marks, least=0.5)[1], torch.tensor([3.0, 2.0]))
    assert centre_of_ink(marks, least=0.5)[0].isnan().all()


def test_haze_does_not_pull_the_centre() -> None:
    frames = torch.full((1, 16, 16), HAZE)
    frames[:, 2:5, 10:13] = 1.0
    assert torch.equal(centre_of_ink(ink(brightness(frames)), 1.0), torch.tensor([11.0, 3.0]))


CORNERS = {
    "inside": (1.0, 2.0),
    "nearest pixel": (1.4, 1.6),
    "above and left": (-2.0, -1.0),
    "below and right": (3.0, 4.0),
    "outside": (9.0, 0.0),
    "far outside": (-500.0, 500.0),
    "nan": (float("nan"), float("nan")),
}


@pytest.mark.parametrize("corner", CORNERS.values(), ids=CORNERS)
def test_crops_are_the_frames_pixels_and_black_beyond(corner: tuple[float, float]) -> None:
    frames = torch.arange(2 * 5 * 4).view(2, 5, 4) + 1.0  # H = 5, W = 4
    found = crops(frames, torch.tensor([corner, (0.0, 0.0)]), 3)
    x, y = (0 if c != c else round(c) for c in corner)
    for i in range(3):
        for j in range(3):
            inside = 0 <= y + i < 5 and 0 <= x + j < 4
            assert found[0, i, j] == (frames[0, y + i, x + j] if inside else 0.0)
    assert torch.equal(found[1], frames[1, :3, :3])
