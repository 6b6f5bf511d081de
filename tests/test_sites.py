"""Names of sites: built and read by the same module."""

import pytest

from pyrovp import sites


@pytest.mark.parametrize("t", [0, 7, 36, 1000])
@pytest.mark.parametrize("level", [1, 2, 12])
@pytest.mark.parametrize("kind", [sites.STATE, sites.GATE, sites.LOGIT_GATE, sites.BELIEF])
def test_a_built_name_reads_back(kind: str, level: int, t: int) -> None:
    assert sites.parse(sites.site(kind, level, t)) == (kind, level, t)


def test_the_contract_of_names() -> None:
    assert sites.site(sites.STATE, level=2, t=36) == "z_2_36"
    assert sites.site(sites.GATE, level=2, t=1) == "e_2_1"
    assert sites.site(sites.LOGIT_GATE, level=2, t=1) == "elogit_2_1"
    assert sites.site(sites.BELIEF, level=3, t=0) == "belief_3_0"
    assert sites.FRAMES == "frames"


@pytest.mark.parametrize(
    "name",
    [
        "frames",
        "sequences",
        "z",
        "z_1",
        "z_1_",
        "z_0_1",  # levels count from 1
        "z_01_1",
        "z_1_-1",
        "z_1_1_1",
        "az_1_1",
        "z_1_1\n",
        "e_one_1",
        "weights_1_1",
        "",
    ],
)
def test_other_names_are_not_a_levels(name: str) -> None:
    assert sites.parse(name) is None
