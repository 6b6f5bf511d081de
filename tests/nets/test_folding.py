"""Folding leading dimensions into one, time in front, and back."""

import pytest
import torch

from pyrovp.nets.folding import fold, unfold
from tests.oracles.tiny import randn

LEADS = [(), (3,), (2, 3), (4, 2, 3), (5, 4, 2, 3)]


@pytest.mark.parametrize("lead", LEADS)
def test_unfolding_is_the_way_back(lead: tuple[int, ...]) -> None:
    x = randn(*lead, 2, 4, 4)
    folded = fold(x)
    assert folded.shape == (torch.Size(lead).numel(), 2, 4, 4)
    assert torch.equal(unfold(folded, x.shape[:-3]), x)


@pytest.mark.parametrize("lead", LEADS)
def test_other_sizes_unfold_too(lead: tuple[int, ...]) -> None:
    """A network may change channels and resolution; elements keep their places."""
    x = randn(*lead, 2, 4, 4)
    y = unfold(fold(x)[:, :1, ::2, ::2], lead)
    assert torch.equal(y, x[..., :1, ::2, ::2])


def test_time_comes_first() -> None:
    """[B, T, ...]: the first B are those of frame 0."""
    x = randn(2, 3, 1, 1, 1)
    assert torch.equal(fold(x).flatten(), x.flatten(1).t().flatten())
    particles = randn(4, 2, 3, 1, 1, 1)
    assert torch.equal(fold(particles)[: 4 * 2].flatten(), particles[:, :, 0].flatten())


def test_of_time_major_sequences_both_are_views() -> None:
    stored = randn(3 * 2, 5, 4, 4).contiguous(memory_format=torch.channels_last)
    sequence = stored.unflatten(0, (3, 2)).transpose(0, 1)  # [B, T, C, r, r]
    folded = fold(sequence)
    assert folded.data_ptr() == stored.data_ptr() and folded.stride() == stored.stride()
    back = unfold(folded, (2, 3))
    assert back.data_ptr() == stored.data_ptr() and back.stride() == sequence.stride()
    particles = randn(3, 4, 2, 5, 4, 4).movedim(0, 2)
    assert fold(particles).data_ptr() == particles.data_ptr()


@pytest.mark.parametrize("lead", [(3,), (2, 3), (4, 2, 3)])
def test_gradients_pass(lead: tuple[int, ...]) -> None:
    x, weight = randn(*lead, 2, 1, 1).requires_grad_(), randn(*lead, 2, 1, 1, seed=1)
    (gradient,) = torch.autograd.grad((unfold(fold(x), lead) * weight).sum(), x)
    assert torch.equal(gradient, weight)
