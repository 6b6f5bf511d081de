"""The strip of samples."""

import pytest
import torch

from pyrovp.evaluation import Extremes, Films
from pyrovp.evaluation.shown import samples_strip


def films(sequences: int = 2) -> Films:
    context, future = torch.rand(sequences, 3, 1, 8, 8), torch.rand(sequences, 4, 1, 8, 8)
    return Films(context, future, context / 2, future + 1)


def test_rows_of_several_samples() -> None:
    made = films()
    shown = Extremes(
        "psnr", made.prediction - 1, made.prediction - 3, [4, 5], [1, 2], [20.123, 21], [9, 8.5]
    )
    strip = samples_strip(made, shown, "title")
    assert list(strip.rows) == [
        "1 truth", "1 first sample", "1 best, 20.12", "1 worst, 9.00",
        "2 truth", "2 first sample", "2 best, 21.00", "2 worst, 8.50",
    ]  # fmt: skip
    assert strip.seen == 3 and strip.title == "title"
    assert torch.equal(strip.rows["2 truth"], torch.cat((made.context[1], made.truth[1])))
    best = torch.cat((made.reconstruction[0], made.truth[0]))
    torch.testing.assert_close(strip.rows["1 best, 20.12"], best)
    assert (strip.rows["1 first sample"][3:] == 1).all()  # clipped
    assert (strip.rows["1 worst, 9.00"][3:] == 0).all()


def test_rows_of_one_sample_and_one_sequence() -> None:
    assert list(samples_strip(films(), None, "title", sequences=1).rows) == ["truth", "model"]


def test_nothing_to_show() -> None:
    with pytest.raises(ValueError, match="no sequence"):
        samples_strip(films(0), None, "title")
