"""A predictor is `open_loop` with its numbers settled."""

from typing import Any

import pytest
import torch

from pyrovp.export import predictor
from pyrovp.predict import open_loop
from tests.export.programs import CONTEXT, HORIZON, PROGRAMS, build


@pytest.mark.parametrize("name", PROGRAMS)
def test_it_draws_what_open_loop_draws(name: str) -> None:
    model, guide = build(name)
    predict = predictor(model, guide, context=CONTEXT, horizon=HORIZON)
    assert not model.training and not guide.training
    video = torch.rand(2, CONTEXT, 1, 16, 16)
    torch.manual_seed(4)
    expected = open_loop(model, guide, video, HORIZON).prediction
    torch.manual_seed(4)
    made = predict(video)
    assert made.shape == (2, HORIZON, 1, 16, 16) and not made.requires_grad
    assert torch.equal(made, expected)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"context": 0}, "the context is a whole number"),
        ({"horizon": 2.0}, "the horizon is a whole number of frames, 1 or more, got 2.0"),
        ({"context": 1}, "this model starts from 2 given frames, but the context has 1"),
    ],
)
def test_numbers_that_do_not_fit(changes: dict[str, Any], message: str) -> None:
    model, guide = build("hvrnn")
    with pytest.raises(ValueError, match=message):
        predictor(model, guide, **{"context": 3, "horizon": 3} | changes)


def test_programs_and_videos_that_do_not_fit() -> None:
    model, guide = build("cwvae")
    with pytest.raises(ValueError, match="this guide belongs to another model"):
        predictor(model, build("cwvae")[1], context=3, horizon=3)
    with pytest.raises(ValueError, match="a model is needed"):
        predictor(model.hierarchy, guide, context=3, horizon=3)
    predict = predictor(model, guide, context=3, horizon=3)
    with pytest.raises(ValueError, match="this predictor takes 3 frames, got 4"):
        predict(torch.rand(2, 4, 1, 16, 16))
    with pytest.raises(ValueError, match="context"):
        predict(torch.rand(3, 1, 16, 16))
