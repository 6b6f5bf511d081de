"""What is said about a model before it is trained."""

import pytest
from torch import nn

from pyrovp.describe import count_parameters, describe, unseen_levels
from pyrovp.guides import cwvae as cwvae_guide
from pyrovp.guides import dlh as dlh_guide
from pyrovp.models import cwvae, dlh


def test_a_hierarchy_with_gates() -> None:
    model = dlh(std=0.2)
    lines = describe(model, dlh_guide(model)).splitlines()
    assert lines[0].split() == ["level", "ticks", "gate", "memory", "state"]
    assert [line.split()[0] for line in lines[1:4]] == ["3", "2", "1"]
    assert lines[1] == "3      every frame  MixtureGate(KLComparison)  GRU 200  Gaussian 20"
    assert "gates 482,802" in lines[5] and "ladder 160,800 + heads 62,880" in lines[6]
    assert lines[7].endswith("6,693,211")


def test_clocks() -> None:
    text = describe(cwvae(levels=2, factor=4, width=0.25))
    assert "every 4 frames" in text and "every frame" in text and "guide" not in text


def test_what_is_shared_counts_once() -> None:
    model = cwvae(width=0.25)
    guide = cwvae_guide(model)
    both = nn.ModuleList([model, guide])
    assert count_parameters(model, guide) == sum(p.numel() for p in both.parameters())
    assert count_parameters(model, guide) < count_parameters(model) + count_parameters(guide)


def test_any_module() -> None:
    assert describe(nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))) == (
        "model parameters  0 9 + 1 4 = 13"
    )


@pytest.mark.parametrize(
    "context, said",
    [(36, None), (35, "level 3 has no"), (6, "level 3 has no"), (5, "levels 2, 3 have no")],
)
def test_levels_that_see_nothing(context: int, said: str | None) -> None:
    sentence = unseen_levels(cwvae(factor=6, width=0.25), context)
    assert (sentence is None) if said is None else sentence.startswith(said)  # type: ignore[union-attr]
