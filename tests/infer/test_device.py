"""A training step's loss and gradient stay on their device: nothing is read or left behind.

Shown without a GPU, on a device whose tensors have no numbers (`tests/fake_device.py`).
"""

from collections.abc import Callable, Iterator

import pytest
import torch
from pyro.infer import Trace_ELBO
from torch import Tensor

from pyrovp.infer import Objective
from tests.fake_device import fake_device, moved, shapes_of_fused_gru
from tests.named import NAMED


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Iterator[torch.device]:
    with fake_device(monkeypatch) as made:
        yield made


def indexed(x: Tensor) -> Tensor:
    return x[x > 0]


def counted(x: Tensor) -> Tensor:
    return x * float(x.sum())


def decided(x: Tensor) -> Tensor:
    return x if x.sum() > 0 else -x


def mixed(x: Tensor) -> Tensor:
    return x + torch.ones(3)


def fetched(x: Tensor) -> Tensor:
    return x.cpu()


def sent(x: Tensor) -> Tensor:
    return x * torch.tensor([1.0, 2.0, 3.0]).to(x.device)


@pytest.mark.parametrize("wrong", [indexed, counted, decided, mixed, fetched, sent])
def test_the_device_refuses(wrong: Callable[[Tensor], Tensor], device: torch.device) -> None:
    with pytest.raises(Exception, match=r"aten|devices"):
        wrong(torch.ones(3, device=device))


def gradient(objective: Objective, length: int, device: torch.device) -> list[Tensor]:
    """Everything that a step computes up to the clipped gradient."""
    moved(objective, device)
    objective.set_step(3)
    bound = objective(torch.rand(2, length, 1, 16, 16, device=device))
    bound.loss.backward()
    parameters = list(objective.parameters())
    norm = torch.nn.utils.clip_grad_norm_(parameters, 1.0)
    gradients = [p.grad for p in parameters if p.grad is not None]
    assert len(gradients) > len(parameters) // 2
    return [bound.loss.detach(), norm, *bound.parts.values(), *gradients]


@shapes_of_fused_gru
@pytest.mark.parametrize("name", NAMED)
def test_all_of_a_step_is_on_the_device(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    objective = NAMED[name].objective()
    with fake_device(monkeypatch) as device:
        results = gradient(objective, NAMED[name].length, device)
        assert {value.device for value in results} == {device}


@shapes_of_fused_gru
@pytest.mark.parametrize(
    ("name", "levels"), [("cwvae", {1}), ("tald", {2}), ("dlh", {1, 3}), ("hvrnn", {2})]
)
def test_and_where_levels_are_blind(
    name: str, levels: set[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    objective = NAMED[name].objective(levels)
    with fake_device(monkeypatch) as device:
        results = gradient(objective, NAMED[name].length, device)
        assert {value.device for value in results} == {device}


def test_pyros_own_bounds_read_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    objective = NAMED["rssm"].objective(elbo=Trace_ELBO())
    with fake_device(monkeypatch) as device, pytest.raises(Exception, match="aten"):
        gradient(objective, NAMED["rssm"].length, device)
