"""HVRNN's encoder against a plain transcription with the same state; its counts and layout."""

import pytest
import torch

from pyrovp.nets import ResidualEncoder
from pyrovp.nets.residual import ResidualBlock, residual_channels
from tests.nets.stacks import assert_same, count, match, perturb
from tests.oracles.hvrnn import Encoder

__all__: list[str] = []

WIDTH = 2


@pytest.mark.parametrize("lean", [False, True])
@pytest.mark.parametrize(("resolution", "channels"), [(16, 1), (32, 3)])
def test_is_the_plain_stack(resolution: int, channels: int, lean: bool) -> None:
    encoder = ResidualEncoder(channels, resolution, WIDTH, kernel=1 if lean else 3).double()
    stack = Encoder(resolution, channels, WIDTH, lean).double()
    perturb(stack)
    pairs = match(encoder, stack)
    x = torch.rand(3, channels, resolution, resolution, dtype=torch.float64, requires_grad=True)
    value, expected = encoder(x), stack(x)
    assert list(value) == list(expected) == list(encoder.features)
    assert_same(list(value.values()), list(expected.values()), [x], pairs)


@pytest.mark.parametrize("resolution", [16, 32, 64, 128])
def test_shapes(resolution: int) -> None:
    encoder = ResidualEncoder(1, resolution, WIDTH)
    for r, value in encoder(torch.rand(2, 1, resolution, resolution), steps=2).items():
        assert value.shape == (2, encoder.features[r], r, r)
        assert value.is_contiguous(memory_format=torch.channels_last)


def test_channels_follow_from_the_image() -> None:
    assert residual_channels(16, 64) == {16: 64, 8: 128, 4: 256, 1: 256}
    assert residual_channels(32, 64) == {32: 64, 16: 128, 8: 256, 4: 512, 1: 512}
    assert residual_channels(128, 64) == {
        128: 64, 64: 128, 32: 256, 16: 512, 8: 512, 4: 512, 1: 512
    }  # fmt: skip


@pytest.mark.parametrize("resolution", [16, 32, 64, 128])
def test_parameters_at_other_sizes_are_those_of_the_rule(resolution: int) -> None:
    with torch.device("meta"):
        encoder, stack = ResidualEncoder(3, resolution), Encoder(resolution, 3, 64, lean=False)
    assert count(encoder) == count(stack)


def test_published_parameters() -> None:
    with torch.device("meta"):
        assert count(ResidualEncoder(channels=3)) == 24_113_920
        lean = count(ResidualEncoder(channels=3, kernel=1))
    assert lean == 24_113_920 - 4 * 512 * 512 * 8


def test_block_is_its_residue_and_the_input() -> None:
    block = ResidualBlock(2, 2, resolution=1).double()
    x = torch.tensor([[1.0, -1.0]], dtype=torch.float64).view(1, 2, 1, 1)
    with torch.no_grad():
        block.second_norm.weight.zero_()
        block.second_norm.bias.copy_(torch.tensor([3.0, 5.0]))
    # LeakyReLU on the branch only, and a tenth of what the branch gives.
    assert block(x).flatten().tolist() == pytest.approx([1.3, -0.5])


def test_refuses_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match="16, 32, 64 or 128 pixels.*resolution=48.*resize"):
        ResidualEncoder(3, 48)
    with pytest.raises(ValueError, match="width must be a whole number"):
        ResidualEncoder(3, 16, width=0)
    with pytest.raises(ValueError, match="channels must be a whole number"):
        ResidualEncoder(0)
    with pytest.raises(ValueError, match=r"frames are \[3, 16, 16\], .* \[1, 16, 16\]"):
        ResidualEncoder(1, 16, WIDTH)(torch.zeros(2, 3, 16, 16))
