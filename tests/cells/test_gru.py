"""The GRU against torch's."""

import pytest
import torch
from torch import nn

from pyrovp.cells import GRU, GRUCell
from pyrovp.sizes import Map
from tests.fake_device import shapes_of_fused_gru
from tests.oracles.tiny import close, randn

PARTS = (2, 1, 3)
B = 4


def test_equals_torchs_with_the_same_weights() -> None:
    ours = GRU(5).cell(*PARTS)
    theirs = nn.GRUCell(sum(PARTS), 5)
    assert isinstance(ours, GRUCell) and ours.layer is None
    with torch.no_grad():
        theirs.weight_ih.copy_(torch.cat(list(ours.gates.weights), 1))
        theirs.bias_ih.copy_(ours.gates.bias)
        theirs.weight_hh.copy_(ours.recurrent.weight)
        theirs.bias_hh.copy_(ours.recurrent.bias)
    ours.double(), theirs.double()
    h, inputs = randn(B, 5, seed=8), [randn(B, size, seed=size) for size in PARTS]
    close(ours.step(h, *inputs), theirs(torch.cat(inputs, -1), h))
    assert sum(p.numel() for p in ours.parameters()) == sum(p.numel() for p in theirs.parameters())


def test_the_layer_before_it_is_activation_of_a_linear_layer() -> None:
    behind = GRU(5, inputs=4, activation=torch.tanh).cell(*PARTS).double()
    assert isinstance(behind, GRUCell) and behind.layer is not None
    plain = GRU(5).cell(4).double()
    plain.load_state_dict(
        {k: v for k, v in behind.state_dict().items() if not k.startswith("layer.")}
    )
    h, inputs = randn(B, 5, seed=8), [randn(B, size, seed=size) for size in PARTS]
    weight = torch.cat(list(behind.layer.weights), 1)
    u = torch.tanh(torch.cat(inputs, -1) @ weight.T + behind.layer.bias)
    close(behind.step(h, *inputs), plain.step(h, u))


def test_fresh_weights_are_drawn_as_torchs_are() -> None:
    cell = GRU(16).cell(300)
    weights = torch.cat([p.flatten() for p in cell.parameters()])
    assert weights.abs().max() <= 0.25, "uniform within 1 / sqrt(memory)"
    assert weights.abs().max() > 0.249


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": 0}, "size.*got 0"),
        ({"size": 2, "inputs": -1}, "inputs.*got -1"),
        ({"size": 128.0}, "a GRU's size must be a whole number of at least 1, got 128.0"),
    ],
)
def test_refuses_widths_below_one(arguments: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GRU(**arguments)  # type: ignore[arg-type]


def test_refuses_maps_and_nothing() -> None:
    with pytest.raises(ValueError, match="takes vectors.*ConvLSTM"):
        GRU(3).cell(2, Map(3, 4))
    with pytest.raises(ValueError, match=r"takes vectors, got inputs of sizes \[\]"):
        GRU(3).cell()


@shapes_of_fused_gru
def test_a_gpus_kernel_gives_what_the_formula_does() -> None:
    """Where there is no GPU, the shapes that it gives."""
    device = "cuda" if torch.cuda.is_available() else "meta"
    cell, theirs = GRU(4).cell(3), nn.GRUCell(3, 4)
    ours = (cell.gates.weights[0], cell.recurrent.weight, cell.gates.bias, cell.recurrent.bias)
    with torch.no_grad():
        for parameter, given in zip(ours, theirs.parameters(), strict=True):
            parameter.copy_(given)
    h, x = randn(2, 4).float(), randn(2, 3).float()
    found = cell.to(device).step(h.to(device), x.to(device))
    found.sum().backward()
    assert found.shape == (2, 4) and "GruCell" in type(found.grad_fn).__name__
    if device == "cuda":
        expected = theirs(x, h)
        expected.sum().backward()
        torch.testing.assert_close(found.cpu(), expected)
        gradients = [parameter.grad for parameter in (cell.recurrent.weight, theirs.weight_hh)]
        torch.testing.assert_close(*gradients, check_device=False)
