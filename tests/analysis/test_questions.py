"""What a question may be about."""

from typing import Any

import pytest

from pyrovp.analysis.questions import asked_levels, check_context, gated_levels, modelled_frame
from tests.analysis.test_contract import tiny_svg, tiny_vta
from tests.systems import tiny_cwvae, tiny_dlh, tiny_mixed


@pytest.mark.parametrize(
    ("build", "levels", "gated"),
    [(tiny_cwvae, 3, []), (tiny_dlh, 3, [2, 3]), (tiny_mixed, 4, [3, 4]), (tiny_vta, 2, [2])],
)
def test_levels_and_their_gates(build: Any, levels: int, gated: list[int]) -> None:
    model = build()[0]
    assert asked_levels(model, None) == list(range(1, levels + 1))
    assert asked_levels(model, 2) == [2]
    assert gated_levels(model) == gated


@pytest.mark.parametrize("level", [0, 4, -1, "1", 1.5])
def test_a_level_that_is_not_there(level: Any) -> None:
    with pytest.raises(ValueError, match="was asked for, but this model has the levels 1 to 3"):
        asked_levels(tiny_cwvae()[0], level)


def test_what_is_no_model() -> None:
    model: Any = tiny_cwvae()[0].hierarchy
    with pytest.raises(ValueError, match="a model is needed"):
        asked_levels(model, None)


@pytest.mark.parametrize(
    ("build", "context", "frame"),
    # VTA takes 2 frames as given and leaves the last one out; SVG takes 1.
    [(tiny_cwvae, 4, 3), (tiny_svg, 4, 3), (tiny_svg, 1, 1), (tiny_vta, 2, 2), (tiny_vta, 8, 6)],
)
def test_the_frame_is_the_last_of_the_context_that_is_modelled(
    build: Any, context: int, frame: int
) -> None:
    model = build()[0]
    assert modelled_frame(model, 8, context, None) == frame
    assert modelled_frame(model, 8, context, 5) == 5


def test_a_frame_that_is_not_modelled() -> None:
    model: Any = tiny_vta()[0]
    for frame in (1, 7):
        with pytest.raises(ValueError, match=f"frame {frame} was asked for.* models 2 to 6"):
            modelled_frame(model, 8, 4, frame)


@pytest.mark.parametrize("context", [0, 9])
def test_a_context_that_does_not_fit(context: int) -> None:
    with pytest.raises(ValueError, match=f"context of {context} frames .* clips of 8"):
        check_context(context, 8)
