"""What a step asks of a GPU is counted: calls of a known network, ticks of known clocks."""

import pytest
import torch
from torch import Tensor, nn

from benchmarks import kernels
from benchmarks.systems import SYSTEMS
from tests.fake_device import shapes_of_fused_gru


class Chain(nn.Module):
    """A linear layer at every frame, another one at every third, one more at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.often, self.seldom, self.last = (nn.Linear(4, 4, bias=False) for _ in range(3))

    def forward(self, video: Tensor) -> Tensor:
        x = video.flatten(2)  # [B, T, 1, 2, 2] -> [B, T, 4]
        h = x[:, 0]
        for t in range(video.shape[1]):
            h = self.often(h)
            if t % 3 == 0:
                h = self.seldom(h).tanh()
        return self.last(h).sum()


def test_calls_of_a_known_network() -> None:
    forward, backward = kernels.step(Chain(), (5, 1, 1, 2, 2))
    assert forward.calls == {"mm": 3, "tanh": 1, "sum": 1}
    # [5, 4] in and out and [4, 4] of weights, tanh in and out, the sum and its result
    assert forward.bytes == 4 * (3 * (20 + 20 + 16) + 40 + 21)
    # The video takes no gradient: two products for the two later layers, one for the first.
    assert backward.calls["mm"] == 5 and backward.calls["tanh_backward"] == 1


def test_ticks_of_known_clocks() -> None:
    counts = {T: kernels.step(Chain(), (5, T, 1, 2, 2)).forward.total for T in (4, 5, 7, 8, 11)}
    found = kernels.per_tick(counts, (1, 3))
    assert found.levels == pytest.approx([1, 2]) and found.fixed == pytest.approx(2)
    assert found.rest == pytest.approx(0, abs=1e-9)


class Recurrent(nn.Module):
    """A GRU over a clip, and one step of a cell."""

    def __init__(self) -> None:
        super().__init__()
        self.gru, self.cell = nn.GRU(4, 3, batch_first=True), nn.GRUCell(3, 3)

    def forward(self, video: Tensor) -> Tensor:
        return self.cell(self.gru(video.flatten(2))[0][:, -1]).sum()


@shapes_of_fused_gru
@pytest.mark.parametrize("length", [3, 9])
def test_a_sequence_kernel_is_one_call(length: int) -> None:
    forward, backward = kernels.step(Recurrent(), (2, length, 1, 2, 2))
    assert forward.calls["gru"] == backward.calls["gru_backward"] == 1
    assert forward.calls["_thnn_fused_gru_cell"] == 1
    assert backward.calls["_thnn_fused_gru_cell_backward"] == 1
    assert nn.GRU(4, 3)(torch.zeros(1, 1, 4))[0].shape == (1, 1, 3)


@shapes_of_fused_gru
def test_a_frame_asks_for_no_more_than_the_control_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "_CLOCKS", {"dlh": ((1,), (4, 5, 6))})
    monkeypatch.setattr(kernels, "_WHOLE", 7)
    system = SYSTEMS["dlh"]
    ours, theirs = (kernels.count("dlh", make, 2) for make in (system.library, system.control))
    for one in (ours, theirs):
        assert all(one[name]["calls"]["rest"] < 1e-6 for name in kernels.Asked._fields)
    ticks = [
        sum(one[name]["calls"]["levels"][0] for name in kernels.Asked._fields)
        for one in (ours, theirs)
    ]
    assert ticks[0] < ticks[1]
    row = kernels.table([{"side": "pyrovp", **ours}]).splitlines()[2]
    assert row.startswith("| dlh | pyrovp | 1")
