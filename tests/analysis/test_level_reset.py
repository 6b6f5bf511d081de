"""A level is reset: known losses, and none where nothing was held."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from pyrovp import Forced
from pyrovp.analysis import Clips, Findings, LevelReset
from tests.painted import Band, bands, painted
from tests.systems import clip, tiny_cwvae, tiny_dlh

MEAN, CONTEXT, T = 0.25, 4, 7
STAYS = Forced(lambda t: False)


def still(batch: int = 3, levels: int = 2) -> tuple[Tensor, Tensor]:
    """Clips whose bands stand still, and their brightness [B, L]; the first band is black."""
    generator = torch.Generator().manual_seed(1)
    shown = torch.rand(batch, levels, dtype=torch.float64, generator=generator)
    shown[:, 0] = 0
    return bands(shown[:, None].expand(-1, T, -1)), shown


def reset(levels: Any = None) -> tuple[Findings, Tensor]:
    """Level 1 holds nothing, level 2 a brightness that never changes."""
    video, shown = still()
    model, guide = painted(Band(holds=False, std=0.3), Band(mean=MEAN, gate=STAYS))
    return LevelReset(levels)(model, guide, Clips(video, CONTEXT)), shown


def lost(shown: Tensor) -> float:
    """Mean PSNR where the second of two bands is at its prior's mean."""
    return (-10 * ((shown[:, 1] - MEAN).square() / 2).log10()).mean().item()


@pytest.mark.parametrize("part", ["blind", "dropped", "predicted"])
def test_a_level_costs_what_it_holds(part: str) -> None:
    found, shown = reset()
    facts = found.facts[part]
    how = "dropped" if part == "dropped" else "blind"
    assert facts["all levels"]["psnr"] == 100  # identical
    nothing, everything = facts[f"level 1 {how}"], facts[f"level 2 {how}"]
    assert nothing["cost"]["psnr"] == nothing["cost"]["ssim"] == 0
    assert nothing["to_all_levels"]["psnr"] == 100 and nothing["to_all_levels"]["ssim"] == 1
    assert everything["psnr"] == pytest.approx(lost(shown), abs=1e-5)
    assert everything["cost"]["psnr"] == pytest.approx(100 - lost(shown), abs=1e-5)
    assert everything["to_all_levels"]["psnr"] == pytest.approx(lost(shown), abs=1e-5)
    assert 0.1 < everything["cost"]["ssim"] < 1
    table: Any = found.exhibits[part]
    assert [row[0] for row in table.rows] == list(facts)


def test_the_films_show_it() -> None:
    found, shown = reset()
    for name, start, seen, length in (("reconstruction", 0, T, T), ("prediction", 0, CONTEXT, T)):
        strip: Any = found.exhibits[f"{name}_1"]
        assert (strip.start, strip.seen) == (start, seen)
        assert {len(frames) for frames in strip.rows.values()} == {length}
        expected = bands(torch.tensor([0.0, MEAN]).expand(T, -1)).float()
        torch.testing.assert_close(strip.rows["level 2 blind"], expected)
        truth = bands(shown[1].expand(T, -1)).float()
        for row in ("truth", "all levels", "level 1 blind"):
            torch.testing.assert_close(strip.rows[row], truth)


def test_some_levels_only() -> None:
    found, _ = reset([2])
    assert list(found.facts["blind"]) == ["all levels", "level 2 blind"]
    assert list(found.facts["dropped"]) == ["all levels", "level 2 dropped"]


def test_without_a_continuation_there_is_no_prediction() -> None:
    video, _ = still()
    model, guide = painted(Band(), Band())
    found = LevelReset()(model, guide, Clips(video, T))
    assert "predicted" not in found.facts and "prediction_0" not in found.exhibits


def test_others_make_good_for_a_blind_level_but_not_for_a_dropped_one() -> None:
    """CW-VAE's lower levels infer given what the blind one drew; a dropped one stays wrong."""
    model, guide = tiny_cwvae()
    found = LevelReset([2])(model, guide, Clips(clip(8).sigmoid(), 4))
    blind, dropped = found.facts["blind"]["level 2 blind"], found.facts["dropped"]
    assert blind["psnr"] != dropped["level 2 dropped"]["psnr"]
    # The same noise: what both leave alone is the same number.
    assert found.facts["blind"]["all levels"] == dropped["all levels"]


def test_below_the_lowest_level_nobody_can_make_good() -> None:
    """DLH's other levels infer without a look at level 1: with the same noise blind is dropped."""
    model, guide = tiny_dlh()
    found = LevelReset([1])(model, guide, Clips(clip(8).sigmoid(), 4))
    blind, dropped = found.facts["blind"], found.facts["dropped"]
    assert blind["level 1 blind"]["psnr"] == pytest.approx(dropped["level 1 dropped"]["psnr"])
    assert not math.isclose(blind["level 1 blind"]["cost"]["psnr"], 0)


@pytest.mark.parametrize("levels", [[], 2])
def test_levels_that_are_no_list(levels: Any) -> None:
    with pytest.raises(ValueError, match="levels are a list such as"):
        LevelReset(levels)


def test_a_level_that_is_not_there() -> None:
    with pytest.raises(ValueError, match="level 3 was asked for.* levels 1 to 2"):
        reset([1, 3])
