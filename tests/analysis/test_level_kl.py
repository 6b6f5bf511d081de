"""KL per level: closed forms, units, gates apart, the bound's own figures."""

import math
from itertools import count
from typing import Any

import pytest
import torch
from torch import Tensor

from pyrovp import HierarchyELBO, MixtureGate
from pyrovp.analysis import Clips, Curve, LevelKL, Table
from pyrovp.distributions import DiagonalNormal
from tests.analysis.constant import Beliefs, constant, noise
from tests.analysis.own import gaussian, own
from tests.systems import clip, tiny_cwvae, tiny_dlh

STANDARD = ([0.0, 0.0], [1.0, 1.0])
INFORMED = ([0.5, 0.5], [0.5, 0.5])
KL = 2 * (0.5 * (0.25 + 0.25 - 1) - math.log(0.5))
"""Of INFORMED from STANDARD, two components."""


def ask(model: Any, guide: Any, batch: int = 3, frames: int = 5, **settings: Any) -> Any:
    return LevelKL(**settings)(model, guide, Clips(noise(batch, frames), context=2))


def test_a_level_whose_posterior_is_its_prior_holds_nothing() -> None:
    """Level 2 ticks at 0, 2 and 4; all of the KL is level 1's, the same at each of 5 ticks."""
    found = ask(*constant(Beliefs(STANDARD, INFORMED), Beliefs(STANDARD, STANDARD, period=2)))
    below, above = found.facts["states"]["z_1"], found.facts["states"]["z_2"]
    assert below["per_sequence"] == pytest.approx(5 * KL)
    assert below["per_frame"] == below["per_tick"] == pytest.approx(KL)
    assert below["per_dimension"] == pytest.approx(KL / 2)
    assert below["standard_error"] == pytest.approx(0.0, abs=1e-12)
    assert (below["ticks"], above["ticks"]) == (5, 3)
    assert above["per_sequence"] == pytest.approx(0.0, abs=1e-12)
    assert below["share"] == pytest.approx(1.0)
    assert found.facts["frames"] == 5 and found.facts["gates"] == {}


def test_a_slow_level_is_counted_by_its_ticks() -> None:
    found = ask(*constant(Beliefs(STANDARD, STANDARD), Beliefs(STANDARD, INFORMED, period=2)))
    fact = found.facts["states"]["z_2"]
    assert fact["per_sequence"] == pytest.approx(3 * KL)
    assert fact["per_tick"] == pytest.approx(KL) and fact["per_frame"] == pytest.approx(3 * KL / 5)


def test_the_curve_stands_at_the_ticks() -> None:
    found = ask(*constant(Beliefs(STANDARD, INFORMED), Beliefs(STANDARD, INFORMED, period=2)))
    curve = found.exhibits["level_kl_over_time"]
    assert isinstance(curve, Curve) and list(curve.lines) == ["z_1", "z_2"]
    assert curve.lines["z_2"].x == [0, 2, 4] and curve.lines["z_1"].x == [0, 1, 2, 3, 4]
    assert curve.lines["z_2"].y == pytest.approx([KL] * 3)
    assert "gate_kl_over_time" not in found.exhibits


def test_ticks_of_several_forms_come_in_the_order_of_time() -> None:
    """Every other state is drawn from a stock distribution, whose KL is taken apart."""
    calls = count()

    def mixed(mean: Tensor, std: Tensor) -> Any:
        return DiagonalNormal.of(mean, std) if next(calls) % 2 else gaussian(mean, std)

    lines = []
    for family in (mixed, DiagonalNormal.of):
        torch.manual_seed(3)
        found = ask(*own(family), frames=4)  # an even number: model and guide alternate alike
        lines.append(found.exhibits["level_kl_over_time"].lines["z_1"])
    assert lines[0].x == lines[1].x == [0, 1, 2, 3]
    assert lines[0].y == pytest.approx(lines[1].y)


def test_bits_are_nats_over_log_two() -> None:
    system = constant(Beliefs(STANDARD, INFORMED))
    nats, bits = ask(*system), ask(*system, unit="bits")
    assert bits.facts["states"]["z_1"]["per_sequence"] == pytest.approx(5 * KL / math.log(2))
    assert bits.exhibits["level_kl_over_time"].lines["z_1"].y == pytest.approx(
        [value / math.log(2) for value in nats.exhibits["level_kl_over_time"].lines["z_1"].y]
    )
    assert (
        "bits per sequence" in bits.sentences[0] and "bits" in bits.exhibits["level_kl"].columns[1]
    )


def test_gates_are_counted_apart() -> None:
    """A posterior that is the belief held already: the gate stays shut, and costs -log p(e=0)."""
    gated = Beliefs(STANDARD, INFORMED, gate=MixtureGate(size=2), log_odds=-1.0)
    found = ask(*constant(Beliefs(STANDARD, STANDARD), gated))
    assert found.facts["states"]["z_2"]["per_sequence"] == pytest.approx(KL)  # frame 0 alone
    gate = found.facts["gates"]["e_2"]
    assert gate["ticks"] == 4
    assert gate["per_tick"] == pytest.approx(math.log1p(math.exp(-1.0)))
    assert found.exhibits["gate_kl_over_time"].lines["e_2"].x == [1, 2, 3, 4]
    table = found.exhibits["level_kl"]
    assert isinstance(table, Table)
    assert [row[0] for row in table.rows] == ["states z_1", "states z_2", "gates e_2"]


@pytest.mark.parametrize("system", [tiny_cwvae, tiny_dlh])
def test_the_figures_are_the_bounds(system: Any) -> None:
    model, guide = system()
    torch.manual_seed(2)
    with torch.no_grad():
        bound = HierarchyELBO().bound(model, guide, clip(6))
    torch.manual_seed(2)
    found = LevelKL()(model, guide, Clips(clip(6), context=3))
    facts = found.facts["states"] | found.facts["gates"]
    kls = {f"{kind}_{level}": kl for (kind, level), kl in bound.kl.items()}
    assert facts.keys() == kls.keys()
    for name, kl in kls.items():
        assert facts[name]["per_sequence"] == pytest.approx(kl.mean().item(), rel=1e-9)
        assert facts[name]["standard_error"] == pytest.approx(kl.std().item() / math.sqrt(2))


def test_one_clip_has_no_standard_error() -> None:
    found = ask(*constant(Beliefs(STANDARD, INFORMED)), batch=1)
    assert found.facts["states"]["z_1"]["standard_error"] is None
    assert found.exhibits["level_kl_over_time"].lines["z_1"].low is None


def test_refuses_another_unit() -> None:
    with pytest.raises(ValueError, match="unit is nats or bits, got 'dB'"):
        LevelKL(unit="dB")  # type: ignore[arg-type]
