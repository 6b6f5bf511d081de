"""The papers' tables: figures that other figures of theirs confirm."""

import math
from pathlib import Path

import pytest

from pyrovp import models
from pyrovp.compare import ranked
from pyrovp.metrics import NAMED
from pyrovp.metrics.published import (
    Printed,
    PublishedRow,
    PublishedTable,
    published,
    statements,
)

DATA = {path.stem for path in (Path(__file__).parents[2] / "experiments/conf/data").glob("*.yaml")}


def table(paper: str, where: str, data: str | None = None) -> PublishedTable:
    """The only such table."""
    (found,) = (
        one for one in published(data) if one.paper.name == paper and one.where.startswith(where)
    )
    return found


def row(paper: str, where: str, name: str, data: str | None = None) -> PublishedRow:
    """The only such row."""
    (found,) = (one for one in table(paper, where, data).rows if one.name == name)
    return found


def test_mean_ranks_follow_from_the_figures() -> None:
    """All 80 figures of CW-VAE's Table 1 are in these five sums."""
    scores = [one for one in published() if one.paper.name == "CW-VAE" and one.predicts]
    assert len(scores) == 4
    sums = dict.fromkeys([row.name for row in scores[0].rows], 0)
    for one in scores:
        for metric, better in one.better.items():
            assert better is not None
            values = [row.values[metric].value for row in one.rows]
            for name, rank in zip(sums, ranked(values, better), strict=True):
                sums[name] += rank
    printed = {row.name: row.values["mean_rank"] for row in table("CW-VAE", "Table 1, last").rows}
    assert list(printed) == list(sums) == ["CW-VAE", "VTA", "RSSM", "SVG", "NoTmpAbs"]
    for name, total in sums.items():
        assert round(total / 16, 2) == printed[name].value
    assert printed["CW-VAE"].text == "2.25"


def test_nats_are_bits_times_ln_2() -> None:
    nats, bits = table("CW-VAE", "Table 2"), table("TALD", "Table 1")
    for n, b in zip(nats.rows, bits.rows, strict=True):
        assert list(n.values) == list(b.values)
        for level, value in n.values.items():
            # The smallest is printed with one digit.
            tolerance = 0.3 if value.value < 0.01 else 1e-3
            assert b.values[level].value * math.log(2) == pytest.approx(value.value, rel=tolerance)


def test_dlh_repeats_rows_of_cwvae() -> None:
    told = [
        (data, r)
        for data in ("moving_mnist", "kth", "gqn_mazes")
        for r in table("DLH", "Table 1", data).rows
        if "CW-VAE's Table 1" in r.note
    ]
    assert len(told) == 5
    for data, r in told:
        original = row("CW-VAE", "Table 1", r.name, data)
        for metric, printed in r.values.items():
            assert printed.value == original.values[metric].value, (data, r.name, metric)


def test_levels_of_dlh_add_up() -> None:
    """Table 5's KLs of levels and Table 2's totals."""
    totals = table("DLH", "Table 2").rows
    for parts, total in zip(table("DLH", "Table 5").rows, totals, strict=True):
        assert parts.name == total.name
        kl = sum(value.value for value in parts.values.values())
        assert kl == pytest.approx(total.values["kl"].value, abs=0.3)


def test_hvrnn_full_model_stands_in_both_halves() -> None:
    top = row("HVRNN", "Table 2, top", "1-8-32")
    bottom = row("HVRNN", "Table 2, bottom", "BW and Dense")
    assert top.values == bottom.values and top.note == bottom.note


def test_figures_to_the_letter() -> None:
    ours = row("HVRNN", "Table 3", "Ours w/ HIER")
    assert {k: v.text for k, v in ours.values.items()} == {
        "fvd": "57.17", "lpips": "0.103 ± 0.03", "ssim": "0.760 ± 0.08",
    }  # fmt: skip
    assert row("DLH", "Table 1", "DLH", "moving_mnist").values["psnr"].text == "15.7*"
    assert row("DLH", "Table 3", "DLH, lambda 0.3").values["static"].text == ".167 ± .011"
    assert row("CW-VAE", "Table 1", "SVG", "gqn_mazes").values["fvd"].text == "820"
    assert row("CW-VAE", "Table 1", "VTA", "minerl_navigate").values["psnr"].text == "18.50"


@pytest.mark.parametrize("one", published(), ids=lambda t: f"{t.paper.name} {t.where} {t.data}")
def test_every_table_is_whole(one: PublishedTable) -> None:
    assert one.rows and one.notes and one.better.keys() == one.columns.keys()
    assert set(one.better.values()) <= {"higher", "lower", None}
    assert one.data is None or one.data in DATA
    for r in one.rows:
        assert r.values and set(r.values) <= set(one.columns)
        assert all(math.isfinite(value.value) for value in r.values.values())
        assert r.system is None or hasattr(models, r.system)
        assert (r.protocol is not None) == one.predicts
        if r.protocol is not None:
            assert set(r.protocol) == {"name", "context", "horizon", "samples", "ssim", "clip"}


def test_protocols_are_the_named_ones_where_both_know() -> None:
    mnist = row("CW-VAE", "Table 1", "CW-VAE", "moving_mnist").protocol
    named = NAMED["cwvae"]["moving_mnist"]
    assert mnist is not None
    for field in ("context", "horizon", "samples", "clip"):
        assert mnist[field] == getattr(named, field)
    assert mnist["ssim"] == named.ssim.name
    other = row("DLH", "Table 1", "CW-VAE", "kth").protocol
    assert other is not None and other["context"] == 36 and other["samples"] == 100


def test_statements_have_figures_only_in_words() -> None:
    bair, cityscapes = statements()
    assert (bair.data, cityscapes.data) == ("bair", "cityscapes")
    for text in ("44 % in FVD", "9.8 % in LPIPS", "11.2 % in LPIPS"):
        assert text in bair.text


def test_a_figure_begins_with_a_number() -> None:
    assert Printed("-1279.21").value == -1279.21
    with pytest.raises(ValueError, match="begins with a number, got 'about 5'"):
        _ = Printed("about 5").value
