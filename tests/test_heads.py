"""Heads against the layers they stand for, written out."""

from collections.abc import Callable
from itertools import product

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from pyrovp.heads import Gaussian, GaussianHead, packed
from pyrovp.memo import memoised
from tests.oracles.tiny import close, randn

INPUTS = (3, 2)


def make(state: Gaussian, inputs: tuple[int, ...] = INPUTS) -> GaussianHead:
    return state.head(*inputs).double()


def literal(head: GaussianHead, *inputs: Tensor) -> Tensor:
    """The module's formula on a concatenation, the shift where it is defined."""
    state = head.state
    p = torch.cat(inputs, -1) @ torch.cat(list(head.first.weights), 1).T + head.first.bias
    p = state.activation(p)
    for layer in head.hidden:
        p = state.activation(p @ layer.weight.T + layer.bias)  # type: ignore[operator]
    mean_rows, std_rows = head.output.weight.split(state.size)
    mean_bias, std_bias = head.output.bias.split(state.size)
    raw = (p + state.shift) @ std_rows.T + std_bias
    return torch.cat((p @ mean_rows.T + mean_bias, torch.log1p(raw.exp()) + state.min_std), -1)


@pytest.mark.parametrize(
    ("shift", "hidden", "activation", "remembered"),
    list(product([0.0, 0.54], [(5,), (5, 4, 3)], [torch.relu, F.elu], [False, True])),
)
def test_equals_the_layers_written_out(
    shift: float,
    hidden: tuple[int, ...],
    activation: Callable[[Tensor], Tensor],
    remembered: bool,
) -> None:
    state = Gaussian(2, hidden=hidden, activation=activation, min_std=0.01, shift=shift)
    head, inputs = make(state), [randn(4, size, seed=size) for size in INPUTS]
    weight = randn(4, 4, seed=9)
    with memoised(remembered):
        for _ in range(2):  # the second time with the folded bias remembered
            actual = head(*inputs)
            close(actual, literal(head, *inputs))
    for mine, theirs in zip(
        torch.autograd.grad((actual * weight).sum(), list(head.parameters())),
        torch.autograd.grad((literal(head, *inputs) * weight).sum(), list(head.parameters())),
        strict=True,
    ):
        close(mine, theirs)


def test_a_head_without_hidden_layers_is_linear() -> None:
    head = make(Gaussian(2, hidden=(), min_std=0.0, std=torch.sigmoid))
    inputs = [randn(4, size, seed=size) for size in INPUTS]
    raw = torch.cat(inputs, -1) @ torch.cat(list(head.first.weights), 1).T + head.first.bias
    close(head(*inputs), torch.cat((raw[:, :2], raw[:, 2:].sigmoid()), 1))


def test_the_shift_moves_the_std_only() -> None:
    plain, inputs = make(Gaussian(2, hidden=(5,))), [randn(4, size) for size in INPUTS]
    shifted = make(Gaussian(2, hidden=(5,), shift=0.54))
    shifted.load_state_dict(plain.state_dict())
    a, b = plain(*inputs), shifted(*inputs)
    close(a[:, :2], b[:, :2])
    assert (a[:, 2:] != b[:, 2:]).all()


@pytest.mark.parametrize("min_std", [0.0, 1e-4, 0.3])
def test_std_has_its_lower_bound(min_std: float) -> None:
    raw = torch.tensor([0.0, -1e3, 1e3, 5.0, -1e3, 1e3], dtype=torch.float64)
    mean, std = packed(raw, min_std).split(3)
    assert torch.equal(mean, raw[:3])
    close(std[0], torch.tensor(5.0).double().exp().log1p() + min_std)
    assert std[1] == min_std
    assert std[2] == 1e3 + min_std, "no overflow"


def test_parts_known_early_change_nothing() -> None:
    head = make(Gaussian(2, hidden=(5,), shift=0.54))
    a, b = [randn(4, size) for size in INPUTS]
    close(head(a, early=head.early(b)), head(a, b))


def test_trunk_is_what_the_output_layer_sees() -> None:
    state = Gaussian(2, hidden=(5, 4), min_std=0.2)
    head, inputs = make(state), [randn(4, size) for size in INPUTS]
    p = head.trunk(*inputs)
    assert p.shape == (4, 4)
    close(packed(head.output(p), 0.2), head(*inputs))


@pytest.mark.parametrize("leading", [(), (3,), (2, 3), (2, 3, 4)])
def test_leading_dimensions_are_batch(leading: tuple[int, ...]) -> None:
    head = make(Gaussian(2, hidden=(5,)))
    inputs = [randn(*leading, size) for size in INPUTS]
    actual = head(*inputs)
    assert actual.shape == (*leading, 4)
    close(actual, literal(head, *inputs))


def test_parts_broadcast() -> None:
    head = make(Gaussian(2, hidden=(5,)))
    a, b = randn(7, 4, 3), randn(4, 2)
    close(head(a, b), literal(head, a, b.expand(7, 4, 2)))
    c = b.expand(7, 4, 2)
    close(head(a[0], c), literal(head, a[0].expand(7, 4, 3), c))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": 0}, "size of at least 1, got 0"),
        ({"size": 2, "hidden": (), "shift": 0.5}, "hidden layer's output, and there is none"),
        ({"size": 2, "hidden": (4, 0)}, r"width 1 or more, got \(4, 0\)"),
        ({"size": 2, "min_std": -0.1}, "min_std.*got -0.1"),
    ],
)
def test_refuses_sizes_that_make_no_head(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Gaussian(**arguments)
