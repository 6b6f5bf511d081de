"""Sizes of vectors and maps."""

import pytest
import torch

from pyrovp.sizes import Map, Size, batch_of, channels, dims, pooled
from tests.oracles.tiny import close, randn

SIZES = pytest.mark.parametrize(
    ("size", "expected"),
    [(20, (20,)), (1, (1,)), (Map(5, 4), (5, 4, 4)), (Map(channels=5, resolution=1), (5, 1, 1))],
)


@SIZES
def test_dimensions(size: Size, expected: tuple[int, ...]) -> None:
    assert dims(size) == expected
    assert channels(size) == expected[0]


@SIZES
@pytest.mark.parametrize("lead", [(), (3,), (2, 3)])
def test_what_is_not_of_the_value_is_batch(
    size: Size, expected: tuple[int, ...], lead: tuple[int, ...]
) -> None:
    assert batch_of(torch.zeros(*lead, *expected), size) == lead


@pytest.mark.parametrize("lead", [(), (3,), (2, 3)])
def test_a_map_is_averaged_over_its_place(lead: tuple[int, ...]) -> None:
    value = randn(*lead, 5, 2, 2)
    found = pooled(value, Map(5, 2))
    assert found.shape == (*lead, 5)
    pixels = [value[..., i, j] for i in range(2) for j in range(2)]
    close(found, torch.stack(pixels).sum(0) / 4)
    vector = randn(*lead, 5)
    assert pooled(vector, 5) is vector
