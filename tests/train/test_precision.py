"""Precision: networks in bf16 and nothing else, and TF32 only while asked for."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from pyro import poutine
from torch import Tensor, nn

from pyrovp import Objective
from pyrovp.lazy import Lazy, force
from pyrovp.nets.lowered import lowered, lowering
from pyrovp.nets.skips import SkipLayer
from pyrovp.nets.tiles import TiledTransposedConv2d
from pyrovp.nets.transposed import PhasedTransposedConv2d
from pyrovp.train.precision import BF16, TF32, Float32, Precision, precision
from tests.named import NAMED

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


def made(system: str) -> tuple[Objective, Tensor]:
    torch.manual_seed(1)
    objective = NAMED[system].objective()
    # Dark, so that all pixels pull one way: of noise around the first prediction the gradient is
    # the small rest of large terms that cancel.
    return objective, 0.1 * torch.rand(3, NAMED[system].length, 1, 16, 16)


def gradient(objective: Objective, video: Tensor, kind: Precision) -> tuple[Tensor, Tensor]:
    objective.zero_grad()
    torch.manual_seed(2)
    with kind.inside():
        loss = objective(video).loss
        loss.backward()
    gradients = [p.grad.flatten() for p in objective.parameters() if p.grad is not None]
    assert all(part.dtype is torch.float32 for part in gradients)
    return loss.detach(), torch.cat(gradients)


@pytest.mark.parametrize("system", NAMED)
def test_the_bound_is_that_of_float32(system: str) -> None:
    objective, video = made(system)
    names = list(objective.state_dict())
    exact, low = (gradient(objective, video, kind(CPU)) for kind in (Float32, BF16))
    assert abs(low[0] / exact[0] - 1) < 1e-3
    assert not torch.equal(low[0], exact[0])
    assert low[1].isfinite().all()
    # An angle of 8 degrees: group norms over the few values of a tiny HVRNN lift errors of 2^-8.
    assert torch.cosine_similarity(low[1], exact[1], 0) > 0.99
    assert list(objective.state_dict()) == names
    assert torch.equal(gradient(objective, video, Float32(CPU))[0], exact[0])


def tensors(given: Any) -> Iterator[Tensor]:
    """All that a distribution is made of."""
    for value in vars(given).values():
        if isinstance(value, Tensor | Lazy):
            yield force(value)
        elif isinstance(value, torch.distributions.Distribution):
            yield from tensors(value)


@pytest.mark.parametrize("system", NAMED)
def test_sites_are_float32_and_convolutions_are_not(system: str) -> None:
    objective, video = made(system)
    seen: dict[str, torch.dtype] = {}
    framing = PhasedTransposedConv2d, TiledTransposedConv2d  # they add a bias in float32
    for name, part in objective.named_modules():
        if isinstance(part, framing) or name.endswith("image") or "start" in name:
            continue
        if isinstance(part, nn.Conv2d | nn.ConvTranspose2d | SkipLayer):
            part.register_forward_hook(lambda _, __, y, name=name: seen.update({name: y.dtype}))
    with BF16(CPU).inside():
        q = poutine.trace(objective.guide).get_trace(video)
        p = poutine.trace(poutine.replay(objective.model, trace=q)).get_trace(video)
        found = [
            (name, tensor.dtype)
            for trace in (q, p)
            for name, node in trace.nodes.items()
            if node["type"] == "sample"
            for tensor in (node["value"], *tensors(node["fn"]))
            if tensor.is_floating_point()
        ]
    assert "frames" in dict(found)
    assert {dtype for _, dtype in found} == {torch.float32}, found
    assert seen
    assert set(seen.values()) == {torch.bfloat16}, seen


def test_only_the_outermost_border_hands_on_float32() -> None:
    layer, kinds = nn.Linear(3, 3), list[torch.dtype]()

    def inner(x: Tensor) -> tuple[Tensor, dict[int, Tensor]]:
        y = layer(x)
        return y, {1: y}

    def outer(x: Tensor) -> Tensor:
        y, others = lowered(inner)(x)
        kinds.extend((y.dtype, others[1].dtype))
        return y

    with lowering(CPU, torch.bfloat16):
        y, others = lowered(inner)(torch.zeros(2, 3))
        assert y.dtype is others[1].dtype is torch.float32
        assert lowered(outer)(torch.zeros(2, 3)).dtype is torch.float32
        assert layer(torch.zeros(2, 3)).dtype is torch.float32
        with pytest.raises(RuntimeError):
            lowered(outer)(torch.zeros(2, 4))
        assert not torch.is_autocast_enabled("cpu")
    assert kinds == [torch.bfloat16] * 2
    assert lowered(inner) is inner


def products() -> tuple[str, str, str]:
    """How GPUs multiply float32 now; a fact of the process, with a GPU or without."""
    cudnn: Any = torch.backends.cudnn
    matmul: Any = torch.backends.cuda.matmul
    return matmul.fp32_precision, cudnn.conv.fp32_precision, cudnn.rnn.fp32_precision


@pytest.mark.parametrize(
    ("name", "kind"), [("float32", "ieee"), ("tf32", "tf32"), ("bf16", "ieee")]
)
def test_products_on_a_gpu_are_set_for_the_step(name: str, kind: str) -> None:
    before = products()
    with pytest.raises(KeyError), precision(name, CUDA).inside():
        assert products() == (kind,) * 3
        raise KeyError
    assert products() == before


def test_names() -> None:
    assert precision("float32", CPU) == Float32(CPU)
    assert precision("bf16", CPU) == BF16(CPU)
    assert precision("tf32", CUDA) == TF32(CUDA)
    with pytest.raises(ValueError, match="is float32, tf32 or bf16, got 'half'"):
        precision("half", CPU)
    with pytest.raises(ValueError, match="Nvidia's GPUs, and this run is on cpu.*bf16"):
        precision("tf32", CPU)
