"""What memories do at boundaries, and summaries of segments, against loops over segments."""

import itertools

import pytest
import torch
from torch import Tensor

from pyrovp.cells import GRU
from pyrovp.segments import mix, past, prefix, reset_or_update, suffix, update_or_copy
from tests.oracles.tiny import close, randn

B, T, F, D = 3, 8, 2, 4


def boundaries(*shape: int) -> Tensor:
    m = (randn(*shape, seed=5) > 0.3).double()
    m[..., 0] = 1
    return m


@pytest.mark.parametrize("event", [(4,), (2, 3, 3)])
def test_mix_is_exact_and_passes_the_gates_gradient(event: tuple[int, ...]) -> None:
    m = torch.tensor([1.0, 0.0, 1.0]).double().requires_grad_()
    read, copy = (randn(2, B, *event, seed=s).requires_grad_() for s in (1, 2))
    mixed = mix(m, read, copy, len(event))
    for b, source in enumerate((read, copy, read)):
        assert torch.equal(mixed[:, b], source[:, b])
    weight = randn(2, B, *event, seed=3)
    found = torch.autograd.grad((mixed * weight).sum(), (m, read, copy))
    gate = m.view(B, *[1] * len(event))
    by_hand = (gate * read + (1 - gate) * copy) * weight
    for mine, expected in zip(
        found, torch.autograd.grad(by_hand.sum(), (m, read, copy)), strict=True
    ):
        close(mine, expected)


def test_mix_takes_the_wider_of_two_types() -> None:
    """Under autocast what is read may be of lower precision than the memory."""
    m, read, copy = torch.tensor([1.0, 0.0]), torch.ones(2, 1).bfloat16(), torch.zeros(2, 1)
    mixed = mix(m, read, copy)
    assert mixed.dtype is torch.float32 and mixed.flatten().tolist() == [1.0, 0.0]


def test_memories_at_boundaries_and_between() -> None:
    cell = GRU(D).cell(F).double()
    m, memory, parent, x = boundaries(B, 2)[:, 1], randn(B, D), randn(B, D, seed=1), randn(B, F)
    moved = cell.step(memory, x)
    held = update_or_copy(cell, m, memory, x)
    restarted = reset_or_update(cell, m, memory, parent, x)
    assert 0 < m.sum() < B
    for b in range(B):
        close(held[b], moved[b] if m[b] else memory[b])
        close(restarted[b], parent[b] if m[b] else moved[b])


@pytest.mark.parametrize("particles", [(), (2,)], ids=["plain", "particles"])
def test_summaries_are_those_of_each_segment_alone(particles: tuple[int, ...]) -> None:
    cell, x, m = GRU(D).cell(F).double(), randn(B, T, F), boundaries(*particles, B, T)
    before, after = prefix(cell, x, m), suffix(cell, x, m)
    assert before.shape == after.shape == (*particles, B, T, D)
    for index in itertools.product(*map(range, (*particles, B))):
        starts = [t for t in range(T) if m[index][t]]
        assert 1 < len(starts) < T
        for start, end in itertools.pairwise([*starts, T]):
            segment = x[index[-1], start:end]
            for t in range(start, end):
                forward = backward = torch.zeros(D).double()
                for frame in segment[: t - start + 1]:
                    forward = cell.step(forward, frame)
                for frame in segment[t - start :].flip(0):
                    backward = cell.step(backward, frame)
                close(before[index][t], forward)
                close(after[index][t], backward)


def test_the_past_is_one_segment() -> None:
    cell, x = GRU(D).cell(F).double(), randn(B, T, F)
    one = torch.zeros(B, T).double()
    close(past(cell, x), prefix(cell, x, one))


def test_summaries_pass_the_gates_gradient() -> None:
    """That of a boundary reaches what the memory holds across it, and nothing else."""
    cell, x = GRU(D).cell(F).double(), randn(B, T, F)
    m = torch.zeros(B, T).double().requires_grad_()
    for summary, t, reached in ((prefix, 3, {1, 2, 3}), (suffix, 3, {4, 5, 6, 7})):
        (gradient,) = torch.autograd.grad(summary(cell, x, m)[:, t].sum(), m)
        found = {int(i) for i in gradient.abs().sum(0).nonzero()}
        assert found == reached, "frame 0 starts from zero, boundary or not"
