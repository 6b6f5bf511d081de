"""The LSTM against torch's."""

import pytest
import torch
from torch import Tensor, nn

from pyrovp.cells import LSTM, LSTMCell
from pyrovp.sizes import Map
from tests.oracles.tiny import close, randn

D, B, T = 3, 4, 5
PARTS = (2, 1, 3)


def copied(cell: LSTMCell) -> nn.LSTM:
    """torch's own with the same weights."""
    theirs = nn.LSTM(sum(cell.gates.sizes), D, cell.layers, batch_first=True)
    inward = [(torch.cat(cell.gates.weights, 1), cell.gates.bias)]
    inward += [(layer.weight, layer.bias) for layer in cell.inward_above]  # type: ignore[misc]
    with torch.no_grad():
        for n, recurrent in enumerate((cell.recurrent, *cell.recurrent_above)):
            for name, value in (
                ("weight_ih", inward[n][0]),
                ("bias_ih", inward[n][1]),
                ("weight_hh", recurrent.weight),
                ("bias_hh", recurrent.bias),
            ):
                getattr(theirs, f"{name}_l{n}").copy_(value)
    return theirs.double()


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_equals_torchs_lstm(layers: int) -> None:
    cell = LSTM(D, layers=layers).cell(*PARTS).double()
    theirs = copied(cell)
    assert count(cell) == count(theirs)
    inputs, memory = [randn(B, T, size, seed=size) for size in PARTS], randn(B, *cell.dims)
    h, c = memory.unflatten(-1, (2, layers, D)).permute(1, 2, 0, 3)
    expected, (h, c) = theirs(torch.cat(inputs, -1), (h.contiguous(), c.contiguous()))
    outputs, last = cell.run(memory, *inputs)
    close(outputs, expected)
    close(last, torch.cat((*h, *c), -1))
    for t in range(T):
        memory = cell.step(memory, *(x[:, t] for x in inputs))
        close(cell.read(memory), expected[:, t])


def test_one_layer_equals_torchs_cell() -> None:
    cell, theirs = LSTM(D).cell(4).double(), nn.LSTMCell(4, D).double()
    with torch.no_grad():
        for mine, other in (
            (cell.gates.weights[0], theirs.weight_ih),
            (cell.gates.bias, theirs.bias_ih),
            (cell.recurrent.weight, theirs.weight_hh),
            (cell.recurrent.bias, theirs.bias_hh),
        ):
            mine.copy_(other)
    x, h, c = randn(B, 4, seed=1), randn(B, D, seed=2), randn(B, D, seed=3)
    close(cell.step(torch.cat((h, c), -1), x), torch.cat(theirs(x, (h, c)), -1))
    assert count(cell) == count(theirs)


@pytest.mark.parametrize("activation", [None, torch.tanh])
def test_the_layer_before_it(activation: type | None) -> None:
    chosen = {} if activation is None else {"activation": activation}
    behind = LSTM(D, inputs=4, **chosen).cell(*PARTS).double()  # type: ignore[arg-type]
    plain = LSTM(D).cell(4).double()
    state = {k: v for k, v in behind.state_dict().items() if not k.startswith("layer.")}
    plain.load_state_dict(state)
    assert behind.layer is not None
    memory, inputs = randn(B, 2 * D, seed=8), [randn(B, size, seed=size) for size in PARTS]
    u: Tensor = torch.cat(inputs, -1) @ torch.cat(behind.layer.weights, 1).T + behind.layer.bias
    expected = plain.step(memory, u if activation is None else torch.tanh(u))
    close(behind.step(memory, *inputs), expected)


def test_parameters_of_svg_recurrences() -> None:
    # Linear(128, 256) and an LSTMCell; Linear(138, 256) and two of them.
    cell = 2 * 4 * 256 * (256 + 1)
    assert count(LSTM(256, inputs=256).cell(128)) == 129 * 256 + cell
    assert count(LSTM(256, inputs=256, layers=2).cell(128, 10)) == 139 * 256 + 2 * cell


def test_fresh_weights_are_drawn_as_torchs_are() -> None:
    cell = LSTM(16, layers=2).cell(300)
    for parameter in cell.parameters():
        assert parameter.abs().max() <= 0.25, "uniform within 1 / sqrt(memory)"
        assert parameter.abs().max() > 0.2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": 0}, "size.*got 0"),
        ({"size": 4.5}, "size must be a whole number of at least 1, got 4.5"),
        ({"size": 2, "inputs": 0}, "inputs.*got 0"),
        ({"size": 2, "layers": 0}, "layers.*got 0"),
    ],
)
def test_refuses_widths_below_one(arguments: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=f"an LSTM's {message}"):
        LSTM(**arguments)  # type: ignore[arg-type]


def test_refuses_maps() -> None:
    with pytest.raises(ValueError, match="takes vectors.*ConvLSTM"):
        LSTM(3).cell(Map(3, 1))
