"""The laws of every cell."""

import inspect
from itertools import product

import pytest
import torch
from torch import Tensor

from pyrovp import cells
from pyrovp.cells import GRU, LSTM, Cell, ConvLSTM, Learned, Memory, NormedConvLSTM
from pyrovp.sizes import Map, Size, dims
from tests.oracles.tiny import close, randn

VECTORS = (2, 1, 3)
MAPS = (Map(2, 4), Map(1, 4), Map(3, 4))
PIXELS = (Map(2, 1), 1, Map(3, 1))
B, T = 4, 5

# A new memory joins the contract by adding itself here, with the sizes of three inputs.
CASES: dict[str, tuple[Memory, tuple[Size, ...]]] = {
    "GRU": (GRU(3), VECTORS),
    "GRU behind a layer": (GRU(3, inputs=4), VECTORS),
    "GRU behind a tanh layer": (GRU(2, inputs=3, activation=torch.tanh), VECTORS),
    "LSTM": (LSTM(3), VECTORS),
    "LSTM behind a layer": (LSTM(3, inputs=4), VECTORS),
    "LSTM of three layers": (LSTM(2, layers=3, start=Learned()), VECTORS),
    "ConvLSTM": (ConvLSTM(2, 4), MAPS),
    "ConvLSTM of large kernels": (ConvLSTM(2, 4, kernel=5), MAPS),
    "ConvLSTM on pixels": (ConvLSTM(3, 1), PIXELS),
    # More channels than groups, or a norm would take away the biases before it.
    "normed ConvLSTM": (NormedConvLSTM(8, 4), MAPS),
    "normed ConvLSTM behind a layer": (NormedConvLSTM(5, 4, inputs=32), MAPS),
    "normed ConvLSTM on pixels": (NormedConvLSTM(6, 1, inputs=5), PIXELS),
    "lean normed ConvLSTM on pixels": (NormedConvLSTM(6, 1, kernel=1), PIXELS),
}


class Case:
    """A cell with inputs and memories for it."""

    def __init__(self, memory: Memory, sizes: tuple[Size, ...]) -> None:
        self.memory, self.sizes = memory, sizes
        self.cell: Cell = memory.cell(*sizes).double()
        with torch.no_grad():  # norms start with weight 1 and bias 0, which would hide them
            for i, parameter in enumerate(self.cell.parameters()):
                parameter.add_(0.2 * randn(*parameter.shape, seed=i))

    def inputs(self, *leading: int, seed: int = 0) -> list[Tensor]:
        return [randn(*leading, *dims(s), seed=seed + i) for i, s in enumerate(self.sizes)]

    def start(self, *leading: int, seed: int = 8) -> Tensor:
        return randn(*leading, *self.cell.dims, seed=seed)

    def at(self, inputs: list[Tensor], t: int) -> list[Tensor]:
        """The inputs of a frame; time stands before each input's own dimensions."""
        pairs = zip(inputs, self.sizes, strict=True)
        return [x.select(-1 - len(dims(size)), t) for x, size in pairs]

    def by_steps(
        self,
        memory: Tensor,
        inputs: list[Tensor],
        reset: Tensor | None = None,
        reverse: bool = False,
    ) -> tuple[Tensor, Tensor]:
        """`run` by its definition."""
        outputs = {}
        for t in reversed(range(T)) if reverse else range(T):
            if reset is not None:
                gone = reset[..., t].reshape(*reset.shape[:-1], *[1] * len(self.cell.dims))
                memory = torch.where(gone > 0, 0.0, memory)
            memory = self.cell.step(memory, *self.at(inputs, t))
            outputs[t] = self.cell.read(memory)
        axis = -1 - len(dims(self.memory.output))
        return torch.stack([outputs[t] for t in range(T)], axis), memory


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    return Case(*CASES[request.param])


def resets(*shape: int) -> Tensor:
    return (randn(*shape, seed=4) > 0.3).double()


def test_every_memory_is_in_the_list() -> None:
    known = {
        kind
        for _, kind in inspect.getmembers(cells, inspect.isclass)
        if issubclass(kind, Memory) and not inspect.isabstract(kind)
    }
    assert known == {type(memory) for memory, _ in CASES.values()}


@pytest.mark.parametrize(("reverse", "reset"), list(product([False, True], repeat=2)))
def test_run_is_repeated_step(case: Case, reverse: bool, reset: bool) -> None:
    start, inputs = case.start(B).requires_grad_(), case.inputs(B, T)
    inputs = [x.requires_grad_() for x in inputs]
    gone = resets(B, T) if reset else None
    ran = case.cell.run(start, *inputs, reset=gone, reverse=reverse)
    stepped = case.by_steps(start, inputs, gone, reverse)
    assert ran[0].shape == (B, T, *dims(case.memory.output))
    assert ran[1].shape == (B, *case.cell.dims)
    leaves = [start, *inputs, *case.cell.parameters()]
    weights = [randn(*value.shape, seed=3) for value in ran]
    found = []
    for values in (ran, stepped):
        score = sum((value * w).sum() for value, w in zip(values, weights, strict=True))
        assert isinstance(score, Tensor)
        found.append(torch.autograd.grad(score, leaves))
    for mine, theirs in zip((*ran, *found[0]), (*stepped, *found[1]), strict=True):
        close(mine, theirs)
    close(case.cell.scan(start, *inputs, reset=gone, reverse=reverse), ran[0])


def test_every_parameter_and_input_has_a_say(case: Case) -> None:
    start, inputs = case.start(B).requires_grad_(), case.inputs(B, T)
    outputs = case.cell.scan(start, *(x.requires_grad_() for x in inputs))
    leaves = [start, *inputs, *case.cell.parameters()]
    weight = randn(*outputs.shape, seed=3)
    for gradient in torch.autograd.grad((outputs * weight).sum(), leaves):
        assert gradient.abs().max() > 1e-6


def test_a_clip_in_two_runs_is_the_clip(case: Case) -> None:
    start, inputs = case.start(B), case.inputs(B, T)
    whole, last = case.cell.run(start, *inputs)
    first, memory = case.cell.run(start, *(x[:, :2] for x in inputs))
    second, memory = case.cell.run(memory, *(x[:, 2:] for x in inputs))
    close(torch.cat((first, second), 1), whole)
    close(memory, last)


def test_running_backwards_is_running_the_reversed_clip(case: Case) -> None:
    start, inputs = case.start(B), case.inputs(B, T)
    forwards, last = case.cell.run(start, *(x.flip(1) for x in inputs))
    outputs, memory = case.cell.run(start, *inputs, reverse=True)
    close(outputs, forwards.flip(1))
    close(memory, last)


def test_a_reset_forgets_everything_before_it(case: Case) -> None:
    inputs, reset = case.inputs(B, T), torch.zeros(B, T, dtype=torch.float64)
    reset[:, 2] = 1
    a = case.cell.scan(case.start(B, seed=1), *inputs, reset=reset)
    b = case.cell.scan(case.start(B, seed=2), *inputs, reset=reset)
    assert torch.equal(a[:, 2:], b[:, 2:])
    assert (a[:, :2] != b[:, :2]).any(dim=tuple(range(2, a.dim()))).all()
    fresh = case.cell.step(case.cell.initial(B, a), *(x[:, 2] for x in inputs))
    close(a[:, 2], case.cell.read(fresh))


@pytest.mark.parametrize("late", [0, 1, 2])
def test_parts_known_early_change_nothing(case: Case, late: int) -> None:
    start, inputs = case.start(B), case.inputs(B)
    early = case.cell.early(*inputs[late:])
    close(case.cell.step(start, *inputs[:late], early=early), case.cell.step(start, *inputs))


def test_leading_dimensions_are_batch(case: Case) -> None:
    start, inputs = case.start(2, 3, B), case.inputs(2, 3, B)
    actual = case.cell.step(start, *inputs)
    assert actual.shape == start.shape
    for i, j in product(range(2), range(3)):
        close(actual[i, j], case.cell.step(start[i, j], *(x[i, j] for x in inputs)))
    assert torch.equal(case.cell.read(actual)[1, 2], case.cell.read(actual[1, 2]))


def test_run_keeps_leading_dimensions(case: Case) -> None:
    start, inputs, reset = case.start(2, B), case.inputs(2, B, T), resets(2, B, T)
    outputs, memory = case.cell.run(start, *inputs, reset=reset)
    for i in range(2):
        one = case.by_steps(start[i], [x[i] for x in inputs], reset[i])
        close(outputs[i], one[0])
        close(memory[i], one[1])


HAVING = [h for h in product([False, True], repeat=4) if any(h)]
"""Which of the memory and the three parts have the particles' dimension in front."""


@pytest.mark.parametrize("having", HAVING)
def test_leading_dimensions_broadcast(case: Case, having: tuple[bool, ...]) -> None:
    P = 3
    many = [case.start(P, B), *case.inputs(P, B)]
    memory, *inputs = (x if has else x[0] for x, has in zip(many, having, strict=True))
    actual = case.cell.step(memory, *inputs)
    assert actual.shape == (P, B, *case.cell.dims)
    close(case.cell.step(memory, *inputs[:1], early=case.cell.early(*inputs[1:])), actual)
    for p in range(P):
        one = [x[p] if has else x[0] for x, has in zip(many, having, strict=True)]
        close(actual[p], case.cell.step(*one))


@pytest.mark.parametrize("having", HAVING[::3])
def test_leading_dimensions_broadcast_over_time(case: Case, having: tuple[bool, ...]) -> None:
    P = 2
    many = [case.start(P, B), *case.inputs(P, B, T)]
    memory, *inputs = (x if has else x[0] for x, has in zip(many, having, strict=True))
    outputs, last = case.cell.run(memory, *inputs)
    for p in range(P):
        one = [x[p] if has else x[0] for x, has in zip(many, having, strict=True)]
        expected = case.by_steps(one[0], one[1:])
        close(outputs[p], expected[0])
        close(last[p], expected[1])


def test_one_sequence_is_a_batch(case: Case) -> None:
    start, inputs = case.start(B), case.inputs(B, T)
    one = case.cell.scan(start[:1], *(x[:1] for x in inputs))
    close(one, case.cell.scan(start, *inputs)[:1])


def test_initial_memory_is_zeros_of_the_same_kind(case: Case) -> None:
    for dtype in (torch.float64, torch.float32):
        initial = case.cell.initial(7, torch.ones(1, dtype=dtype))
        assert initial.dtype is dtype
        assert torch.equal(initial, torch.zeros(7, *case.cell.dims, dtype=dtype))


def test_runs_under_autocast(case: Case) -> None:
    cell = case.cell.float()
    start, inputs = case.start(B).float(), [x.float() for x in case.inputs(B, T)]
    exact = cell.scan(start, *inputs)
    with torch.autocast("cpu", torch.bfloat16):
        outputs = cell.scan(start, *inputs)
        cell.step(start, *case.at(inputs, 0))
    # bfloat16 has 8 bits of precision, 2^-8 for each of the few operations of five steps; norms
    # of groups with hardly a variance enlarge single errors.
    assert (outputs - exact).abs().mean() < 0.03 * exact.abs().max()
    outputs.float().sum().backward()


def test_refuses_other_numbers_of_parts(case: Case) -> None:
    with pytest.raises(ValueError, match="2 of them|parts"):
        case.cell.step(case.start(B), *case.inputs(B)[:2])
