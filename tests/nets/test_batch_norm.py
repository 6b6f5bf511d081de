"""Statistics of each step against one call of the stock layer per step."""

import pytest
import torch
from torch import Tensor, nn

from pyrovp.nets.batch_norm import StepBatchNorm2d, batch_statistics
from pyrovp.nets.normed import Normed, NormedChain
from tests.nets.stacks import assert_close, assert_same, match, perturb

__all__: list[str] = []


def test_two_steps_by_hand() -> None:
    norm = StepBatchNorm2d(1).double()
    x = torch.tensor([0.0, 2.0, 10.0, 14.0], dtype=torch.float64).view(4, 1, 1, 1)
    y = norm(x, steps=2).flatten()
    scale = [(1 + 1e-5) ** -0.5, 2 * (4 + 1e-5) ** -0.5]
    expected = [-scale[0], scale[0], -scale[1], scale[1]]
    assert_close(y, torch.tensor(expected, dtype=torch.float64))
    # Means 1 and 12, unbiased variances 2 and 8, momentum 0.1.
    assert norm.running_mean is not None and norm.running_var is not None
    assert_close(norm.running_mean, torch.tensor([0.9 * 0.1 + 0.1 * 12], dtype=torch.float64))
    variance = 0.9 * (0.9 + 0.2) + 0.8
    assert_close(norm.running_var, torch.tensor([variance], dtype=torch.float64))
    assert norm.num_batches_tracked == 2


Pairs = list[tuple[Tensor, Tensor]]


def both(channels: int, statistics: str) -> tuple[StepBatchNorm2d, nn.BatchNorm2d, Pairs]:
    norm = StepBatchNorm2d(channels, statistics).double()  # type: ignore[arg-type]
    stock = nn.BatchNorm2d(channels).double()
    perturb(stock)
    return norm, stock, match(norm, stock)


@pytest.mark.parametrize("side", [1, 4])
@pytest.mark.parametrize("steps", [1, 2, 5])
def test_each_step_is_a_call_of_its_own(steps: int, side: int) -> None:
    norm, stock, pairs = both(3, "each")
    x = torch.randn(steps * 4, 3, side, side, dtype=torch.float64, requires_grad=True)
    expected = torch.cat([stock(step) for step in x.chunk(steps)])
    assert_same([norm(x, steps)], [expected], [x], pairs)


@pytest.mark.parametrize("training", [True, False])
def test_pooled_statistics_are_one_call(training: bool) -> None:
    norm, stock, pairs = both(3, "pooled")
    for layer in (norm, stock):
        layer.train(training)
    x = torch.randn(6, 3, 2, 2, dtype=torch.float64, requires_grad=True)
    assert_same([norm(x, steps=3)], [stock(x)], [x], pairs)


def test_evaluation_knows_no_steps() -> None:
    norm, stock, pairs = both(3, "each")
    x = torch.randn(6, 3, 2, 2, dtype=torch.float64, requires_grad=True)
    assert_same([norm.eval()(x, steps=3)], [stock.eval()(x)], [x], pairs)


def test_keeps_channels_last() -> None:
    x = torch.randn(6, 3, 4, 4).contiguous(memory_format=torch.channels_last)
    y = StepBatchNorm2d(3)(x, steps=3)
    assert y.is_contiguous(memory_format=torch.channels_last)


def test_a_normed_layer_is_its_three_parts() -> None:
    layer = Normed(nn.Conv2d(3, 4, 3), 4).double()
    x = torch.randn(6, 3, 5, 5, dtype=torch.float64)

    def parts(step: Tensor) -> Tensor:
        y = layer.layer(step)
        y = (y - y.mean((0, 2, 3), keepdim=True)) * (
            y.var((0, 2, 3), correction=0, keepdim=True) + 1e-5
        ).rsqrt()
        return torch.where(y > 0, y, 0.2 * y)

    assert_close(layer(x, steps=2), torch.cat([parts(x[:3]), parts(x[3:])]))


def test_a_chain_is_its_layers() -> None:
    layers = [Normed(nn.Conv2d(a, b, 3, padding=1), b).double() for a, b in ((3, 4), (4, 2))]
    x = torch.randn(6, 3, 4, 4, dtype=torch.float64)
    expected = layers[1](layers[0](x, steps=2), steps=2)
    assert_close(NormedChain(*layers)(x, steps=2), expected)


def test_refuses_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match="'each' step or 'pooled'.*got 'both'"):
        StepBatchNorm2d(3, "both")  # type: ignore[arg-type]
    norm = StepBatchNorm2d(3)
    for steps in (4, 0, -1):
        with pytest.raises(ValueError, match=f"6 maps cannot be those of {steps} time steps"):
            norm(torch.zeros(6, 3, 2, 2), steps)
    with pytest.raises(ValueError, match=r"\[6, 3, 1, 1\] of 6 time steps.*at least 2 sequences"):
        norm(torch.zeros(6, 3, 1, 1), steps=6)
    assert norm.eval()(torch.zeros(6, 3, 1, 1), steps=6).shape == (6, 3, 1, 1)


def test_the_arguments_are_printed() -> None:
    assert "statistics='pooled'" in repr(StepBatchNorm2d(3, "pooled"))


def test_batch_statistics_are_used_and_the_running_ones_kept() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.BatchNorm2d(3), StepBatchNorm2d(3)).double()
    net(torch.randn(6, 3, 2, 2).double())
    net.eval()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    x = 3 + 2 * torch.randn(6, 3, 2, 2).double()
    with batch_statistics(net):
        y = net(x)
    assert torch.allclose(y.mean((0, 2, 3)), torch.zeros(3).double(), atol=1e-12)
    assert not torch.allclose(net(x), y)
    assert not any(part.training for part in net)
    assert [part.momentum for part in net] == [0.1, 0.1]
    for name, value in net.state_dict().items():
        assert torch.equal(value, before[name]), name
