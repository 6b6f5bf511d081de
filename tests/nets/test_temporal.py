"""Convolutions over time, against sums by hand and the reach of a result."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pyrovp.nets.temporal import TemporalConvolutions
from tests.oracles.tiny import close, randn

B, T, X = 2, 9, 3


def by_hand(convolution: nn.Conv1d, x: Tensor) -> Tensor:
    """out_t = W_0 x_{t-1} + W_1 x_t + W_2 x_{t+1} + b, [B, T, X] -> [B, T, O]."""
    padded = F.pad(x, (0, 0, 1, 1))
    taps = convolution.weight.unbind(-1)
    out = sum(padded[:, i : i + x.shape[1]] @ tap.T for i, tap in enumerate(taps))
    assert isinstance(out, Tensor)
    return out if convolution.bias is None else out + convolution.bias


@pytest.mark.parametrize("training", [True, False])
def test_is_convolutions_norms_and_elus(training: bool) -> None:
    net, x = TemporalConvolutions(X, 2, hidden=2).double().train(training), randn(B, T, X)
    y = x
    for convolution, norm in zip(net.convolutions, net.norms, strict=True):
        assert isinstance(convolution, nn.Conv1d) and convolution.bias is None
        assert isinstance(norm, nn.BatchNorm1d)
        y = by_hand(convolution, y)
        mean, var = norm.running_mean, norm.running_var
        if training:
            mean, var = y.mean((0, 1)), y.var((0, 1), unbiased=False)
        assert mean is not None and var is not None
        y = F.elu((y - mean) / (var + norm.eps).sqrt() * norm.weight + norm.bias)
    close(net(x), by_hand(net.output, y))


@pytest.mark.parametrize("hidden", [0, 3])
def test_a_result_sees_one_frame_more_to_either_side_per_layer(hidden: int) -> None:
    net, x = TemporalConvolutions(X, 1, hidden).double().eval(), randn(B, T, X).requires_grad_()
    (gradient,) = torch.autograd.grad(net(x)[:, 4].sum(), x)
    seen = {int(t) for t in gradient.abs().sum((0, 2)).nonzero()}
    assert seen == set(range(4 - hidden - 1, 4 + hidden + 2))


def test_sizes_that_are_none_are_refused() -> None:
    negative, halved = {"inputs": 1, "outputs": 1, "hidden": -1}, {"inputs": 2.5, "outputs": 1}
    for wrong in ({"inputs": 0, "outputs": 1}, negative, halved):
        with pytest.raises(ValueError, match="need inputs and outputs of at least 1"):
            TemporalConvolutions(**wrong)
