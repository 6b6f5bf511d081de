"""Groups of channels: the published number where it divides, else the next below."""

import pytest
import torch

from pyrovp.nets.norm import groups, map_norm


@pytest.mark.parametrize("channels", [1, 2, 3, 6, 7, 8, 12, 16, 24, 36, 64])
@pytest.mark.parametrize("at_most", [1, 4, 16])
@pytest.mark.parametrize("resolution", [None, 1, 4])
def test_is_the_largest_that_fits(channels: int, at_most: int, resolution: int | None) -> None:
    least = 2 if resolution == 1 else 1  # channels to a group
    fitting = [n for n in range(1, at_most + 1) if channels % n == 0 and channels // n >= least]
    assert groups(channels, at_most, resolution) == max(fitting, default=1)


def test_published_widths_keep_their_groups() -> None:
    for channels in (64, 128, 256, 512, 1024, 2048):
        assert groups(channels, 16) == groups(channels, 16, resolution=1) == 16
        assert groups(channels, 4) == 4


@pytest.mark.parametrize("channels", [2, 8, 16])
def test_no_value_on_a_pixel_is_normalised_alone(channels: int) -> None:
    norm = torch.nn.GroupNorm(groups(channels, 16, resolution=1), channels)
    assert (norm(torch.randn(1, channels)).abs() > 0.1).any()


def test_one_pixel_is_one_group() -> None:
    assert map_norm(64, 16, resolution=1).num_groups == 1
    assert map_norm(64, 16, resolution=8).num_groups == 16
    assert map_norm(24, 16, resolution=8).num_groups == 12


@pytest.mark.parametrize(("channels", "at_most"), [(0, 4), (4, 0), (-1, 4)])
def test_refuses_numbers_below_one(channels: int, at_most: int) -> None:
    with pytest.raises(ValueError, match=f"channels={channels} and at_most={at_most}"):
        groups(channels, at_most)
