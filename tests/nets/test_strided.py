"""VTA's networks against plain transcriptions with the same state; their counts."""

import pytest
import torch
from torch import nn

from pyrovp.nets import SignedPixels, StridedDecoder, StridedEncoder
from tests.nets.stacks import assert_same, count, match, perturb
from tests.oracles.vta import Decoder, Encoder

__all__: list[str] = []

F = 6


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(("resolution", "channels"), [(16, 1), (32, 3)])
def test_encoder_is_the_plain_stack(resolution: int, channels: int, training: bool) -> None:
    encoder = StridedEncoder(channels, resolution, F).double().train(training)
    stack = Encoder(channels, F, resolution).double().train(training)
    perturb(stack)
    pairs = match(encoder, stack)
    x = torch.rand(4, channels, resolution, resolution, dtype=torch.float64, requires_grad=True)
    assert_same([encoder(x)], [stack(x)], [x], pairs)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(("resolution", "channels"), [(16, 1), (32, 3)])
def test_decoder_is_the_plain_stack(resolution: int, channels: int, training: bool) -> None:
    decoder = StridedDecoder(F, channels, resolution).double().train(training)
    stack = Decoder(channels, F, resolution).double().train(training)
    perturb(stack)
    pairs = match(decoder, stack)
    z = torch.randn(4, F, dtype=torch.float64, requires_grad=True)
    assert_same([decoder(z)], [stack(z)], [z], pairs)


@pytest.mark.parametrize("resolution", [16, 32, 64, 128])
def test_shapes(resolution: int) -> None:
    encoder, decoder = StridedEncoder(2, resolution, F), StridedDecoder(F, 2, resolution)
    frames = torch.rand(3, 2, resolution, resolution)
    assert encoder.features == decoder.inputs == F
    assert encoder(frames).shape == (3, F)
    assert decoder(encoder(frames)).shape == frames.shape
    assert decoder(encoder(frames)).is_contiguous()


def test_published_parameters() -> None:
    encoder, decoder = StridedEncoder(channels=3), StridedDecoder(inputs=128, channels=3)
    assert count(encoder) == 793_600
    assert count(decoder) == 793_347
    # The published totals of the models differ by one layer in each network.
    larger = count(StridedEncoder(3, 64)) + count(StridedDecoder(128, 3, 64))
    assert larger - 793_600 - 793_347 == 2_760_775 - 2_235_975


def test_output_module_is_applied() -> None:
    decoder = StridedDecoder(F, 1, 16, output=nn.Identity())
    z = torch.randn(4, F)
    raw = 10 * decoder(z)
    decoder.output = nn.Tanh()
    torch.testing.assert_close(decoder(z), (raw / 10).tanh())


def test_frames_go_through_the_input_module_first() -> None:
    encoder = StridedEncoder(2, 16, F, input=SignedPixels())
    x = torch.rand(4, 2, 16, 16)
    found = encoder(x)
    encoder.input = nn.Identity()
    torch.testing.assert_close(found, encoder(2 * x - 1))


def test_refuses_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match=r"frames are \[3, 16, 16\], .* \[1, 16, 16\]"):
        StridedEncoder(1, 16, F)(torch.zeros(2, 3, 16, 16))
    with pytest.raises(ValueError, match=r"got \[2, 3, 16, 16\]"):
        StridedDecoder(F, 1, 16)(torch.zeros(2, 3, 16, 16))
    with pytest.raises(ValueError, match="resolution=20"):
        StridedEncoder(1, 20)
    with pytest.raises(ValueError, match="resolution=20"):
        StridedDecoder(F, 1, 20)
    with pytest.raises(ValueError, match="features must be a whole number"):
        StridedEncoder(1, 16, 0)
    with pytest.raises(ValueError, match="inputs must be a whole number"):
        StridedDecoder(0, 1)
    with pytest.raises(TypeError, match=r"nn.Tanh\(\)"):
        StridedDecoder(F, 1, 16, output="tanh")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="input must be a module"):
        StridedEncoder(1, 16, F, input="2x - 1")  # type: ignore[arg-type]
