"""SVG's networks against plain stacks called step by step; counts, shapes, frozen skips."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pyrovp.nets import (
    SkipDCGANDecoder,
    SkipDCGANEncoder,
    SkipDecoder,
    VGGDecoder,
    VGGEncoder,
)
from pyrovp.nets.dcgan_skips import stage_channels
from tests.nets.stacks import assert_close, assert_same, count, match, perturb
from tests.oracles import svg_nets

__all__: list[str] = []

ENCODERS: dict[str, Any] = {"dcgan": SkipDCGANEncoder, "vgg": VGGEncoder}
DECODERS: dict[str, Any] = {"dcgan": SkipDCGANDecoder, "vgg": VGGDecoder}
STACKS: dict[str, Any] = {
    "dcgan": (svg_nets.DCGANEncoder, svg_nets.DCGANDecoder),
    "vgg": (svg_nets.VGGEncoder, svg_nets.VGGDecoder),
}
B, G, S, WIDTH = 3, 5, 2, 1 / 64
WHICH = [0, 1, 1]
NETS = pytest.mark.parametrize("nets", ["dcgan", "vgg"])
SIZES = pytest.mark.parametrize(("resolution", "channels"), [(16, 1), (32, 3)])
MODES = pytest.mark.parametrize(
    ("statistics", "training"), [("each", True), ("each", False), ("pooled", True)]
)


def randn(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, requires_grad=True)


def random_skips(channels: dict[int, int], frames: int) -> dict[int, Tensor]:
    return {r: randn(frames * B, c, r, r) for r, c in channels.items() if r > 1}


@MODES
@SIZES
@NETS
def test_encoder_is_the_plain_stack(
    nets: str, resolution: int, channels: int, statistics: str, training: bool
) -> None:
    encoder = ENCODERS[nets](channels, resolution, G, WIDTH, statistics).double().train(training)
    stack = STACKS[nets][0](channels, resolution, G, width=1).double().train(training)
    perturb(stack)
    pairs = match(encoder, stack)
    x = randn(4 * B, channels, resolution, resolution)
    steps = [stack(frames) for frames in (x.chunk(4) if statistics == "each" else [x])]
    expected = {r: torch.cat([skips[r] for _, skips in steps]) for r in steps[0][1]}
    expected[1] = torch.cat([vector for vector, _ in steps])[:, :, None, None]
    value = encoder(x, steps=4)
    assert list(value) == list(expected) == list(encoder.features)
    assert_same(list(value.values()), list(expected.values()), [x], pairs)


@MODES
@SIZES
@NETS
def test_decoder_is_the_plain_stack(
    nets: str, resolution: int, channels: int, statistics: str, training: bool
) -> None:
    decoder = DECODERS[nets](channels, resolution, G, WIDTH, statistics).double().train(training)
    stack = STACKS[nets][1](channels, resolution, G, width=1).double().train(training)
    perturb(stack)
    pairs = match(decoder, stack)
    d, skips = randn(len(WHICH) * B, G), random_skips(decoder.skips, S)
    copies = [{r: x.chunk(S)[source] for r, x in skips.items()} for source in WHICH]
    if statistics == "each":
        steps = zip(d.chunk(len(WHICH)), copies, strict=True)
        expected = torch.cat([stack(*step) for step in steps])
    else:
        expected = stack(d, {r: torch.cat([step[r] for step in copies]) for r in skips})
    value = decoder(d, skips, WHICH)
    assert_same([value], [expected], [d, *skips.values()], pairs)
    assert float(value.detach().min()) > 0 and float(value.detach().max()) < 1


@NETS
def test_frozen_skips_are_explicit_copies(nets: str) -> None:
    decoder = DECODERS[nets](1, 16, G, WIDTH).double()
    d, skips = randn(len(WHICH) * B, G), random_skips(decoder.skips, S)
    copies = {r: torch.cat([x.chunk(S)[s] for s in WHICH]) for r, x in skips.items()}
    frozen, explicit = decoder(d, skips, WHICH), decoder(d, copies, range(len(WHICH)))
    assert_close(frozen, explicit)
    ours, theirs = (torch.autograd.grad(y.square().sum(), d) for y in (frozen, explicit))
    assert_close(ours[0], theirs[0])


@NETS
def test_steps_with_kept_shares_are_the_whole_clip(nets: str) -> None:
    decoder = DECODERS[nets](1, 16, G, WIDTH).double()
    d, skips = randn(len(WHICH) * B, G), random_skips(decoder.skips, S)
    shares = decoder.shares(skips)
    steps = [decoder.decode(x, shares, [s]) for x, s in zip(d.chunk(3), WHICH, strict=True)]
    assert_close(torch.cat(steps), decoder(d, skips, WHICH))


@pytest.mark.parametrize("resolution", [16, 32, 64, 128])
@NETS
def test_shapes(nets: str, resolution: int) -> None:
    encoder = ENCODERS[nets](2, resolution, G, WIDTH)
    decoder = DECODERS[nets](2, resolution, G, WIDTH)
    features = encoder(torch.rand(S * B, 2, resolution, resolution), steps=S)
    for r, value in features.items():
        assert value.shape == (S * B, encoder.features[r], r, r)
    finest, coarsest = {"dcgan": (resolution // 2, 4), "vgg": (resolution, 8)}[nets]
    assert sorted(features) == [
        1,
        *(r for r in (4, 8, 16, 32, 64, 128) if coarsest <= r <= finest),
    ]
    assert decoder.skips.items() == encoder.features.items() - {(1, G)}
    assert decoder.inputs == encoder.features[1] == G
    frames = decoder(torch.randn(5 * B, G), features, [0, 1, 1, 1, 1])
    assert frames.shape == (5 * B, 2, resolution, resolution)
    assert features[1].abs().max() < 1


@pytest.mark.parametrize("resolution", [16, 32, 64, 128])
@NETS
def test_parameters_at_all_sizes_are_those_of_the_stack(nets: str, resolution: int) -> None:
    with torch.device("meta"):
        stacks = [stack(3, resolution) for stack in STACKS[nets]]
        assert count(ENCODERS[nets](3, resolution)) == count(stacks[0])
        assert count(DECODERS[nets](3, resolution)) == count(stacks[1])


def layer(inputs: int, outputs: int, kernel: int) -> int:
    """Parameters of a convolution with bias, and of a BatchNorm after it."""
    return inputs * outputs * kernel**2 + 3 * outputs


def recurrent(z: int) -> int:
    """SVG's: posterior and prior, and a predictor of two layers."""
    cell = 4 * 256 * (256 + 256 + 2)
    gaussian = 129 * 256 + cell + 2 * 257 * z
    return 2 * gaussian + (129 + z) * 256 + 2 * cell + 257 * 128


def test_parameters_of_svg_with_dcgan() -> None:
    down = [layer(a, b, 4) for a, b in ((1, 64), (64, 128), (128, 256), (256, 512), (512, 128))]
    up = [layer(a, b, 4) for a, b in ((128, 512), (1024, 256), (512, 128), (256, 64))]
    encoder, decoder = SkipDCGANEncoder(channels=1), SkipDCGANDecoder(channels=1)
    assert count(encoder) == sum(down)
    assert count(decoder) == sum(up) + 128 * 16 + 1
    assert count(encoder) + count(decoder) + recurrent(z=10) == 12_614_057


def test_parameters_of_svg_with_vgg() -> None:
    down = [(3, 64), (64, 64), (64, 128), (128, 128), (128, 256), (256, 256), (256, 256)]
    down += [(256, 512), (512, 512), (512, 512)]
    up = [(1024, 512), (512, 512), (512, 256), (512, 256), (256, 256), (256, 128)]
    up += [(256, 128), (128, 64), (128, 64)]
    encoder, decoder = VGGEncoder(channels=3), VGGDecoder(channels=3)
    assert count(encoder) == sum(layer(a, b, 3) for a, b in down) + layer(512, 128, 4)
    ends = layer(128, 512, 4) + 64 * 3 * 9 + 3
    assert count(decoder) == sum(layer(a, b, 3) for a, b in up) + ends
    assert count(encoder) + count(decoder) + recurrent(z=64) == 22_831_747


def test_channels_next_to_the_vector_stay() -> None:
    assert stage_channels(16) == [256, 512]
    assert stage_channels(32) == [128, 256, 512]
    assert stage_channels(128, width=0.25) == [16, 32, 64, 128, 128]


@NETS
def test_output_module_is_applied(nets: str) -> None:
    decoder: SkipDecoder = DECODERS[nets](1, 16, G, WIDTH, output=nn.Identity())
    d, skips = (
        torch.randn(B, G),
        {r: x.detach().float() for r, x in random_skips(decoder.skips, 1).items()},
    )
    raw = decoder(d, skips, [0])
    decoder.output = nn.Sigmoid()
    torch.testing.assert_close(decoder(d, skips, [0]), raw.sigmoid())


@NETS
def test_under_autocast(nets: str) -> None:
    encoder, decoder = ENCODERS[nets](1, 16, G, WIDTH), DECODERS[nets](1, 16, G, WIDTH)
    video, d = torch.rand(2 * B, 1, 16, 16), torch.randn(2 * B, G)
    exact = decoder(d, encoder(video, steps=2), [0, 1])
    with torch.autocast("cpu", torch.bfloat16):
        frames = decoder(d, encoder(video, steps=2), [0, 1])
    frames.float().square().mean().backward()
    for parameter in (*encoder.parameters(), *decoder.parameters()):
        assert parameter.grad is None or parameter.grad.dtype is torch.float32
    # bfloat16 has 8 bits; a BatchNorm of a few values may lift an error of 2^-8 tenfold.
    torch.testing.assert_close(frames.float(), exact, rtol=0, atol=0.1)


@NETS
def test_decoder_refuses_what_does_not_fit(nets: str) -> None:
    decoder = DECODERS[nets](1, 16, G, WIDTH)
    skips = {r: torch.zeros(S * B, c, r, r) for r, c in decoder.skips.items()}
    d = torch.zeros(3 * B, G)
    with pytest.raises(ValueError, match=r"features \[N, 5\], got \[9, 4\]"):
        decoder(torch.zeros(9, 4), skips, WHICH)
    with pytest.raises(ValueError, match=r"8 vectors cannot be those of the 3 steps"):
        decoder(torch.zeros(8, G), skips, WHICH)
    with pytest.raises(ValueError, match=r"9 vectors cannot be those of the 0 steps"):
        decoder(d, skips, [])
    for which in ([0, 1, 2], [-1, 0, 0]):
        with pytest.raises(ValueError, match="counts source frames from 0.* 2 frames of 3 seq"):
            decoder(d, skips, which)
    missing = {r: x for r, x in skips.items() if r != 8}
    with pytest.raises(ValueError, match=r"reads an encoder's map \[S B, \d, 8, 8\], got maps"):
        decoder(d, missing, WHICH)
    with pytest.raises(ValueError, match=r"reads an encoder's map \[S B, \d, 8, 8\].*width"):
        decoder(d, skips | {8: torch.zeros(S * B, 99, 8, 8)}, WHICH)


@NETS
def test_sizes_are_refused(nets: str) -> None:
    for network in (ENCODERS[nets], DECODERS[nets]):
        with pytest.raises(ValueError, match="16, 32, 64 or 128 pixels.*resolution=8"):
            network(1, 8)
        with pytest.raises(ValueError, match="channels must be a whole number"):
            network(0)
        with pytest.raises(ValueError, match="features must be a whole number"):
            network(1, 16, features=0)
        with pytest.raises(ValueError, match="width.*positive"):
            network(1, 16, width=-1.0)
        with pytest.raises(ValueError, match="'each' step or 'pooled'"):
            network(1, 16, statistics="frame")
    with pytest.raises(TypeError, match="output must be a module"):
        DECODERS[nets](1, 16, output="sigmoid")
    with pytest.raises(ValueError, match=r"frames are \[3, 16, 16\], .* \[1, 16, 16\]"):
        ENCODERS[nets](1, 16, G, WIDTH)(torch.zeros(2, 3, 16, 16))
    with pytest.raises(ValueError, match="7 maps cannot be those of 2 time steps"):
        ENCODERS[nets](1, 16, G, WIDTH)(torch.zeros(7, 1, 16, 16), steps=2)
