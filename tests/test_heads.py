"""Heads against the layers they stand for, written out."""

import math
from collections.abc import Callable
from itertools import product

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pyrovp.heads import (
    Gaussian,
    GaussianHead,
    GaussianMap,
    Head,
    half_log_variance,
    packed,
    root_softplus,
)
from pyrovp.memo import memoised
from pyrovp.sizes import Map, Size
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
    assert head.output is not None
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
    assert p.shape == (4, 4) and head.output is not None
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
        ({"size": 0}, "a state's size must be a whole number of at least 1, got 0"),
        ({"size": 4.5}, "a state's size must be .* got 4.5"),
        ({"size": "4"}, "a state's size must be .* got '4'"),
        ({"size": 2, "hidden": 16}, r"layers are a list of widths such as \[200\], got 16"),
        ({"size": 2, "hidden": (16.0,)}, "layers must be .* got 16.0"),
        ({"size": 2, "hidden": (), "shift": 0.5}, "hidden layer's output, and there is none"),
        ({"size": 2, "hidden": (4, 0)}, "each width of a head's hidden layers must be .* got 0"),
        ({"size": 2, "min_std": -0.1}, "min_std.*got -0.1"),
    ],
)
def test_refuses_sizes_that_make_no_head(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Gaussian(**arguments)


@pytest.mark.parametrize(
    ("state", "event_dim", "belief"),
    [
        (Gaussian(20), 1, (40,)),
        (GaussianMap(4, 8), 3, (8, 8, 8)),
        (GaussianMap(4, 1), 3, (8, 1, 1)),
    ],
)
def test_a_belief_has_twice_the_channels_of_a_state(
    state: Gaussian | GaussianMap, event_dim: int, belief: tuple[int, ...]
) -> None:
    assert (state.event_dim, state.packed) == (event_dim, belief)
    assert state.head(*INPUTS, 3)(*[torch.zeros(5, n) for n in (*INPUTS, 3)]).shape == (5, *belief)


# Maps

MAPS: tuple[Size, ...] = (Map(3, 4), Map(2, 2), Map(4, 1), 5)


def make_map(size: int = 8, resolution: int = 4, **options: float) -> Head:
    """A head whose norm is not at its start."""
    head = GaussianMap(size, resolution, **options).head(*MAPS).double()  # type: ignore[arg-type]
    with torch.no_grad():
        for i, parameter in enumerate(head.parameters()):
            parameter.add_(0.5 * randn(*parameter.shape, seed=i))
    return head


def maps(*lead: int) -> list[Tensor]:
    shapes = [(3, 4, 4), (2, 2, 2), (4, 1, 1), (5,)]
    return [randn(*lead, *shape, seed=i) for i, shape in enumerate(shapes)]


def literal_map(head: Head, inputs: list[Tensor], groups: int = 16, min_std: float = 0) -> Tensor:
    """GN(Conv1x1 of the enlarged and concatenated), its second half the raw variance."""
    parameters = dict(head.named_parameters())
    wide = [x if x.dim() > 2 else x[..., None, None] for x in inputs]
    x = torch.cat([F.interpolate(x, 4, mode="nearest") for x in wide], 1)
    weight = torch.cat([parameters[f"joint.weight_{i}"] for i in range(len(wide))], 1)
    y = F.conv2d(x, weight[..., None, None], parameters["joint.bias"])
    y = F.group_norm(y, groups, parameters["norm.weight"], parameters["norm.bias"])
    mean, r = y.chunk(2, 1)
    return torch.cat((mean, torch.log1p(r.exp()) ** 0.5 + min_std), 1)


@pytest.mark.parametrize("min_std", [0.0, 0.3])
def test_a_map_equals_the_layers_written_out(min_std: float) -> None:
    head, inputs = make_map(min_std=min_std), [x.requires_grad_() for x in maps(2)]
    actual, expected = head(*inputs), literal_map(head, inputs, min_std=min_std)
    close(actual, expected)
    weight, leaves = randn(*expected.shape, seed=9), [*inputs, *head.parameters()]
    for mine, theirs in zip(
        torch.autograd.grad((actual * weight).sum(), leaves),
        torch.autograd.grad((expected * weight).sum(), leaves),
        strict=True,
    ):
        close(mine, theirs)


@pytest.mark.parametrize(
    ("size", "resolution", "groups"), [(512, 1, 1), (16, 8, 16), (128, 32, 16), (6, 4, 12)]
)
def test_groups_of_a_maps_norm(size: int, resolution: int, groups: int) -> None:
    head = GaussianMap(size, resolution).head(Map(2, resolution))
    (norm,) = (module for module in head.modules() if isinstance(module, nn.GroupNorm))
    assert (norm.num_groups, norm.num_channels) == (groups, 2 * size)


def test_all_beliefs_start_alike() -> None:
    """Weight 0 and bias N(0, 1e-3²): mean 0 and variance softplus(0) = log 2, whatever is seen."""
    head = GaussianMap(4096, 1).head(7).double()
    parameters = dict(head.named_parameters())
    assert not parameters["norm.weight"].any()
    bias = parameters["norm.bias"]
    assert (
        0.9e-3 < float(bias.detach().std()) < 1.1e-3 and float(bias.detach().mean().abs()) < 1e-4
    )
    belief = head(randn(3, 7))
    assert torch.equal(belief[0], belief[1]) and torch.equal(belief[0], belief[2])
    mean, std = belief.flatten(1).chunk(2, 1)
    close(mean, torch.zeros_like(mean), atol=6e-3)
    close(std, torch.full_like(std, math.sqrt(math.log(2))), atol=6e-3)


def test_variance_is_softplus() -> None:
    r = torch.tensor([math.log(math.exp(4) - 1), 0.0, 900.0], dtype=torch.float64)
    close(root_softplus(r), torch.tensor([2.0, math.log(2) ** 0.5, 30.0], dtype=torch.float64))
    close(half_log_variance(2 * torch.tensor(3.0).double().log()), torch.tensor(3.0).double())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_vanishing_variance_has_a_finite_gradient(dtype: torch.dtype) -> None:
    r = torch.tensor([-1e3, -60.0, 1.0], dtype=dtype, requires_grad=True)
    std = root_softplus(r)
    (gradient,) = torch.autograd.grad(std.sum(), r)
    assert bool((std > 0).all()) and bool(gradient.isfinite().all())


def test_a_part_of_a_map_known_early_changes_nothing() -> None:
    head, inputs = make_map(), maps(2)
    close(head(*inputs[:-1], early=head.early(inputs[-1])), head(*inputs))


@pytest.mark.parametrize("lead", [(), (3,), (2, 3), (4, 2, 3)])
def test_leading_dimensions_of_maps_are_batch(lead: tuple[int, ...]) -> None:
    """Particles, sequences, frames: each is normalised alone."""
    head, inputs = make_map(), maps(*lead)
    actual = head(*inputs)
    assert actual.shape == (*lead, 16, 4, 4)
    flat = [x.reshape(-1, *x.shape[len(lead) :]) for x in inputs]
    close(actual.reshape(-1, 16, 4, 4), literal_map(head, flat))


def test_states_with_particles_meet_memories_without() -> None:
    head, (h, *above) = make_map(), maps(2, 3)
    many = [torch.stack([x + p for p in range(4)]) for x in above]
    actual = head(h, *many)
    for p in range(4):
        close(actual[p], head(h, *(x[p] for x in many)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": 0, "resolution": 4}, "a map's size must be .* got 0"),
        ({"size": 2, "resolution": 0}, "a map's resolution must be .* got 0"),
        ({"size": 2, "resolution": 4.0}, "a map's resolution must be .* got 4.0"),
        ({"size": 2, "resolution": 4, "min_std": -0.1}, "min_std.*got -0.1"),
    ],
)
def test_refuses_sizes_that_make_no_map(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GaussianMap(**arguments)
