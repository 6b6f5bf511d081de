"""The laws of every cell, and the GRU against torch's."""

import inspect
from itertools import product

import pytest
import torch
from torch import Tensor, nn

from pyrovp import cells
from pyrovp.cells import GRU, Cell, GRUCell, Memory
from tests.oracles.tiny import close, randn

# A new memory joins the contract by adding itself here.
MEMORIES: dict[str, Memory] = {
    "GRU": GRU(3),
    "GRU behind a layer": GRU(3, inputs=4),
    "GRU behind a tanh layer": GRU(2, inputs=3, activation=torch.tanh),
}
PARTS = (2, 1, 3)
B, T = 4, 5


@pytest.fixture(params=MEMORIES)
def cell(request: pytest.FixtureRequest) -> Cell:
    return MEMORIES[request.param].cell(*PARTS).double()


def parts(*leading: int, seed: int = 0) -> list[Tensor]:
    return [randn(*leading, size, seed=seed + size) for size in PARTS]


def by_steps(
    cell: Cell,
    h: Tensor,
    inputs: list[Tensor],
    reset: Tensor | None = None,
    reverse: bool = False,
) -> Tensor:
    memories = {}
    times = range(inputs[0].shape[-2])
    for t in reversed(times) if reverse else times:
        if reset is not None:
            h = torch.where(reset[..., t, None] > 0, 0.0, h)
        h = memories[t] = cell.step(h, *(x[..., t, :] for x in inputs))
    return torch.stack([memories[t] for t in times], -2)


def test_every_memory_is_in_the_list() -> None:
    known = {
        kind
        for _, kind in inspect.getmembers(cells, inspect.isclass)
        if issubclass(kind, Memory) and not inspect.isabstract(kind)
    }
    assert known == {type(memory) for memory in MEMORIES.values()}


@pytest.mark.parametrize(("reverse", "resets"), list(product([False, True], repeat=2)))
def test_scan_is_repeated_step(cell: Cell, reverse: bool, resets: bool) -> None:
    h, inputs = randn(B, cell.size, seed=8), parts(B, T)
    reset = (randn(B, T, seed=4) > 0.3).double() if resets else None
    scanned = cell.scan(h, *inputs, reset=reset, reverse=reverse)
    stepped = by_steps(cell, h, inputs, reset, reverse)
    assert scanned.shape == (B, T, cell.size)
    close(scanned, stepped)
    weight, leaves = randn(*scanned.shape, seed=3), list(cell.parameters())
    for mine, theirs in zip(
        torch.autograd.grad((scanned * weight).sum(), leaves),
        torch.autograd.grad((stepped * weight).sum(), leaves),
        strict=True,
    ):
        close(mine, theirs)


def test_scanning_backwards_is_scanning_the_reversed_clip(cell: Cell) -> None:
    h, inputs = randn(B, cell.size, seed=8), parts(B, T)
    forwards = cell.scan(h, *(x.flip(1) for x in inputs)).flip(1)
    close(cell.scan(h, *inputs, reverse=True), forwards)


def test_a_reset_forgets_everything_before_it(cell: Cell) -> None:
    inputs, reset = parts(B, T), torch.zeros(B, T, dtype=torch.float64)
    reset[:, 2] = 1
    a = cell.scan(randn(B, cell.size, seed=1), *inputs, reset=reset)
    b = cell.scan(randn(B, cell.size, seed=2), *inputs, reset=reset)
    assert torch.equal(a[:, 2:], b[:, 2:])
    assert (a[:, :2] != b[:, :2]).all()
    close(a[:, 2], cell.step(cell.initial(B, a), *(x[:, 2] for x in inputs)))


@pytest.mark.parametrize("late", [0, 1, 2])
def test_parts_known_early_change_nothing(cell: Cell, late: int) -> None:
    h, inputs = randn(B, cell.size, seed=8), parts(B)
    early = cell.early(*inputs[late:])
    close(cell.step(h, *inputs[:late], early=early), cell.step(h, *inputs))


def test_leading_dimensions_are_batch(cell: Cell) -> None:
    h, inputs = randn(2, 3, B, cell.size, seed=8), parts(2, 3, B)
    actual = cell.step(h, *inputs)
    for i, j in product(range(2), range(3)):
        close(actual[i, j], cell.step(h[i, j], *(x[i, j] for x in inputs)))


def test_scan_keeps_leading_dimensions(cell: Cell) -> None:
    h, inputs = randn(2, B, cell.size, seed=8), parts(2, B, T)
    reset = (randn(2, B, T, seed=4) > 0.3).double()
    actual = cell.scan(h, *inputs, reset=reset)
    for i in range(2):
        close(actual[i], by_steps(cell, h[i], [x[i] for x in inputs], reset[i]))


# Which of h and the three parts have the particles' dimension in front.
@pytest.mark.parametrize("having", [h for h in product([False, True], repeat=4) if any(h)])
def test_leading_dimensions_broadcast(cell: Cell, having: tuple[bool, ...]) -> None:
    P = 3
    given = [
        randn(*((P, B) if particles else (B,)), size, seed=i)
        for i, (particles, size) in enumerate(zip(having, (cell.size, *PARTS), strict=True))
    ]
    actual = cell.step(*given)
    assert actual.shape == (P, B, cell.size)
    h, *inputs = given
    close(cell.step(h, *inputs[:1], early=cell.early(*inputs[1:])), actual)
    for p in range(P):
        one = [x[p] if particles else x for x, particles in zip(given, having, strict=True)]
        close(actual[p], cell.step(*one))


def test_initial_memory_is_zeros_of_the_same_kind(cell: Cell) -> None:
    for dtype in (torch.float64, torch.float32):
        initial = cell.initial(7, torch.ones(1, dtype=dtype))
        assert initial.dtype is dtype
        assert torch.equal(initial, torch.zeros(7, cell.size, dtype=dtype))


def test_gru_equals_torchs_with_the_same_weights() -> None:
    ours = GRU(5).cell(*PARTS)
    theirs = nn.GRUCell(sum(PARTS), 5)
    assert isinstance(ours, GRUCell) and ours.layer is None
    with torch.no_grad():
        theirs.weight_ih.copy_(torch.cat(list(ours.gates.weights), 1))
        theirs.bias_ih.copy_(ours.gates.bias)
        theirs.weight_hh.copy_(ours.recurrent.weight)
        theirs.bias_hh.copy_(ours.recurrent.bias)
    ours.double(), theirs.double()
    h, inputs = randn(B, 5, seed=8), parts(B)
    close(ours.step(h, *inputs), theirs(torch.cat(inputs, -1), h))
    assert sum(p.numel() for p in ours.parameters()) == sum(p.numel() for p in theirs.parameters())


def test_the_layer_before_the_gru_is_activation_of_a_linear_layer() -> None:
    behind = GRU(5, inputs=4, activation=torch.tanh).cell(*PARTS).double()
    assert isinstance(behind, GRUCell) and behind.layer is not None
    plain = GRU(5).cell(4).double()
    plain.load_state_dict(
        {k: v for k, v in behind.state_dict().items() if not k.startswith("layer.")}
    )
    h, inputs = randn(B, 5, seed=8), parts(B)
    weight = torch.cat(list(behind.layer.weights), 1)
    u = torch.tanh(torch.cat(inputs, -1) @ weight.T + behind.layer.bias)
    close(behind.step(h, *inputs), plain.step(h, u))


def test_fresh_weights_are_drawn_as_torchs_are() -> None:
    cell = GRU(16).cell(300)
    assert isinstance(cell, GRUCell)
    weights = torch.cat([p.flatten() for p in cell.parameters()])
    assert weights.abs().max() <= 0.25, "uniform within 1 / sqrt(memory)"
    assert weights.abs().max() > 0.249


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"size": 0}, "size.*got 0"), ({"size": 2, "inputs": -1}, "inputs.*got -1")],
)
def test_refuses_widths_below_one(arguments: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GRU(**arguments)  # type: ignore[arg-type]
