"""Two clips exchange a level: its band goes over, the others stay."""

from typing import Any

import pytest
import torch
from torch import Tensor

from pyrovp import MixtureGate
from pyrovp.analysis import Clips, Findings, Swap
from tests.painted import Band, bands, painted
from tests.systems import clip, tiny_cwvae, tiny_dlh

T = 4


def swap(*levels: Band, batch: int = 4, **asked: Any) -> tuple[Findings, Tensor]:
    generator = torch.Generator().manual_seed(2)
    shown = torch.rand(batch, T, len(levels), dtype=torch.float64, generator=generator)
    for n, level in enumerate(levels):
        shown[..., n] *= level.holds
    model, guide = painted(*levels)
    return Swap(**asked)(model, guide, Clips(bands(shown), 2)), shown


@pytest.mark.parametrize("gate", [None, MixtureGate(size=2)])
def test_the_level_that_paints_a_band_swaps_it_exactly(gate: Any) -> None:
    found, shown = swap(Band(), Band(gate=gate))
    assert found.facts["pairs"] == [[0, 1], [2, 3]]
    for a, b in found.facts["pairs"]:
        strip: Any = found.exhibits[f"swap_{a}_{b}"]
        assert strip.seen == T
        for row, left, right in (
            ("A", a, a),
            ("B", b, b),
            ("A with B's level 1", b, a),
            ("B with A's level 1", a, b),
            ("A with B's level 2", a, b),
            ("B with A's level 2", b, a),
        ):
            expected = bands(torch.stack((shown[left, :, 0], shown[right, :, 1]), -1)).float()
            torch.testing.assert_close(strip.rows[row], expected)
    gaps = (shown[::2] - shown[1::2]).square().sum(1)  # [pairs, L]
    shares = gaps / gaps.sum(1, keepdim=True)
    for n in (1, 2):
        fact = found.facts["levels"][f"level_{n}"]
        assert fact["share"] == pytest.approx(shares[:, n - 1].mean().item())
    apart = (shown[::2] - shown[1::2]).square().mean(-1).sqrt().mean().item()
    assert fact["apart"] == pytest.approx(apart)


def test_a_level_that_holds_nothing_swaps_nothing_and_one_that_holds_all_swaps_all() -> None:
    found, _ = swap(Band(holds=False, std=0.4), Band())
    assert found.facts["levels"]["level_1"] | {"apart": 0} == {
        "share": 0.0, "share_error": 0.0, "from_own": 0.0, "apart": 0,
        "from_other": pytest.approx(found.facts["levels"]["level_1"]["apart"]),
    }  # fmt: skip
    assert found.facts["levels"]["level_2"]["share"] == pytest.approx(1)


def test_pairs_that_are_named() -> None:
    found, shown = swap(Band(), Band(), pairs=[[3, 0]], level=2)
    assert found.facts["pairs"] == [[3, 0]] and list(found.facts["levels"]) == ["level_2"]
    strip: Any = found.exhibits["swap_3_0"]
    expected = bands(torch.stack((shown[3, :, 0], shown[0, :, 1]), -1)).float()
    torch.testing.assert_close(strip.rows["A with B's level 2"], expected)


@pytest.mark.parametrize("build", [tiny_cwvae, tiny_dlh])
@pytest.mark.parametrize("level", [1, 2, 3])
def test_pairs_are_exchanged_with_their_gates_and_beliefs(build: Any, level: int) -> None:
    """A clip with all levels of its partner is the partner: one level makes a share of the way."""
    model, guide = build()
    facts = Swap(level=level)(model, guide, Clips(clip(6).sigmoid(), 3)).facts
    found = facts["levels"][f"level_{level}"]
    assert 0 < found["share"] < 1
    assert found["from_own"] > 0 and found["from_other"] > 0


@pytest.mark.parametrize("pairs", [[], [[0, 0]], [[0, 1, 2]]])
def test_what_is_no_pair(pairs: Any) -> None:
    with pytest.raises(ValueError, match="pairs are two different clips each"):
        Swap(pairs=pairs)


def test_a_clip_that_is_not_there() -> None:
    with pytest.raises(ValueError, match=r"pair \[0, 4\] names a clip .* numbered 0 to 3"):
        swap(Band(), pairs=[[0, 4]])
    with pytest.raises(ValueError, match="two clips exchange a level, got 1"):
        swap(Band(), batch=1)
