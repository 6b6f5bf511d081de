"""From a name and a data set to a protocol."""

import pytest

from pyrovp.evaluation.protocols import METRICS, metrics_of, resolved_protocol
from pyrovp.metrics import NAMED, PRESETS, Protocol

MINE = Protocol("run", 12, 20, 1, PRESETS["svg"], True)


def test_a_papers_figures_as_they_are() -> None:
    assert resolved_protocol("dlh", "kth", MINE) == NAMED["dlh"]["kth"]


def test_ones_own_is_that_of_the_run() -> None:
    own = resolved_protocol("own", "moving_digits", MINE)
    assert own.hash == MINE.hash and own.name == "own"
    changed = resolved_protocol("own", "moving_digits", MINE, horizon=100, samples=10, ssim="wang")
    assert changed == Protocol("own", 12, 100, 10, PRESETS["wang"], True)


def test_a_change_shows_in_name_and_hash() -> None:
    changed = resolved_protocol("dlh", "kth", MINE, samples=10, clip=True)
    assert changed.name == "dlh/kth with samples=10"
    assert changed.samples == 10 and changed.hash != NAMED["dlh"]["kth"].hash
    assert resolved_protocol("dlh", "kth", MINE, context=30).name == "dlh/kth"  # no change
    assert resolved_protocol("svg", "kth", MINE, ssim="wang").name == "svg/kth with ssim=wang"


def test_other_data_by_a_papers_rules() -> None:
    made = resolved_protocol("hvrnn", "moving_digits", MINE, context=5, horizon=10)
    assert made == Protocol("hvrnn/moving_digits", 5, 10, 100, PRESETS["wang"], True)


@pytest.mark.parametrize("given", [{}, {"context": 5}, {"horizon": 5}])
def test_other_data_needs_lengths(given: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="no figures for moving_digits, only for moving_mnist"):
        resolved_protocol("dlh", "moving_digits", MINE, **given)  # type: ignore[arg-type]


def test_a_misspelt_protocol() -> None:
    with pytest.raises(ValueError, match="no protocol 'cwave'; did you mean cwvae"):
        resolved_protocol("cwave", "kth", MINE)


def test_every_protocol_has_metrics() -> None:
    assert set(METRICS) == {*NAMED, "own"}
    assert all({"psnr", "ssim", "sharpness"} <= set(metrics_of(name)) for name in METRICS)


@pytest.mark.parametrize("name", list(NAMED))
def test_a_paper_scores_all_its_data_alike(name: str) -> None:
    kinds = {(p.samples, p.ssim, p.clip) for p in NAMED[name].values()}
    assert len(kinds) == 1  # which is what lets it be carried over to other data
