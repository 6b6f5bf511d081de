"""Recomputation: the same gradients, statistics and names, with less kept."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pyrovp import Objective, guides, models
from pyrovp.nets import StepBatchNorm2d
from pyrovp.nets.remade import at_once, remade, remaking
from pyrovp.train.precision import BF16
from pyrovp.train.recompute import recompute
from tests.named import NAMED

B = 3
Inside = Callable[[Objective], AbstractContextManager[None]]


def step(system: str, inside: Inside) -> tuple[Tensor, dict[str, Tensor], dict[str, Tensor]]:
    """Loss, gradients and state after a step of a fresh objective in float64."""
    torch.manual_seed(1)
    objective = NAMED[system].objective().double()
    video = torch.rand(B, NAMED[system].length, 1, 16, 16, dtype=torch.float64)
    torch.manual_seed(2)
    with inside(objective):
        loss = objective(video).loss
    loss.backward()
    gradients = {n: p.grad for n, p in objective.named_parameters() if p.grad is not None}
    return loss.detach(), gradients, objective.state_dict()


@pytest.mark.parametrize(
    ("system", "frames"),
    [*((name, 7) for name in NAMED if name != "vta"), ("cwvae", 1), ("svg_lp", 1000)],
)
def test_gradients_and_statistics_are_the_same(system: str, frames: int) -> None:
    loss, gradients, state = step(system, lambda _: nullcontext())
    remade_loss, remade_gradients, remade_state = step(system, partial(recompute, frames=frames))
    torch.testing.assert_close(remade_loss, loss, rtol=1e-12, atol=0)
    scale = max(float(gradient.abs().max()) for gradient in gradients.values())
    # Sums over frames in another order, through group norms that divide by a small spread.
    torch.testing.assert_close(remade_gradients, gradients, rtol=1e-8, atol=1e-12 * scale)
    torch.testing.assert_close(remade_state, state, rtol=1e-12, atol=0)


def kept(inside: Inside) -> int:
    """Values that the graph of a small CW-VAE keeps outside of what is made again."""
    torch.manual_seed(1)
    model = models.cwvae(state=2, memory=3, hidden=4, resolution=16, width=0.2)
    objective, count = Objective(model, guides.cwvae(model, lift=(4,))), 0

    def pack(saved: Tensor) -> Tensor:
        nonlocal count
        count += saved.numel()
        return saved

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda saved: saved), inside(objective):
        objective(torch.rand(4, 12, 1, 16, 16))
    return count


def test_less_is_kept() -> None:
    assert kept(partial(recompute, frames=6)) < 0.2 * kept(lambda _: nullcontext())


def test_parts_and_second_passes() -> None:
    torch.manual_seed(1)
    objective, calls = NAMED["cwvae"].objective(), list[int]()
    space: Any = objective.model.hierarchy
    space.encoder.register_forward_pre_hook(lambda _, given: calls.append(len(given[0])))
    video = torch.rand(B, 6, 1, 16, 16)
    with recompute(objective, frames=8):
        with torch.no_grad():
            objective(video)
        loss = objective(video).loss
    assert calls == [18, 8, 8, 2]
    loss.backward()
    assert sorted(calls[4:]) == [2, 8, 8]


def test_with_bf16_networks() -> None:
    torch.manual_seed(1)
    objective = NAMED["hvrnn"].objective()
    video, losses = torch.rand(B, 6, 1, 16, 16), list[Tensor]()
    for inside in (lambda _: nullcontext(), partial(recompute, frames=7)):
        torch.manual_seed(2)
        with BF16(torch.device("cpu")).inside(), inside(objective):
            loss = objective(video).loss
        loss.backward()
        losses.append(loss.detach())
    torch.testing.assert_close(*losses, rtol=1e-4, atol=0)


def test_dropout_drops_the_same_again() -> None:
    torch.manual_seed(1)
    first = nn.Linear(5, 5)
    network = nn.Sequential(first, nn.Dropout(0.5), nn.Tanh())
    x, gradients = torch.rand(4, 5), list[Tensor]()
    for inside in (nullcontext(), remaking(10)):
        torch.manual_seed(2)
        with inside:
            y = remade(network, x)
        torch.rand(3)
        gradients.append(torch.autograd.grad(y.square().sum(), first.weight)[0])
    assert torch.equal(*gradients)


def test_steps_at_once() -> None:
    assert at_once(100, each=8) == 100
    with remaking(20):
        assert [at_once(100, each) for each in (1, 8, 50)] == [20, 2, 1]
        assert at_once(10) == 10
        with torch.no_grad():
            assert at_once(100) == 100


def test_what_cannot_be_done_is_refused() -> None:
    with pytest.raises(ValueError, match="StridedEncoder cannot be taken in parts.*all frames at"):
        recompute(NAMED["vta"].objective(), frames=8)
    torch.manual_seed(1)
    svg = NAMED["svg_lp"].objective()
    recompute(svg, frames=8)
    space: Any = svg.model.hierarchy
    for part in space.emission.decoder.modules():
        if isinstance(part, StepBatchNorm2d):
            part.statistics = "pooled"
    with pytest.raises(ValueError, match="SkipDCGANDecoder cannot be taken in parts"):
        recompute(svg, frames=8)
    with pytest.raises(ValueError, match="1 frame at a time or more, got frames=0"):
        with recompute(NAMED["rssm"].objective(), frames=0):
            pass
