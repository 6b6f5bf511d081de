"""The page of systems and primitives is what the code says."""

import re
from pathlib import Path

import pytest

from pyrovp import models
from pyrovp.table import SYSTEMS, page, table

PAGE = Path(__file__).parents[1] / "docs" / "systems.md"


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text() == page(), "python -m pyrovp.table > docs/systems.md"


def test_every_system_has_a_row() -> None:
    assert set(SYSTEMS) == set(models.__all__)
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table().splitlines()]
    assert {len(row) for row in rows} == {10}
    by_name = {row[0].strip("`"): row[1:] for row in rows[2:]}
    assert by_name["cwvae"] == [
        "1, 6, 36", "-", "GRU 200", "Gaussian 20", "Parent", "OwnHead",
        "the frame (1024); the sum over 6 frames (1024); the sum over 36 frames (1024)",
        "GaussianFrames(DCGANDecoder, std 1)", "12,466,817",
    ]  # fmt: skip
    assert by_name["dlh"][1] == "MixtureGate(KLComparison) on 2, 3"
    assert by_name["dlh"][-1] == "6,693,211" and by_name["vta"][-1] == "2,760,775"


def test_its_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    scope: dict[str, object] = {}
    exec(block, scope)
    assert (tmp_path / "hierarchy.svg").stat().st_size > 0
    assert "z_2_1" in scope["graph"].source  # type: ignore[attr-defined]
