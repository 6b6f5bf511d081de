"""The frame networks against stacks of stock layers with the same state, and their counts."""

import copy
from collections import OrderedDict

import pytest
import torch
from torch import Tensor, nn

from pyrovp.nets import DCGANDecoder, DCGANEncoder

__all__: list[str] = []

WIDTH = 0.125
# At width 1/8: the encoder's channels; the decoder's hidden channels and kernels.
ENCODER = {16: [16, 32], 32: [8, 16, 32], 64: [4, 8, 16, 32], 128: [2, 4, 8, 16, 32]}
DECODER = {
    16: ([16], [6, 6]),
    32: ([16, 8], [5, 6, 6]),
    64: ([16, 8, 4], [5, 5, 6, 6]),
    128: ([16, 8, 4, 2], [5, 5, 5, 6, 6]),
}


def stock_encoder(channels: int, resolution: int, padding: int) -> nn.Sequential:
    sizes = [channels, *ENCODER[resolution]]
    layers = OrderedDict[str, nn.Module]()
    for i, (a, b) in enumerate(zip(sizes, sizes[1:], strict=False)):
        layers[f"convolutions.{i}"] = nn.Conv2d(a, b, 4, stride=2, padding=padding)
        layers[f"activation{i}"] = nn.LeakyReLU(0.2)
    return named(layers, nn.Flatten())


def stock_decoder(inputs: int, channels: int, resolution: int) -> nn.Sequential:
    hidden, kernels = DECODER[resolution]
    sizes = [128, *hidden, channels]
    layers = OrderedDict[str, nn.Module]()
    layers["dense"] = nn.Linear(inputs, 128)
    layers["map"] = nn.Unflatten(1, (128, 1, 1))
    for i, (a, b, kernel) in enumerate(zip(sizes, sizes[1:], kernels, strict=False)):
        layers[f"convolutions.{i}"] = nn.ConvTranspose2d(a, b, kernel, stride=2)
        layers[f"activation{i}"] = nn.LeakyReLU(0.2)
    layers.popitem()
    return named(layers, nn.Tanh())


def named(layers: "OrderedDict[str, nn.Module]", last: nn.Module) -> nn.Sequential:
    """A stack whose state has the given names, which may hold dots."""
    stack = nn.Sequential(*layers.values(), last).double()
    names = {f"{i}.": f"{name}." for i, name in enumerate(layers)}

    def rename(module: nn.Module, state: dict[str, Tensor], *_: object) -> None:
        for key in list(state):
            index, rest = key.split(".", 1)
            state[names[f"{index}."] + rest] = state.pop(key)

    stack.register_state_dict_post_hook(rename)
    return stack


def assert_same(network: nn.Module, stock: nn.Sequential, x: Tensor) -> None:
    """Equal values and gradients, to 1e-10, once the network has the stack's state."""
    network.load_state_dict(stock.state_dict())
    value, expected = network(x), stock(x)
    torch.testing.assert_close(value, expected, rtol=0, atol=1e-10)
    direction = torch.randn_like(expected)
    ours = gradients(network, x, value, direction)
    for name, gradient in gradients(stock, x, expected, direction).items():
        torch.testing.assert_close(ours.pop(name), gradient, rtol=0, atol=1e-10, msg=name)
    assert not ours


def gradients(
    network: nn.Module, x: Tensor, value: Tensor, direction: Tensor
) -> dict[str, Tensor]:
    """By name, those of the input and of the parameters."""
    inputs = {"x": x, **network.state_dict(keep_vars=True)}
    found = torch.autograd.grad(value, list(inputs.values()), direction)
    return dict(zip(inputs, found, strict=True))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("resolution", [16, 32, 64, 128])
def test_encoder_is_the_stock_stack(resolution: int, padding: str, channels: int) -> None:
    encoder = DCGANEncoder(channels, resolution, WIDTH, padding).double()  # type: ignore[arg-type]
    x = torch.rand(2, channels, resolution, resolution, dtype=torch.float64, requires_grad=True)
    assert_same(encoder, stock_encoder(channels, resolution, int(padding == "same")), x)
    assert encoder(x).shape == (2, encoder.features)
    assert encoder.features == {"valid": 4, "same": 16}[padding] * 32


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("resolution", [16, 32, 64, 128])
@pytest.mark.parametrize("n", [1, 7])  # either order of the first two products
def test_decoder_is_the_stock_stack(resolution: int, channels: int, n: int) -> None:
    decoder = DCGANDecoder(3, channels, resolution, WIDTH).double()
    z = torch.randn(n, 3, dtype=torch.float64, requires_grad=True)
    assert_same(decoder, stock_decoder(3, channels, resolution), z)
    assert decoder(z).shape == (n, channels, resolution, resolution)
    assert decoder(z).is_contiguous()
    assert decoder.inputs == 3


def test_any_layout_of_parameters_and_frames() -> None:
    encoder = DCGANEncoder(3, 16, WIDTH).double()
    decoder = DCGANDecoder(5, 3, 16, WIDTH).double()
    x = torch.rand(2, 3, 16, 16, dtype=torch.float64)
    z = torch.randn(2, 5, dtype=torch.float64)
    expected = encoder(x), decoder(z)
    for network in (encoder, decoder):
        state = {k: v.detach().clone().contiguous() for k, v in network.state_dict().items()}
        network.load_state_dict(state, assign=True)
    frames = x.contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(encoder(frames), expected[0], rtol=0, atol=1e-12)
    torch.testing.assert_close(decoder(z), expected[1], rtol=0, atol=1e-12)


def test_copies_and_training_steps_agree() -> None:
    first = DCGANDecoder(3, 1, 16, WIDTH)
    second = copy.deepcopy(first)
    z = torch.randn(4, 3)
    for decoder in (first, second):
        optimizer = torch.optim.Adam(decoder.parameters(), lr=1e-3)
        decoder(z).square().sum().backward()
        optimizer.step()
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b) and a.stride() == b.stride()
    assert not torch.equal(first(z), DCGANDecoder(3, 1, 16, WIDTH)(z))


def count(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("padding", ["valid", "same"])
def test_encoder_parameters(channels: int, padding: str) -> None:
    encoder = DCGANEncoder(channels, padding=padding)  # type: ignore[arg-type]
    assert count(encoder) == (16 * channels + 1) * 32 + 32_832 + 131_200 + 524_544
    assert encoder.features == {"valid": 1024, "same": 4096}[padding]


@pytest.mark.parametrize(("inputs", "channels"), [(220, 1), (900, 3)])
def test_decoder_parameters(inputs: int, channels: int) -> None:
    expected = (inputs + 1) * 1024 + 3_276_928 + 204_864 + 73_760 + 1153 * channels
    assert count(DCGANDecoder(inputs, channels)) == expected


@pytest.mark.parametrize(("channels", "total"), [(1, 6_693_211), (3, 6_696_541)])
def test_parameters_of_dlh_frame_networks(channels: int, total: int) -> None:
    encoder = DCGANEncoder(channels, padding="same", outputs=200)
    decoder = DCGANDecoder(200, channels, output=nn.Identity())
    latent = 160_800 + 253_200 + 399_600 + 62_880 + 62_880 + 482_802
    assert encoder.features == 200
    assert count(encoder) + count(decoder) == total - latent


def test_dense_layer_comes_last() -> None:
    encoder = DCGANEncoder(1, 16, WIDTH, "same", outputs=3).double()
    plain = DCGANEncoder(1, 16, WIDTH, "same").double()
    plain.load_state_dict(encoder.state_dict(), strict=False)
    x = torch.rand(2, 1, 16, 16, dtype=torch.float64)
    assert encoder.dense is not None
    torch.testing.assert_close(encoder(x), encoder.dense(plain(x)))


def test_output_module_is_applied() -> None:
    decoder = DCGANDecoder(3, 1, 16, WIDTH, output=nn.Identity())
    z = 50 * torch.randn(4, 3)
    raw = decoder(z)
    assert raw.abs().max() > 1
    decoder.output = nn.Tanh()
    torch.testing.assert_close(decoder(z), raw.tanh())


@pytest.mark.parametrize("resolution", [0, 8, 63, 100, 256])
def test_refuses_resolutions(resolution: int) -> None:
    with pytest.raises(ValueError, match=f"16, 32, 64 or 128 pixels.*{resolution}.*resize"):
        DCGANEncoder(1, resolution)
    with pytest.raises(ValueError, match=f"16, 32, 64 or 128 pixels.*{resolution}.*resize"):
        DCGANDecoder(3, 1, resolution)


@pytest.mark.parametrize("channels", [0, -1, 1.5, True, "3"])
def test_refuses_channels(channels: int) -> None:
    with pytest.raises(ValueError, match="channels must be a whole number of at least 1"):
        DCGANEncoder(channels)
    with pytest.raises(ValueError, match="channels must be a whole number of at least 1"):
        DCGANDecoder(3, channels)


def test_refuses_other_arguments() -> None:
    with pytest.raises(ValueError, match="inputs must be"):
        DCGANDecoder(0, 1)
    with pytest.raises(ValueError, match="outputs must be"):
        DCGANEncoder(1, outputs=0)
    for width in (0.0, "a"):
        with pytest.raises(ValueError, match=f"width.*positive number, got {width!r}"):
            DCGANEncoder(1, width=width)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="resolution=32.0"):
        DCGANEncoder(1, 32.0)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="'valid' or 'same', got 'full'"):
        DCGANEncoder(1, padding="full")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"nn.Tanh\(\)"):
        DCGANDecoder(3, 1, output="tanh")  # type: ignore[arg-type]


def test_refuses_other_shapes() -> None:
    with pytest.raises(ValueError, match=r"frames are \[3, 16, 16\], .* \[1, 16, 16\]"):
        DCGANEncoder(1, 16, WIDTH)(torch.zeros(2, 3, 16, 16))
    with pytest.raises(ValueError, match=r"flatten a video's batch and time"):
        DCGANEncoder(1, 16, WIDTH)(torch.zeros(2, 5, 1, 16, 16))
    with pytest.raises(ValueError, match=r"\[N, 3\], got \[2, 4\]"):
        DCGANDecoder(3, 1, 16, WIDTH)(torch.zeros(2, 4))
