"""What memories start from."""

import pytest
import torch
from torch import Tensor, nn

from pyrovp.cells import GRU, LSTM, ConvLSTM, FromContext, Learned, Memory, Start, Zeros
from pyrovp.sizes import Map, Size, dims
from tests.oracles.tiny import close, randn

B, FRAMES = 3, 2
LIKE = torch.zeros(1, dtype=torch.float64)


def sequential(start: nn.Module, kernel: int, groups: int) -> nn.Sequential:
    """The layers of a start from the context, with its weights; `groups` of the last norm."""
    a = next(start.children())
    assert isinstance(a, nn.Conv2d)
    layers = nn.Sequential(
        nn.Conv2d(a.in_channels, a.out_channels, kernel, padding=kernel // 2),
        nn.GroupNorm(4, a.out_channels),
        nn.LeakyReLU(0.2),
        nn.Conv2d(a.out_channels, a.out_channels, 1),
        nn.GroupNorm(groups, a.out_channels),
    ).double()
    with torch.no_grad():
        for theirs, ours in zip(layers.parameters(), start.parameters(), strict=True):
            ours.add_(0.3 * randn(*ours.shape, seed=len(ours)))
            theirs.copy_(ours)
    return layers


@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize(
    ("memory", "features", "groups"),
    [
        (ConvLSTM(16, 4), Map(3, 4), 16),
        (ConvLSTM(16, 1), Map(3, 1), 1),
        (ConvLSTM(16, 1), 3, 1),
        (GRU(32), 3, 1),
        (GRU(32), Map(3, 1), 1),
        (LSTM(16), 3, 1),
    ],
)
def test_from_context_is_a_stock_network(
    memory: Memory, features: Size, groups: int, kernel: int
) -> None:
    cell = memory.cell(3 if memory.resolution is None else Map(3, memory.resolution))
    start = FromContext(kernel).build(cell.dims, features, FRAMES).double()
    stock = sequential(start, kernel, groups)
    context = randn(B, FRAMES, *dims(features), seed=5)
    side = memory.resolution or 1
    maps = context.reshape(B, FRAMES * 3, side, side)  # frame by frame on the channels
    actual = start(context, B, LIKE)
    assert actual.shape == (B, *cell.dims)
    close(actual, stock(maps).reshape(actual.shape))
    mine = torch.autograd.grad(actual.square().mean(), list(start.parameters()))
    theirs = torch.autograd.grad(stock(maps).square().mean(), list(stock.parameters()))
    for a, b in zip(mine, theirs, strict=True):
        close(a, b)


def test_parameters_of_a_start_from_the_context() -> None:
    # HVRNN's at 4 pixels: two frames of 512 channels, a memory of twice 512, a kernel of 3.
    with torch.device("meta"):
        start = FromContext(kernel=3).build((1024, 4, 4), Map(512, 4), frames=2)
    expected = (9 * 1024 + 1) * 1024 + 2 * 1024 + 1025 * 1024 + 2 * 1024
    assert sum(p.numel() for p in start.parameters()) == expected


@pytest.mark.parametrize("memory", [(3,), (4, 2, 2)])
def test_zeros_have_no_parameter_and_see_nothing(memory: tuple[int, ...]) -> None:
    start = Zeros().build(memory, None, 0)
    assert not list(start.parameters())
    for like in (LIKE, LIKE.float()):
        zeros = start(None, B, like)
        assert zeros.dtype is like.dtype
        assert torch.equal(zeros, torch.zeros(B, *memory, dtype=like.dtype))


@pytest.mark.parametrize("memory", [(3,), (4, 2, 2)])
def test_a_learned_start_is_one_parameter_for_all_sequences(memory: tuple[int, ...]) -> None:
    start = Learned().build(memory, 7, 2).double()
    (parameter,) = start.parameters()
    assert torch.equal(start(None, B, LIKE), torch.zeros(B, *memory, dtype=torch.float64))
    with torch.no_grad():
        parameter.copy_(randn(*memory))
    drawn: Tensor = start(None, B, LIKE)
    assert drawn.shape == (B, *memory)
    assert all(torch.equal(row, parameter) for row in drawn)
    drawn.sum().backward()
    assert parameter.grad is not None and torch.equal(
        parameter.grad, torch.full_like(parameter, B)
    )


@pytest.mark.parametrize("start", [Zeros(), Learned(), FromContext()])
def test_a_cell_runs_from_any_start(start: Start) -> None:
    memory = ConvLSTM(8, 4, start=start)
    cell, features = memory.cell(Map(2, 4)).double(), Map(3, 4)
    built = memory.start.build(cell.dims, features, FRAMES).double()
    first = built(randn(B, FRAMES, *dims(features)), B, LIKE)
    assert cell.scan(first, randn(B, 5, 2, 4, 4)).shape == (B, 5, 8, 4, 4)


def test_refuses_what_is_not_there() -> None:
    with pytest.raises(ValueError, match="no features of frames.*Zeros"):
        FromContext().build((8, 4, 4), None, 2)
    with pytest.raises(ValueError, match="0 given frames.*Learned"):
        FromContext().build((8, 4, 4), Map(3, 4), 0)
    for features in (Map(3, 8), 3):
        with pytest.raises(ValueError, match="same place.*map at 4 pixels"):
            FromContext().build((8, 4, 4), features, 2)
    with pytest.raises(ValueError, match="same place"):
        FromContext().build((8,), Map(3, 4), 2)
    for kernel in (0, 2, 3.0):
        with pytest.raises(ValueError, match=f"1, 3, 5, .*got {kernel}"):
            FromContext(kernel)  # type: ignore[arg-type]


def test_refuses_other_numbers_of_frames() -> None:
    start = FromContext().build((8,), 3, frames=2).double()
    with pytest.raises(ValueError, match="reads 6 channels.*3 frames of 3"):
        start(randn(B, 3, 3), B, LIKE)
