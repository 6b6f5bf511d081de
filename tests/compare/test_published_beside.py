"""Published figures: beside a table of their protocol, apart from any other, never ranked."""

from dataclasses import replace
from pathlib import Path

from pyrovp.compare.markdown import section_markdown
from pyrovp.compare.sections import beside, protocol_text
from tests.compare.handmade import CWVAE, PROTOCOL, run
from tests.compare.test_tables import compared


def test_the_same_protocol_stands_beside(tmp_path: Path) -> None:
    comparison = compared(
        run(tmp_path, "cwvae", data="moving_mnist", protocol=CWVAE, psnr=14.0),
        run(tmp_path, "rssm", data="moving_mnist", protocol=CWVAE, psnr=13.0),
    )
    (section,) = comparison.sections
    rows = beside(section.main, section.published)
    same = [one for one in rows if not one.differs]
    assert [one.row.name for one in same] == ["CW-VAE", "VTA", "RSSM", "SVG", "NoTmpAbs"]
    assert all(one.table.paper.name == "CW-VAE" and not one.unknown for one in same)
    text = section_markdown(section, {})
    scores, apart = text.split("### Apart: published under other protocols")
    line = next(t for t in scores.splitlines() if "CW-VAE (published: CW-VAE, Table 1)" in t)
    assert "*13.11*" in line and "*0.68*" in line
    assert "DLH (published" not in scores
    line = next(t for t in apart.splitlines() if "DLH (published: DLH, Table 1)" in t)
    assert r"15.7\*" in line and r"0.78\*" in line
    for reason in ("context 30 instead of 36", "horizon 300 instead of 1000",
                   "samples 100 instead of 1", "does not say: SSIM, clipping"):  # fmt: skip
        assert reason in line
    assert "CW-VAE (published: CW-VAE" not in apart
    assert comparison.ranks is not None and set(comparison.ranks.means) == {"cwvae", "rssm"}


def test_another_protocol_is_apart(tmp_path: Path) -> None:
    (section,) = compared(run(tmp_path, data="moving_mnist")).sections
    assert all(one.differs for one in beside(section.main, section.published))
    text = section_markdown(section, {})
    assert text.index("CW-VAE (published") > text.index("### Apart: published")
    assert "unclipped instead of clipped" in text


def test_a_table_apart_may_have_them_beside(tmp_path: Path) -> None:
    runs = [run(tmp_path, m, data="moving_mnist") for m in ("cwvae", "rssm")]
    run(tmp_path, "cwvae", data="moving_mnist", evaluation="cwvae-1", protocol=CWVAE)
    (section,) = compared(*runs).sections
    text = section_markdown(section, {})
    assert text.index("CW-VAE (published") > text.index("### Apart: protocol")
    assert text.count("NoTmpAbs (published") == 1


def test_what_a_paper_does_not_say_is_said(tmp_path: Path) -> None:
    """HVRNN's Table 3 names no definition of SSIM; all it says agrees."""
    protocol = replace(PROTOCOL, context=5, horizon=10, samples=100)
    (section,) = compared(run(tmp_path, "hvrnn", data="stochastic_moving_mnist",
                              protocol=protocol)).sections  # fmt: skip
    rows = beside(section.main, section.published)
    assert [(one.differs, one.unknown) for one in rows] == [((), ("SSIM",))] * 3
    text = section_markdown(section, {})
    assert "The paper does not say: SSIM." in text and "authors' own test clips" in text


def test_digits_that_no_paper_used_have_none(tmp_path: Path) -> None:
    (section,) = compared(run(tmp_path)).sections
    assert not section.published and "ublished" not in section_markdown(section, {})


def test_a_protocol_in_words() -> None:
    protocol = {"context": 30, "horizon": 300, "samples": 100, "ssim": None, "clip": None}
    assert protocol_text(protocol) == (
        "context 30, horizon 300, 100 samples, SSIM not stated, clipping not stated"
    )
