"""SVG-LP's networks: channels, shapes, and what a stage computes."""

from typing import Any

import pytest
import torch
from torch import nn

from tests.oracles.svg import randomise
from tests.oracles.svg_nets import DCGANDecoder, DCGANEncoder, VGGDecoder, VGGEncoder
from tests.oracles.tiny import close, randn

B, G = 3, 4
NETS = {"dcgan": (DCGANEncoder, DCGANDecoder), "vgg": (VGGEncoder, VGGDecoder)}


def build(nets: str, resolution: int) -> tuple[nn.Module, nn.Module]:
    """An encoder and a decoder of 1, 2, 4, 8, 8 channels, for frames of 3."""
    both = tuple(kind(3, resolution, G, width=1).double() for kind in NETS[nets])
    for net in both:
        randomise(net)
    return both[0], both[1]


def convolutions(module: nn.Module) -> list[tuple[int, int]]:
    kinds = nn.Conv2d | nn.ConvTranspose2d
    found = [m for m in module.modules() if isinstance(m, kinds)]
    return [(m.in_channels, m.out_channels) for m in found]


@pytest.mark.parametrize(
    ("resolution", "down", "up"),
    [
        (16, [(3, 256), (256, 512), (512, 9)], [(9, 512), (1024, 256), (512, 3)]),
        (
            32,
            [(3, 128), (128, 256), (256, 512), (512, 9)],
            [(9, 512), (1024, 256), (512, 128), (256, 3)],
        ),
        (
            64,
            [(3, 64), (64, 128), (128, 256), (256, 512), (512, 9)],
            [(9, 512), (1024, 256), (512, 128), (256, 64), (128, 3)],
        ),
        (
            128,
            [(3, 64), (64, 128), (128, 256), (256, 512), (512, 512), (512, 9)],
            [(9, 512), (1024, 512), (1024, 256), (512, 128), (256, 64), (128, 3)],
        ),
    ],
)
def test_dcgan_channels(
    resolution: int, down: list[tuple[int, int]], up: list[tuple[int, int]]
) -> None:
    with torch.device("meta"):
        encoder = DCGANEncoder(3, resolution, features=9)
        decoder = DCGANDecoder(3, resolution, features=9)
    assert convolutions(encoder) == down
    assert convolutions(decoder) == up


@pytest.mark.parametrize(
    ("resolution", "down", "up"),
    [
        (16, "3-256-256-256-512-512-512-9", "9-512 1024-512-512-256 512-256-256-3"),
        (
            32,
            "3-128-128-256-256-256-512-512-512-9",
            "9-512 1024-512-512-256 512-256-256-128 256-128-3",
        ),
        (
            64,
            "3-64-64-128-128-256-256-256-512-512-512-9",
            "9-512 1024-512-512-256 512-256-256-128 256-128-64 128-64-3",
        ),
        (
            128,
            "3-64-64-128-128-256-256-256-512-512-512-512-512-512-9",
            "9-512 1024-512-512-512 1024-512-512-256 512-256-256-128 256-128-64 128-64-3",
        ),
    ],
)
def test_vgg_channels(resolution: int, down: str, up: str) -> None:
    with torch.device("meta"):
        encoder = VGGEncoder(3, resolution, features=9)
        decoder = VGGDecoder(3, resolution, features=9)

    def pairs(chains: str) -> list[tuple[int, int]]:
        numbers = [[int(n) for n in chain.split("-")] for chain in chains.split()]
        return [pair for chain in numbers for pair in zip(chain[:-1], chain[1:], strict=True)]

    assert convolutions(encoder) == pairs(down)
    assert convolutions(decoder) == pairs(up)


@pytest.mark.parametrize("resolution", [16, 32, 64, 128])
@pytest.mark.parametrize("nets", ["dcgan", "vgg"])
def test_shapes(nets: str, resolution: int) -> None:
    encoder, decoder = build(nets, resolution)
    features, skips = encoder(randn(B, 3, resolution, resolution))
    assert features.shape == (B, G) and bool((features.abs() < 1).all())
    finest = {"dcgan": resolution // 2, "vgg": resolution}[nets]
    coarsest = {"dcgan": 4, "vgg": 8}[nets]
    assert sorted(skips) == [r for r in (4, 8, 16, 32, 64, 128) if coarsest <= r <= finest]
    for r, skip in skips.items():
        assert skip.shape == (B, skip.shape[1], r, r)
    frames = decoder(features, skips)
    assert frames.shape == (B, 3, resolution, resolution)
    assert bool(((frames > 0) & (frames < 1)).all())


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(("nets", "first"), [("dcgan", "stages.0"), ("vgg", "stages.0.0")])
def test_layers_normalise_before_their_activation(nets: str, first: str, training: bool) -> None:
    encoder = build(nets, 16)[0].train(training)
    layer: Any = encoder.get_submodule(first)
    frames = randn(B, 3, 16, 16)
    y = layer.convolution(frames)
    if training:
        y = y - y.mean((0, 2, 3), keepdim=True)
        y = y / (y.square().mean((0, 2, 3), keepdim=True) + 1e-5).sqrt()
    else:
        y = y / (1 + 1e-5) ** 0.5
    y = y * layer.norm.weight[:, None, None] + layer.norm.bias[:, None, None]
    close(layer(frames), torch.where(y > 0, y, 0.2 * y))


@pytest.mark.parametrize("nets", ["dcgan", "vgg"])
def test_skips_are_the_second_half_of_what_a_stage_reads(nets: str) -> None:
    encoder, decoder = build(nets, 32)
    features, skips = encoder(randn(B, 3, 32, 32))
    others = {r: skips | {r: randn(*skip.shape)} for r, skip in skips.items()}
    before = decoder(features, skips)
    assert all(bool((decoder(features, other) != before).any()) for other in others.values())

    stages: Any = decoder.get_submodule("stages")
    with torch.no_grad():
        if nets == "dcgan":
            for layer in (
                *(stage.convolution for stage in stages),
                decoder.get_submodule("image"),
            ):
                layer.weight[layer.in_channels // 2 :] = 0
        else:
            for stage in stages:
                stage[0].convolution.weight[:, stage[0].convolution.in_channels // 2 :] = 0
    after = decoder(features, skips)
    assert bool((after != before).any())
    assert all(torch.equal(decoder(features, other), after) for other in others.values())


def test_vgg_pools_behind_its_skips() -> None:
    encoder = build("vgg", 32)[0].eval()
    x = randn(B, 3, 32, 32)
    features, skips = encoder(x)
    for r, name in zip((32, 16, 8), ("stages.0", "stages.1", "stages.2"), strict=True):
        x = encoder.get_submodule(name)(x)
        close(skips[r], x)
        x = x.unflatten(3, (-1, 2)).unflatten(2, (-1, 2)).amax((3, 5))
    close(features, encoder.get_submodule("top")(x).flatten(1))
