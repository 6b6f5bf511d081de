"""What is said about a model before it is trained."""

import re

import pytest
from torch import nn

from pyrovp.describe import count_parameters, describe, unseen_levels
from pyrovp.gates import Forced, MixtureGate
from pyrovp.guides import cwvae as cwvae_guide
from pyrovp.guides import dlh as dlh_guide
from pyrovp.models import cwvae, dlh, hvrnn


def test_a_hierarchy_with_gates() -> None:
    model = dlh(std=0.2)
    lines = describe(model, dlh_guide(model)).splitlines()
    assert lines[0].split() == ["level", "ticks", "gate", "memory", "state"]
    assert [line.split()[0] for line in lines[1:4]] == ["3", "2", "1"]
    assert lines[1] == "3      every frame  MixtureGate(KLComparison)  GRU 200  Gaussian 20"
    assert "gates 482,802" in lines[-3] and "ladder 160,800 + heads 62,880" in lines[-2]
    assert lines[-1].endswith("6,693,211")


def split(text: str) -> list[list[str]]:
    """Lines in cells, which two spaces or more stand between."""
    return [re.split(r" {2,}", line) for line in text.splitlines()]


def test_who_reads_what_with_gates() -> None:
    model = dlh(std=0.2)
    lines = split(describe(model, dlh_guide(model)))
    assert lines[5:14] == [
        ["level", "memory takes in", "gate sees", "z predicted from", "z inferred from"],
        ["3", "last z_3", "h_3, e_2", "h_3", "OwnHead of the frame (200)"],
        ["2", "last z_2", "h_2", "h_2, c_3", "OwnHead of the frame (200), c_3"],
        ["1", "last z_1", "-", "h_1, c_2", "OwnHead of the frame (200), c_2"],
        ["frames", "c_1"],
        [""],
        ["wiring", "TopDown, contexts c of 200"],
        ["encoder", "DCGANEncoder, 200 features"],
        ["emission", "GaussianFrames(DCGANDecoder, std 0.2)"],
    ]


def test_who_reads_what_with_clocks() -> None:
    model = cwvae(levels=2, factor=4, width=0.25)
    lines = split(describe(model, cwvae_guide(model)))
    assert lines[4:8] == [
        ["level", "memory takes in", "z predicted from", "z inferred from"],
        ["2", "last z_2", "h_2", "OwnHead of the sum over 4 frames (256), h_2"],
        ["1", "last z_1, z_2, h_2", "h_1", "OwnHead of the frame (256), h_1"],
        ["frames", "z_1, h_1"],
    ]


def test_who_reads_what_of_frames() -> None:
    model = hvrnn(latents=(1, 8), width=2, resolution=16, channels=1, dense=False)
    lines = split(describe(model))
    takes = "last frame (starts from the given frames)"
    assert lines[4:8] == [
        ["level", "memory takes in", "z predicted from"],
        ["2", takes, "h_2"],
        ["1", takes, "h_1, z_2"],
        ["frames", "z_1, z_2, last frame"],
    ]
    assert ["given", "frames that condition the model: 2"] in lines


def test_gates_that_read_otherwise() -> None:
    """A gate may look at the state, or at nothing."""
    state = describe(dlh(std=0.2, levels=2, gate=MixtureGate(inputs="state"), width=0.25))
    assert ["2", "last z_2", "last z_2", "h_2"] in split(state)
    forced = describe(dlh(std=0.2, levels=2, gate=Forced([True]), width=0.25))
    assert ["2", "last z_2", "h_2"] in split(forced)


def test_a_hierarchy_without_its_model() -> None:
    model = cwvae(levels=2, width=0.25)
    assert describe(model.hierarchy).startswith(describe(model).partition("\n\nmodel")[0])


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
