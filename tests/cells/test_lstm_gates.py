"""The elementwise part of a ConvLSTM against the equations, values and gradients."""

import pytest
import torch

from pyrovp.cells.lstm_gates import lstm_memory, lstm_output
from tests.oracles.tiny import close, randn


@pytest.mark.parametrize("place", [(), (3, 2)], ids=["vectors", "maps"])
@pytest.mark.parametrize("last", [False, True], ids=["channels first", "channels last"])
def test_equals_the_equations(place: tuple[int, ...], last: bool) -> None:
    gates, c = 3 * randn(5, 16, *place), randn(5, 4, *place, seed=1)
    if last and place:
        gates = gates.contiguous(memory_format=torch.channels_last)
        c = c.contiguous(memory_format=torch.channels_last)
    gates, c = gates.requires_grad_(), c.requires_grad_()
    i, f, o, g = gates.chunk(4, 1)
    expected = f.sigmoid() * c + i.sigmoid() * g.tanh()
    memory, out = lstm_memory(gates, c)
    close(memory, expected)
    close(out, o.sigmoid())
    weight = randn(5, 4, *place, seed=2)
    ours = (lstm_output(out, memory) * weight + memory.square()).sum()
    theirs = (o.sigmoid() * expected.tanh() * weight + expected.square()).sum()
    close(ours, theirs)
    for mine, yours in zip(
        torch.autograd.grad(ours, [gates, c]), torch.autograd.grad(theirs, [gates, c]), strict=True
    ):
        close(mine, yours)


def test_inputs_are_left_alone() -> None:
    gates, c = randn(2, 8), randn(2, 2, seed=1)
    before = gates.clone(), c.clone()
    lstm_output(*reversed(lstm_memory(gates, c)))
    assert torch.equal(gates, before[0]) and torch.equal(c, before[1])
