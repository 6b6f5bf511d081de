"""The convolutional LSTMs against their equations, written out with torch's layers."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pyrovp.cells import ConvLSTM, ConvLSTMCell, Memory, NormedConvLSTM
from pyrovp.nets.convolution import channels_last
from pyrovp.sizes import Map
from tests.oracles.tiny import close, randn

B, T = 2, 3
Step = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]


def randomised(memory: Memory, *inputs: Map) -> ConvLSTMCell:
    """A cell in float64 whose norms are not at 1 and 0."""
    cell = memory.cell(*inputs).double()
    assert isinstance(cell, ConvLSTMCell)
    with torch.no_grad():
        for i, parameter in enumerate(cell.parameters()):
            parameter.add_(0.2 * randn(*parameter.shape, seed=i))
    return cell


def clip(cell: ConvLSTMCell, *channels: int) -> list[Tensor]:
    """Leaves: the memory [B, 2C, r, r], and inputs [B, T, C_i, r, r]."""
    r = cell.resolution
    tensors = [randn(B, *cell.dims, seed=9)]
    tensors += [randn(B, T, size, r, r, seed=i) for i, size in enumerate(channels)]
    return [x.requires_grad_() for x in tensors]


def loop(step: Step, memory: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    h, c = memory.chunk(2, 1)
    outputs = []
    for t in range(T):
        h, c = step(x[:, t], h, c)
        outputs.append(h)
    return torch.stack(outputs, 1), torch.cat((h, c), 1)


def assert_same(cell: ConvLSTMCell, leaves: list[Tensor], step: Step) -> None:
    """Equal outputs, last memories and gradients of all leaves and parameters."""
    memory, *inputs = leaves
    everything = [*leaves, *cell.parameters()]
    results = cell.run(memory, *inputs), loop(step, memory, torch.cat(inputs, 2))
    weights = [randn(*value.shape, seed=3) for value in results[0]]
    for mine, theirs in zip(*results, strict=True):
        close(mine, theirs)
    scores = [sum((v * w).sum() for v, w in zip(r, weights, strict=True)) for r in results]
    gradients = [torch.autograd.grad(score, everything) for score in scores]  # type: ignore[arg-type]
    for mine, theirs in zip(*gradients, strict=True):
        close(mine, theirs)


@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("r", [1, 2, 4])
def test_plain_is_one_convolution_of_input_and_memory(r: int, kernel: int) -> None:
    cell = randomised(ConvLSTM(4, r, kernel), Map(2, r), Map(3, r))
    kernels = torch.cat((cell.inward.weight, cell.recurrent.weight), 1)

    def step(x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        a = F.conv2d(torch.cat((x, h), 1), kernels, cell.inward.bias, padding=kernel // 2)
        i, f, o, g = a.chunk(4, 1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c

    assert_same(cell, clip(cell, 2, 3), step)


@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize(("size", "r", "gates", "carried"), [(8, 4, 16, 8), (48, 2, 16, 16)])
def test_normed_has_three_norms(size: int, r: int, gates: int, carried: int, kernel: int) -> None:
    cell = randomised(NormedConvLSTM(size, r, kernel), Map(2, r), Map(3, r))
    x_norm, h_norm, c_norm = cell.inward_norm, cell.recurrent_norm, cell.memory_norm

    def normed(x: Tensor, groups: int, norm: nn.Module) -> Tensor:
        return F.group_norm(x, groups, norm.weight, norm.bias)  # type: ignore[arg-type]

    def step(x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        x = F.conv2d(x, cell.inward.weight, cell.inward.bias, padding=kernel // 2)
        h = F.conv2d(h, cell.recurrent.weight, cell.recurrent.bias, padding=kernel // 2)
        i, f, o, g = (normed(x, gates, x_norm) + normed(h, gates, h_norm)).chunk(4, 1)
        c = normed(torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g), carried, c_norm)
        return torch.sigmoid(o) * torch.tanh(c), c

    assert_same(cell, clip(cell, 2, 3), step)


@pytest.mark.parametrize(("r", "groups"), [(1, 1), (2, 16)])
def test_the_layer_before_it(r: int, groups: int) -> None:
    behind = randomised(NormedConvLSTM(32, r, inputs=32), Map(2, r), Map(3, r))
    plain = NormedConvLSTM(32, r).cell(Map(32, r)).double()
    state = {k: v for k, v in behind.state_dict().items() if not k.startswith("layer")}
    plain.load_state_dict(state)
    assert behind.layer is not None
    memory, *inputs = clip(behind, 2, 3)
    u = F.conv2d(torch.cat(inputs, 2).flatten(0, 1), behind.layer.weight, behind.layer.bias)
    u = F.group_norm(u, groups, behind.layer_norm.weight, behind.layer_norm.bias)
    close(behind.scan(memory, *inputs), plain.scan(memory, u.unflatten(0, (B, T))))


@pytest.mark.parametrize("memory", [ConvLSTM(32, 1), NormedConvLSTM(32, 1, inputs=32)])
def test_on_pixels_it_is_the_full_convolution(memory: Memory) -> None:
    cell = randomised(memory, Map(2, 1))
    outer = torch.ones(3, 3, dtype=torch.bool)
    outer[1, 1] = False

    def conv(x: Tensor, layer: nn.Module) -> Tensor:
        assert isinstance(layer, nn.Conv2d)
        return F.conv2d(x, layer.weight, layer.bias, padding=layer.kernel_size[0] // 2)

    def step(x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        if cell.layer is not None:
            x = cell.layer_norm(conv(x, cell.layer))
        a = cell.inward_norm(conv(x, cell.inward)) + cell.recurrent_norm(conv(h, cell.recurrent))
        i, f, o, g = a.chunk(4, 1)
        c = cell.memory_norm(torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g))
        return torch.sigmoid(o) * torch.tanh(c), c

    leaves = clip(cell, 2)
    assert_same(cell, leaves, step)
    cell.scan(*leaves).square().sum().backward()
    for layer in (cell.inward, cell.recurrent):
        assert layer.weight.grad is not None
        assert not layer.weight.grad[..., outer].any(), "padding teaches nothing"
        assert layer.weight.grad[..., 1, 1].any()


def test_lean_is_the_centre_of_the_kernels() -> None:
    full = randomised(NormedConvLSTM(32, 1), Map(3, 1))
    lean = NormedConvLSTM(32, 1, kernel=1).cell(Map(3, 1)).double()
    centres = {k: v[..., 1:2, 1:2] if v.dim() == 4 else v for k, v in full.state_dict().items()}
    lean.load_state_dict(centres)
    leaves = clip(full, 3)
    close(lean.scan(*leaves), full.scan(*leaves))


def test_parameters() -> None:
    def count(memory: Memory, *inputs: Map) -> int:
        return sum(p.numel() for p in memory.cell(*inputs).parameters())

    # Of HVRNN: the decoder's cell at one pixel, and a twin's at 32 pixels with its layer.
    pixel = (1024 + 512) * 2048
    with torch.device("meta"):
        assert count(ConvLSTM(512, 1), Map(512, 1), Map(512, 1)) == 9 * pixel + 2048
        assert count(ConvLSTM(512, 1, kernel=1), Map(512, 1), Map(512, 1)) == pixel + 2048
        twin = count(NormedConvLSTM(128, 32, inputs=128), Map(128, 32))
    layer, norms = 128 * 128 + 128 + 256, 2 * (512 + 512 + 128)
    assert twin == layer + 2 * (9 * 128 * 512 + 512) + norms


def test_sequences_are_stored_time_major_and_channels_last() -> None:
    cell = randomised(NormedConvLSTM(32, 4), Map(3, 4))
    frames = channels_last(randn(T * B, 3, 4, 4)).unflatten(0, (T, B)).transpose(0, 1)
    outputs, memory = cell.run(randn(B, *cell.dims), frames)
    flat = outputs.transpose(0, 1).flatten(0, 1)
    assert flat.data_ptr() == outputs.data_ptr()
    for maps in (flat, outputs[:, 1], memory):
        assert maps.is_contiguous(memory_format=torch.channels_last)


def test_fresh_plain_weights_are_those_of_one_convolution() -> None:
    cell = ConvLSTM(16, 4).cell(Map(20, 4))
    bound = (9 * 36) ** -0.5
    for parameter in cell.parameters():
        assert 0.9 * bound < parameter.abs().max() <= bound


@pytest.mark.parametrize("kind", [ConvLSTM, NormedConvLSTM])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": 0, "resolution": 4}, "size.*got 0"),
        ({"size": 4, "resolution": 0}, "resolution.*got 0"),
        ({"size": 4, "resolution": 4, "kernel": 2}, "1, 3, 5, .* pixels, got 2"),
        ({"size": 4, "resolution": 4, "kernel": -1}, "got -1"),
        ({"size": 4, "resolution": 4, "kernel": 3.0}, "pixels, got 3.0"),
        ({"size": 4.5, "resolution": 4}, "size.*got 4.5"),
    ],
)
def test_refuses_sizes(kind: type[ConvLSTM], arguments: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kind(**arguments)  # type: ignore[arg-type]


def test_refuses_other_widths_and_places() -> None:
    with pytest.raises(ValueError, match="inputs.*got 0"):
        NormedConvLSTM(4, 4, inputs=0)
    with pytest.raises(ValueError, match="maps of 4 pixels.*got sizes"):
        ConvLSTM(4, 4).cell(Map(3, 4), Map(3, 8))
    with pytest.raises(ValueError, match=r"maps of 4 pixels.*got sizes \[7\]"):
        ConvLSTM(4, 4).cell(7)
    with pytest.raises(ValueError, match=r"got sizes \[\]"):
        ConvLSTM(4, 1).cell()
