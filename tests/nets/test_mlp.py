"""The dense network against its formula."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pyrovp.nets.mlp import MLP

__all__: list[str] = []


@pytest.mark.parametrize("activation", [F.elu, nn.ELU(), nn.ELU])
def test_is_the_formula(activation: object) -> None:
    mlp = MLP(3, [5, 4], 2, activation).double()  # type: ignore[arg-type]
    x = torch.randn(2, 7, 3, dtype=torch.float64)

    def affine(i: int, value: Tensor) -> Tensor:
        return value @ mlp.layers[i].weight.T + mlp.layers[i].bias  # type: ignore[operator]

    expected = affine(2, F.elu(affine(1, F.elu(affine(0, x)))))
    torch.testing.assert_close(mlp(x), expected, rtol=0, atol=1e-12)
    assert (mlp.inputs, mlp.outputs) == (3, 2)


def test_level_mlp_of_cwvae_has_its_parameters() -> None:
    count = sum(p.numel() for p in MLP(1024, [1000, 1000], 1024).parameters())
    assert count == 1025 * 1000 + 1001 * 1000 + 1001 * 1024


def test_no_hidden_layer_is_a_linear_layer() -> None:
    mlp = MLP(3, [], 2)
    x = torch.randn(4, 3)
    torch.testing.assert_close(mlp(-x) + mlp(x), 2 * mlp(torch.zeros(4, 3)))


@pytest.mark.parametrize(
    ("inputs", "hidden", "outputs", "message"),
    [
        (0, [4], 2, "inputs must be a whole number of at least 1, got 0"),
        (3, [0], 2, "each width of an MLP's hidden layers must be .* got 0"),
        (3, [4], 2.0, "outputs must be .* got 2.0"),
        (3, 4, 2, r"hidden layers are a list of widths such as \[200\], got 4"),
    ],
)
def test_refuses_what_makes_no_layers(
    inputs: Any, hidden: Any, outputs: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        MLP(inputs, hidden, outputs)
