"""Colours that are shown: pure, mixed in a pixel, mixed in a frame, none; and when they change."""

import pytest
import torch
from torch import Tensor

from pyrovp.data import COLOURS
from pyrovp.metrics.colours import shown_changes, shown_colour

CYCLE = torch.from_numpy(COLOURS)
RED, GREEN, CYAN, MAGENTA, YELLOW, BLUE = range(6)


def filled(*colours: tuple[float, float, float]) -> Tensor:
    """A frame in bands of these colours, on black: [3, 4, 2 len(colours)]."""
    frame = torch.zeros(3, 4, 2 * len(colours))
    for i, colour in enumerate(colours):
        frame[:, 1:3, 2 * i : 2 * i + 2] = torch.tensor(colour)[:, None, None]
    return frame


@pytest.mark.parametrize("index", range(6))
@pytest.mark.parametrize("dimmed", [1.0, 0.3])
def test_a_pure_colour_is_itself_at_any_brightness(index: int, dimmed: float) -> None:
    r, g, b = (dimmed * CYCLE[index]).tolist()
    colour, purity = shown_colour(filled((r, g, b))[None, None], CYCLE, least=0.5)
    assert colour.shape == purity.shape == (1, 1)
    assert colour.item() == index and purity.item() == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("colours", "index", "purity"),
    [
        ([(1, 0, 0), (1, 0, 0), (1, 0, 0), (0, 1, 0)], RED, 0.75),
        ([(1, 1, 0), (0, 0, 1), (0, 0, 1)], BLUE, 2 / 3),
        ([(1.0, 0.25, 0)], RED, 0.75),
        ([(1.0, 0.75, 0.0)], YELLOW, 0.75),
        ([(0.0, 0.5, 0.4)], CYAN, 0.8),
    ],
)
def test_purity_is_the_share_that_is_of_the_colour(
    colours: list[tuple[float, float, float]], index: int, purity: float
) -> None:
    found = shown_colour(filled(*colours), CYCLE, least=0.5)
    assert found.colour.item() == index
    assert found.purity.item() == pytest.approx(purity)


def test_grey_has_no_purity_and_black_no_colour() -> None:
    assert shown_colour(filled((0.8, 0.8, 0.8)), CYCLE, 0.5).purity.item() == 0.0
    nothing = shown_colour(filled((0.05, 0, 0)), CYCLE, 0.5)
    assert nothing.colour.item() == -1 and nothing.purity.isnan()


def test_changes_pass_over_frames_that_show_nothing() -> None:
    colour = torch.tensor([[0, 0, -1, 1], [2, -1, 2, 3], [-1, -1, 4, -1]])
    changes = shown_changes(colour, before=torch.tensor([0, 1, 4]))
    assert changes.int().tolist() == [[0, 0, 0, 1], [1, 0, 0, 1], [0, 0, 0, 0]]
    assert shown_changes(colour, torch.tensor([0, 1, -1]))[2].int().tolist() == [0, 0, 0, 0]


def test_refuses_what_has_no_colours() -> None:
    with pytest.raises(ValueError, match=r"frames \[..., 3, H, W\]"):
        shown_colour(torch.rand(2, 1, 4, 4), CYCLE, 1.0)
    with pytest.raises(ValueError, match="one or two channels that are on"):
        shown_colour(torch.rand(2, 3, 4, 4), torch.ones(1, 3), 1.0)
